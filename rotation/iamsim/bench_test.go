package iamsim_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/keyturner/keyturner/rotation/iamsim"
)

// benchClient returns a client, without a socket, of an account with 5,000 users
// who have two keys each.
func benchClient(b *testing.B) (*clock, *iam.Client) {
	b.Helper()
	clock := &clock{now: start}
	sim := iamsim.New(iamsim.Config{Now: clock.Now})
	account := sim.AddAccount(accountID, "")
	for i := range 5000 {
		name := fmt.Sprintf("user-%04d", i)
		account.AddUser(iamsim.User{Name: name, Tags: map[string]string{"owner": name}})
		for range 2 {
			account.AddKey(name, iamsim.Key{Created: start.AddDate(0, 0, -i%400), LastUsed: start.AddDate(0, 0, -i%90), Service: "s3"})
		}
	}
	id, secret := account.Principal("keybot")
	cfg := (&world{}).config(id, secret, "")
	cfg.BaseEndpoint = nil
	cfg.HTTPClient = &http.Client{Transport: sim.Transport()}
	return clock, iam.NewFromConfig(cfg)
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
		pager := iam.NewGetAccountAuthorizationDetailsPaginator(client, &iam.GetAccountAuthorizationDetailsInput{
			Filter: []types.EntityType{types.EntityTypeUser}, MaxItems: aws.Int32(1000),
		})
		for pager.HasMorePages() {
			must(pager.NextPage(b.Context()))(b)
		}
	}
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
