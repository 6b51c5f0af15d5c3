package rotation_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/rotation/awsiam"
	"github.com/keyturner/keyturner/rotation/iamsim"
)

// The company of the benchmarks: each account is as large as AWS allows, and one user in ten has a key that is too old.
const (
	benchUsers    = 5000
	benchStale    = 500
	benchAccounts = 100
	benchLatency  = 50 * time.Millisecond
)

var benchPolicy = rotation.Policy{WarnAge: 75 * day, MaxAge: 90 * day, UnusedAge: 45 * day}

// counting passes requests on after a while, and counts them.
type counting struct {
	to      http.RoundTripper
	latency time.Duration
	calls   atomic.Int64
}

func (c *counting) RoundTrip(r *http.Request) (*http.Response, error) {
	c.calls.Add(1)
	time.Sleep(c.latency)
	return c.to.RoundTrip(r)
}

// company makes accounts that are reached with a latency.
func company(tb testing.TB, accounts int, latency time.Duration) (*counting, []rotation.Account) {
	tb.Helper()
	sim := iamsim.New(iamsim.Config{})
	wire := &counting{to: sim.Transport(), latency: latency}
	var all []rotation.Account
	for n := range accounts {
		id := fmt.Sprintf("%012d", 1000+n)
		a := sim.AddAccount(id, "")
		for i := range benchUsers {
			name, age := fmt.Sprintf("user-%04d", i), 20
			if i%(benchUsers/benchStale) == 0 {
				age = 100
			}
			a.AddUser(iamsim.User{Name: name, Tags: map[string]string{"slack-user-id": "U0AAAAAAAAA"}})
			a.AddKey(name, iamsim.Key{Created: ago(age), LastUsed: ago(0), Service: "s3"})
		}
		key, secret := a.Principal("keyturner")
		all = append(all, reach(tb, awsiam.Config{ID: id, AWS: aws.Config{
			Credentials: credentials.NewStaticCredentialsProvider(key, secret, ""), HTTPClient: &http.Client{Transport: wire},
		}}))
	}
	return wire, all
}

func reach(tb testing.TB, cfg awsiam.Config) rotation.Account {
	tb.Helper()
	adapter, err := awsiam.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return rotation.Account{ID: cfg.ID, IAM: adapter}
}

// inFakeTime runs what sleeps in a bubble, where that takes no time, and returns how long it took there.
func inFakeTime(b *testing.B, run func(t *testing.T)) (took time.Duration) {
	b.Helper()
	count := flag.Lookup("test.count").Value // how often the benchmark is run, and not what it runs
	asked := count.String()
	if err := count.Set("1"); err != nil {
		b.Fatal(err)
	}
	ok := testing.RunTests(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{{
		Name: b.Name(), F: func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				run(t)
				took = time.Since(began)
			})
		},
	}})
	if err := count.Set(asked); err != nil || !ok {
		b.Fatal("it failed in its bubble", err)
	}
	return took
}

// byReport is the scan.
func byReport(reportOnly bool) func(context.Context, []rotation.Account) (int, error) {
	return func(ctx context.Context, accounts []rotation.Account) (found int, err error) {
		scan := rotation.Scan{Accounts: accounts, Policy: benchPolicy, ReportOnly: reportOnly}
		for _, a := range scan.Each(ctx, func(seen rotation.Sight) error { found += len(benchPolicy.Judge(seen, time.Now())); return nil }) {
			if a.Err != nil {
				return found, a.Err
			}
		}
		return found, nil
	}
}

// byUser does the same as it is usually done: it lists the users, and asks for the keys of each and for the last use of each key; as many
// accounts at the same time, at the same pace.
func byUser(ctx context.Context, accounts []rotation.Account) (found int, err error) {
	var mu sync.Mutex
	var all sync.WaitGroup
	room := make(chan struct{}, 16)
	for _, a := range accounts {
		room <- struct{}{}
		all.Go(func() {
			defer func() { <-room }()
			n, failed := everyUser(ctx, a)
			mu.Lock()
			defer mu.Unlock()
			if found += n; failed != nil {
				err = failed
			}
		})
	}
	all.Wait()
	return found, err
}

