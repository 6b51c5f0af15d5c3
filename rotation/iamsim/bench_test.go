package iamsim_test

import (
	"fmt"
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/keyturner/keyturner/rotation/iamsim"
)

const (
	fullUsers = 5000 // the quota of an account
	fullKeys  = 2 * fullUsers
)

// fill gives an account as many users as it may have, with two keys each.
func fill(tb testing.TB, account *iamsim.Account) {
	tb.Helper()
	for i := range fullUsers {
		name := fmt.Sprintf("user-%04d", i)
		account.AddUser(iamsim.User{Name: name, Tags: map[string]string{"owner": name}})
		for range 2 {
			if account.AddKey(name, iamsim.Key{Created: start.AddDate(0, 0, -i%400), LastUsed: start.AddDate(0, 0, -i%90), Service: "s3"}) == "" {
				tb.Fatal("no key")
			}
		}
	}
}

// direct returns a client of an account without a socket.
func direct(sim *iamsim.Sim, account *iamsim.Account) *iam.Client {
	id, secret := account.Principal("keybot")
	cfg := (&world{}).config(id, secret, "")
	cfg.BaseEndpoint = nil
	cfg.HTTPClient = &http.Client{Transport: sim.Transport()}
	return iam.NewFromConfig(cfg)
}

// benchClient returns a client of a full account.
func benchClient(b *testing.B) (*clock, *iam.Client) {
	b.Helper()
	clock := &clock{now: start}
	sim := iamsim.New(iamsim.Config{Now: clock.Now})
	account := sim.AddAccount(accountID, "")
	fill(b, account)
	return clock, direct(sim, account)
}

// heap is how many bytes are in use.
func heap() float64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.GC() // what the first one left to finalizers
	runtime.ReadMemStats(&stats)
	return float64(stats.HeapAlloc)
}

// BenchmarkScale holds a hundred full accounts, a million keys, and reads the
// whole of one of them.
func BenchmarkScale(b *testing.B) {
	const accounts = 100
	before := heap()
	sim := iamsim.New(iamsim.Config{Now: (&clock{now: start}).Now})
	var last *iamsim.Account
	began := time.Now()
	for i := range accounts {
		last = sim.AddAccount(fmt.Sprintf("%012d", i), "")
		fill(b, last)
	}
	filling := time.Since(began).Seconds()
	held := heap() - before
	client := direct(sim, last)
	for b.Loop() {
		if users := readDetails(b, client); users != fullUsers {
			b.Fatalf("%d users", users)
		}
	}
	b.ReportMetric(held/(accounts*fullKeys), "heap-B/key")
	b.ReportMetric(held/(1<<20), "heap-MiB")
	b.ReportMetric(filling, "fill-s")
}

// TestListUsers_FullAccount works through an account as large as they get.
func TestListUsers_FullAccount(t *testing.T) {
	w := newWorld(t, iamsim.Config{})
	fill(t, w.account)
	pages, seen, keys := 0, map[string]bool{}, 0
	pager := iam.NewListUsersPaginator(w.iam, &iam.ListUsersInput{MaxItems: aws.Int32(1000)})
	for pager.HasMorePages() {
		pages++
		for _, u := range must(pager.NextPage(t.Context()))(t).Users {
			seen[*u.UserName] = true
			keys += len(w.account.Keys(*u.UserName))
		}
	}
	diff(t, []int{pages, len(seen), keys}, []int{5, fullUsers, fullKeys})
	_, err := w.iam.CreateUser(t.Context(), &iam.CreateUserInput{UserName: aws.String("one-more")})
	wantTyped[*types.LimitExceededException](t, err)
}

func BenchmarkListUsers(b *testing.B) {
	_, client := benchClient(b)
	for b.Loop() {
		users := 0
		pager := iam.NewListUsersPaginator(client, &iam.ListUsersInput{MaxItems: aws.Int32(1000)})
		for pager.HasMorePages() {
			users += len(must(pager.NextPage(b.Context()))(b).Users)
		}
		if users != 5000 {
			b.Fatalf("%d users", users)
		}
	}
}

func BenchmarkAuthorizationDetails(b *testing.B) {
	_, client := benchClient(b)
	for b.Loop() {
		readDetails(b, client)
	}
}

// readDetails reads every user with GetAccountAuthorizationDetails.
func readDetails(b *testing.B, client *iam.Client) (users int) {
	b.Helper()
	pager := iam.NewGetAccountAuthorizationDetailsPaginator(client, &iam.GetAccountAuthorizationDetailsInput{
		Filter: []types.EntityType{types.EntityTypeUser}, MaxItems: aws.Int32(1000),
	})
	for pager.HasMorePages() {
		users += len(must(pager.NextPage(b.Context()))(b).UserDetailList)
	}
	return users
}

// BenchmarkReport makes and fetches a new report each time: the clock skips past
// the four hours for which the last one is kept.
func BenchmarkReport(b *testing.B) {
	clock, client := benchClient(b)
	for b.Loop() {
		clock.Skip(4 * time.Hour)
		must(client.GenerateCredentialReport(b.Context(), nil))(b)
		b.SetBytes(int64(len(must(client.GetCredentialReport(b.Context(), nil))(b).Content)))
	}
}