func everyUser(ctx context.Context, a rotation.Account) (found int, err error) {
	err = a.IAM.Names(ctx, func(u rotation.User) error {
		keys, err := a.IAM.Keys(ctx, u.Ref.Name)
		for i := range keys {
			if keys[i].LastUse, err = a.IAM.LastUse(ctx, keys[i].ID); err != nil {
				return err
			}
		}
		found += len(benchPolicy.Findings(u.Ref, keys, time.Now()))
		return err
	})
	return found, err
}

// BenchmarkScan_Calls counts the calls for one account, and BenchmarkScan_Company those for a hundred and how long they take at ten calls
// a second in each account and 50 ms for each call; the time is that of a bubble in which nothing else takes any. Beside them stands how many
// times the calls, and the time, the same takes when it is done by user.
func BenchmarkScan_Calls(b *testing.B)   { benchScan(b, 1) }
func BenchmarkScan_Company(b *testing.B) { benchScan(b, benchAccounts) }

func benchScan(b *testing.B, accounts int) {
	b.Helper()
	var slow cost
	b.Run("by-user", func(b *testing.B) { slow = costOf(b, accounts, byUser) })
	for _, reportOnly := range []bool{true, false} {
		b.Run(map[bool]string{true: "detect-only", false: "with-keys"}[reportOnly], func(b *testing.B) {
			own := costOf(b, accounts, byReport(reportOnly))
			if slow.calls > 0 { // it was run
				b.ReportMetric(slow.calls/own.calls, "x-calls-by-user")
				b.ReportMetric(slow.seconds/own.seconds, "x-time-by-user")
			}
		})
	}
}

// cost is what one scan takes.
type cost struct{ calls, seconds float64 }

func costOf(b *testing.B, accounts int, read func(context.Context, []rotation.Account) (int, error)) (c cost) {
	b.Helper()
	for b.Loop() {
		took := inFakeTime(b, func(t *testing.T) {
			wire, all := company(t, accounts, benchLatency)
			found, err := read(t.Context(), all)
			if err != nil || found != accounts*benchStale {
				t.Errorf("found %d, %v", found, err)
			}
			c.calls += float64(wire.calls.Load())
		})
		c.seconds += took.Seconds()
	}
	c.calls /= float64(b.N)
	c.seconds /= float64(b.N)
	b.ReportMetric(0, "ns/op") // that of this machine, which simulates the accounts too
	b.ReportMetric(c.calls, "calls/op")
	b.ReportMetric(c.seconds, "wall-s/op")
	return c
}

// BenchmarkScan_Memory scans accounts whose answers are ready made, so that what is in use beside them is the scan's. The greatest of what
// is in use after each of many collections is told, twice: with the wire held meanwhile, so that nothing but what is needed is in use (alive), and
// with the scan going on, so that what it throws away during the collection counts too (peak). More than 5,000 users are several accounts, of which
// sixteen are read at the same time: from there on it does not grow.
func BenchmarkScan_Memory(b *testing.B) {
	for _, users := range []int{100, 5000, 16 * 5000, 500_000} {
		b.Run(strconv.Itoa(users)+"-users", func(b *testing.B) {
			per := min(users, benchUsers)
			wire := &still{to: canned(per)}
			var accounts []rotation.Account
			for range users / per {
				accounts = append(accounts, reach(b, awsiam.Config{ID: account, ReadsPerSecond: 1e6, AWS: aws.Config{
					Credentials: credentials.NewStaticCredentialsProvider("AKIAFAKE", "fake", ""), HTTPClient: &http.Client{Transport: wire},
				}}))
			}
			scan := rotation.Scan{Accounts: accounts, Policy: benchPolicy}
			seen, most, alive, before := 0, uint64(0), uint64(0), inUse()
			for b.Loop() {
				stop, done := make(chan struct{}), make(chan struct{})
				go func() {
					defer close(done)
					for {
						select {
						case <-stop:
							return
						default:
							most, alive = max(most, inUse()), max(alive, wire.hold(inUse))
						}
					}
				}()
				for _, a := range scan.Each(b.Context(), func(rotation.Sight) error { return nil }) {
					if a.Err != nil {
						b.Fatal(a.Err)
					}
					seen += a.Users
				}
				close(stop)
				<-done
			}
			if seen != users*b.N {
				b.Fatalf("%d users were seen", seen)
			}
			b.ReportMetric(float64(most-min(before, most))/(1<<20), "peak-MiB")
			b.ReportMetric(float64(alive-min(before, alive))/(1<<20), "alive-MiB")
		})
	}
}

// still is a wire that can be held: who reads from it then waits, in the midst of an answer too.
type still struct {
	to http.RoundTripper
	mu sync.RWMutex
}

// hold has everybody who reads wait while look looks, so that nothing is in use which was thrown away since the collection began.
func (s *still) hold(look func() uint64) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	time.Sleep(time.Millisecond) // for those who are busy with what they have read
	return look()
}

func (s *still) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out, err := s.to.RoundTrip(r)
	if err == nil {
		out.Body = &stillBody{out.Body, s}
	}
	return out, err
}

type stillBody struct {
	io.ReadCloser
	wire *still
}

func (b *stillBody) Read(p []byte) (int, error) {
	b.wire.mu.RLock()
	defer b.wire.mu.RUnlock()
	return b.ReadCloser.Read(p)
}

func inUse() uint64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// answers are the bodies of an account whose every hundredth user has a key that is too old.
type answers struct {
	report, keys, use []byte
	pages             [][]byte // of 500 users
}

func canned(users int) *answers {
	result := func(op, inside string) []byte {
		return []byte("<" + op + "Response><" + op + "Result>" + inside + "</" + op + "Result></" + op + "Response>")
	}
	stamp := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	old, recent := stamp(ago(100)), stamp(ago(20))
	w := &answers{}
	var table, page strings.Builder
	table.WriteString("user,arn,user_creation_time,access_key_1_active,access_key_1_last_rotated,access_key_1_last_used_date,access_key_1_last_used_region," +
		"access_key_1_last_used_service,access_key_2_active,access_key_2_last_rotated,access_key_2_last_used_date,access_key_2_last_used_region,access_key_2_last_used_service\n")
	for i := range users {
		name, created := fmt.Sprintf("user-%04d", i), recent
		if i%100 == 0 {
			created = old
		}
		arn := "arn:aws:iam::" + account + ":user/" + name
		fmt.Fprintf(&table, "%s,%s,%s,true,%s,%s,eu-west-1,s3,false,N/A,N/A,N/A,N/A\n", name, arn, old, created, stamp(ago(0)))
		fmt.Fprintf(&page, "<member><UserName>%s</UserName><UserId>AIDA%d</UserId><Arn>%s</Arn><CreateDate>%s</CreateDate>"+
			"<Tags><member><Key>slack-user-id</Key><Value>U0AAAAAAAAA</Value></member></Tags></member>", name, i, arn, old)
		if last := i == users-1; last || i%500 == 499 {
			w.pages = append(w.pages, result("GetAccountAuthorizationDetails", fmt.Sprintf("<UserDetailList>%s</UserDetailList><IsTruncated>%v</IsTruncated><Marker>%d</Marker>",
				page.String(), !last, len(w.pages)+1)))
			page.Reset()
		}
	}
	w.report = result("GetCredentialReport", "<Content>"+base64.StdEncoding.EncodeToString([]byte(table.String()))+"</Content><ReportFormat>text/csv</ReportFormat><GeneratedTime>"+recent+"</GeneratedTime>")
	w.keys = result("ListAccessKeys", "<AccessKeyMetadata><member><AccessKeyId>AKIAFAKEFAKEFAKEFAKE</AccessKeyId><Status>Active</Status><CreateDate>"+
		old+"</CreateDate></member></AccessKeyMetadata><IsTruncated>false</IsTruncated>")
	w.use = result("GetAccessKeyLastUsed", "<AccessKeyLastUsed><LastUsedDate>"+recent+"</LastUsedDate><ServiceName>s3</ServiceName><Region>N/A</Region></AccessKeyLastUsed>")
	return w
}

// RoundTrip answers without making anything anew.
func (w *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(text))
	if err != nil {
		return nil, err
	}
	body := map[string][]byte{"GetCredentialReport": w.report, "ListAccessKeys": w.keys, "GetAccessKeyLastUsed": w.use}[form.Get("Action")]
	if body == nil {
		page, _ := strconv.Atoi(form.Get("Marker")) // none on the first
		body = w.pages[page]
	}
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)), Request: r}, nil
}
