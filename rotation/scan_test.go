package rotation_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/go-cmp/cmp"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/rotation/awsiam"
	"github.com/keyturner/keyturner/rotation/iamsim"
)

// scanned is what is scanned: simulated accounts on their real wire, of which stale, idle, young and plain are users of the first.
type scanned struct {
	*testing.T
	sim      *iamsim.Sim
	first    *iamsim.Account
	accounts []rotation.Account
}

// inScan runs a test in a bubble of its own.
func inScan(t *testing.T, cfg iamsim.Config, test func(*scanned)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &scanned{T: t, sim: iamsim.New(cfg)}
		s.first = s.add(account, "acme")
		for name, key := range map[string]iamsim.Key{
			"stale": {Created: ago(100), LastUsed: ago(0), Service: "s3"},
			"idle":  {Created: ago(60), LastUsed: ago(50), Service: "s3"},
			"young": {Created: ago(10), LastUsed: ago(0), Service: "s3"},
		} {
			s.first.AddUser(iamsim.User{Name: name, Tags: map[string]string{"slack-user-id": string(owner)}, Groups: []string{"dev"}})
			s.first.AddKey(name, key)
		}
		s.first.AddUser(iamsim.User{Name: "plain"})
		s.first.SetRootKey(ago(900), ago(1))
		test(s)
	})
}

func ago(days int) time.Time { return time.Now().Add(-time.Duration(days)*day - time.Hour) }

func (s *scanned) add(id, name string) *iamsim.Account {
	s.Helper()
	added := s.sim.AddAccount(id, name)
	key, secret := added.Principal("keyturner")
	s.connect(awsiam.Config{ID: id, Name: name, AWS: aws.Config{Credentials: credentials.NewStaticCredentialsProvider(key, secret, "")}})
	return added
}

func (s *scanned) connect(cfg awsiam.Config) {
	s.Helper()
	cfg.AWS.HTTPClient = &http.Client{Transport: s.sim.Transport()}
	adapter, err := awsiam.New(cfg)
	if err != nil {
		s.Fatal(err)
	}
	s.accounts = append(s.accounts, rotation.Account{ID: cfg.ID, Name: cfg.Name, IAM: adapter})
}

// scan scans, and words what is found and what is not seen as lines.
func (s *scanned) scan(reportOnly bool) (lines []string, states []rotation.AccountState) {
	s.Helper()
	scan := rotation.Scan{
		Accounts: s.accounts, ReportOnly: reportOnly,
		Policy: rotation.Policy{WarnAge: 75 * day, MaxAge: 90 * day, UnusedAge: 45 * day},
	}
	states = scan.Each(s.Context(), func(seen rotation.Sight) error {
		if seen.Root {
			lines = append(lines, "root-key")
			return nil
		}
		for _, f := range scan.Policy.Findings(seen.User.Ref, seen.Keys, time.Now()) {
			line := string(f.Breach) + " " + f.User.Name
			if f.Key.ID == "" {
				line += " without id"
			}
			if seen.User.Untold {
				line += " without tags"
			} else if seen.User.Tags["slack-user-id"] != string(owner) {
				line += " with lost tags"
			}
			if len(seen.User.Groups) > 0 {
				line += " in " + strings.Join(seen.User.Groups, ",")
			}
			lines = append(lines, line)
		}
		return nil
	})
	slices.Sort(lines)
	for _, a := range states {
		for _, u := range a.Unseen {
			if u.Permission() == "" || u.What() == "" {
				s.Errorf("%s is not explained", u)
			}
			lines = append(lines, "unseen "+string(u))
		}
		if a.Err != nil {
			lines = append(lines, "not read: "+string(rotation.ClassOf(a.Err)))
		}
	}
	return lines, states
}

func (s *scanned) calls() map[string]int {
	n := map[string]int{}
	for _, c := range s.sim.Calls() {
		n[c.Op]++
	}
	return n
}

// TestScan_SaysWhatItMayNotSee takes the role's rights away, one by one. What is left is found, and what is not seen is said: nothing
// missing ever reads as nothing found.
func TestScan_SaysWhatItMayNotSee(t *testing.T) {
	const (
		report, details, names, lists, uses = "GetCredentialReport", "GetAccountAuthorizationDetails", "ListUsers", "ListAccessKeys", "GetAccessKeyLastUsed"
	)
	everything := []string{"idle idle in dev", "root-key", "too-old stale in dev"}
	denied := iamsim.Fault{Code: "AccessDenied", Times: -1}
	for _, test := range []struct {
		name       string
		denied     []string
		user       string // to whom the denial is restricted
		reportOnly bool
		want       []string
		calls      map[string]int
	}{
		{"all is granted", nil, "", false, everything, map[string]int{report: 2, details: 1, names: 0, lists: 2, uses: 2}},
		{"by the report alone", nil, "", true, []string{"idle idle without id in dev", "root-key", "too-old stale without id in dev"}, map[string]int{lists: 0, uses: 0}},
		{"no report", []string{report}, "", false, []string{"idle idle in dev", "too-old stale in dev", "unseen root"}, map[string]int{lists: 4, uses: 2}},
		{"none can be made", []string{"GenerateCredentialReport"}, "", false, []string{"idle idle in dev", "too-old stale in dev", "unseen root"}, nil},
		{"no report, and nothing but it is to be read", []string{report}, "", true, []string{"not read: denied"}, map[string]int{details: 0}},
		{"no details", []string{details}, "", false, []string{"idle idle", "root-key", "too-old stale", "unseen traits"}, map[string]int{names: 1, "GetUser": 2}},
		{
			"no details and no tags",
			[]string{details, "GetUser"},
			"", false,
			[]string{"idle idle without tags", "root-key", "too-old stale without tags", "unseen tags", "unseen traits"},
			nil,
		},
		{"no users", []string{details, names}, "", false, []string{"root-key", "not read: denied"}, map[string]int{lists: 0}},
		{"no last uses", []string{uses}, "", false, []string{"root-key", "too-old stale in dev", "unseen last-use"}, nil},
		{"no last use of one", []string{uses}, "idle", false, []string{"root-key", "too-old stale in dev", "unseen last-use"}, map[string]int{uses: 2}},
		{
			"no keys",
			[]string{lists},
			"", false,
			[]string{"idle idle without id in dev", "root-key", "too-old stale without id in dev", "unseen keys", "not read: denied"},
			nil,
		},
		{
			"no keys of one",
			[]string{lists},
			"idle", false,
			[]string{"idle idle without id in dev", "root-key", "too-old stale in dev", "unseen keys", "not read: denied"},
			nil,
		},
		{"neither report nor keys", []string{report, lists}, "", false, []string{"unseen keys", "unseen root", "not read: denied"}, nil},
		{"nothing at all", []string{"*"}, "", false, []string{"not read: denied"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			inScan(t, iamsim.Config{}, func(s *scanned) {
				for _, op := range test.denied {
					fault := denied
					fault.User = test.user
					s.sim.Fail(op, fault)
				}
				got, _ := s.scan(test.reportOnly)
				if diff := cmp.Diff(test.want, got); diff != "" {
					s.Errorf("scan (-want +got):\n%s", diff)
				}
				calls := s.calls()
				for op, want := range test.calls {
					if calls[op] != want {
						s.Errorf("%d calls of %s, want %d", calls[op], op, want)
					}
				}
			})
		})
	}
}

// TestScan_DoesNotAskForEver: where keys are denied, an account of many users is not asked for those of each.
func TestScan_DoesNotAskForEver(t *testing.T) {
	inScan(t, iamsim.Config{}, func(s *scanned) {
		for i := range 500 {
			s.first.AddUser(iamsim.User{Name: fmt.Sprintf("user-%03d", i)})
		}
		for _, op := range []string{"GetCredentialReport", "ListAccessKeys"} {
			s.sim.Fail(op, iamsim.Fault{Code: "AccessDenied", Times: -1})
		}
		_, states := s.scan(false)
		if n := s.calls()["ListAccessKeys"]; n > 20 || states[0].Err == nil || len(states[0].Err.Error()) > 2000 {
			s.Errorf("%d calls, and the error: %v", n, states[0].Err)
		}
	})
}

// TestScan_OneAccountFails: the others are read, in the configuration's order, and the one that is not is named with its cause.
func TestScan_OneAccountFails(t *testing.T) {
	const second, third = "222233334444", "333344445555"
	for _, test := range []struct {
		name  string
		spoil func(*scanned)
		want  rotation.Class
	}{
		{"throttled for ever", func(s *scanned) { s.sim.Fail("*", iamsim.Fault{Account: second, Code: "Throttling", Times: -1}) }, rotation.ClassThrottled},
		{"a report that is never made", func(s *scanned) {
			s.sim.Fail("GetCredentialReport", iamsim.Fault{Account: second, Code: "ReportInProgress", Times: -1})
		}, rotation.ClassThrottled},
		{"asked too often for a report", func(s *scanned) {
			s.sim.Fail("GenerateCredentialReport", iamsim.Fault{Account: second, Code: "LimitExceeded", Times: -1})
		}, rotation.ClassThrottled},
		{"no answers", func(s *scanned) { s.sim.Fail("*", iamsim.Fault{Account: second, Drop: true, Times: -1}) }, rotation.ClassUnknown},
		{"cut in the middle", func(s *scanned) {
			s.sim.Fail("GetAccountAuthorizationDetails", iamsim.Fault{Account: second, Truncate: true, Times: -1})
		}, rotation.ClassUnknown},
		{"suspended", func(s *scanned) {
			suspended := s.sim.AddAccount(second, "")
			suspended.SetState(iamsim.StateSuspended)
			key, secret := s.first.Principal("hub")
			s.accounts = slices.Delete(s.accounts, 1, 2)
			s.connect(awsiam.Config{
				ID: second, Role: suspended.AddRole("keyturner", ""),
				AWS: aws.Config{Credentials: credentials.NewStaticCredentialsProvider(key, secret, "")},
			})
			s.accounts[1], s.accounts[2] = s.accounts[2], s.accounts[1]
		}, rotation.ClassDenied},
	} {
		t.Run(test.name, func(t *testing.T) {
			inScan(t, iamsim.Config{}, func(s *scanned) {
				s.add(second, "beta").AddUser(iamsim.User{Name: "x"})
				gamma := s.add(third, "gamma")
				gamma.AddUser(iamsim.User{Name: "last", Tags: map[string]string{"slack-user-id": string(owner)}})
				gamma.AddKey("last", iamsim.Key{Created: ago(200)})
				test.spoil(s)
				lines, states := s.scan(false)
				if len(states) != 3 || states[0].Err != nil || states[2].Err != nil || states[0].ID != account || states[2].ID != third {
					s.Fatalf("states: %+v", states)
				}
				if states[1].ID != second || states[1].Err == nil || rotation.ClassOf(states[1].Err) != test.want {
					s.Errorf("the second account: %+v", states[1])
				}
				for _, want := range []string{"too-old stale in dev", "too-old last"} {
					if !slices.Contains(lines, want) {
						s.Errorf("%q is not among %q", want, lines)
					}
				}
			})
		})
	}
}

// TestScan_Large reads large accounts, throttled and not: what is stale is found, and the others cost no call.
func TestScan_Large(t *testing.T) {
	for _, test := range []struct {
		users, stale, perSecond int
		most                    int // calls
	}{
		{101, 3, 0, 10 + 2*3},
		{5000, 500, 0, 60 + 2*500},
		{5000, 100, 3, 2 * (60 + 2*100)},
	} {
		t.Run(fmt.Sprintf("%d of %d at %d", test.stale, test.users, test.perSecond), func(t *testing.T) {
			inScan(t, iamsim.Config{CallsPerSecond: test.perSecond}, func(s *scanned) {
				big := s.add("222233334444", "big")
				for i := range test.users {
					name, age := fmt.Sprintf("user-%04d", i), 20
					if i < test.stale {
						age = 100
					}
					big.AddUser(iamsim.User{Name: name, Tags: map[string]string{"slack-user-id": string(owner)}})
					big.AddKey(name, iamsim.Key{Created: ago(age), LastUsed: ago(0), Service: "s3"})
				}
				s.accounts = s.accounts[1:]
				lines, states := s.scan(false)
				if states[0].Err != nil || states[0].Users != test.users || len(lines) != test.stale {
					s.Errorf("%d lines of %+v", len(lines), states[0])
				}
				if n := len(s.sim.Calls()); n > test.most {
					s.Errorf("%d calls, want %d at the most: %v", n, test.most, s.calls())
				}
			})
		})
	}
}

// TestScan_GoneMeanwhile: users who were deleted since the report was made are no failure.
func TestScan_GoneMeanwhile(t *testing.T) {
	inScan(t, iamsim.Config{}, func(s *scanned) {
		s.sim.Fail("GetAccountAuthorizationDetails", iamsim.Fault{Before: func() { s.first.RemoveUser("idle") }})
		s.sim.Fail("ListAccessKeys", iamsim.Fault{Before: func() { s.first.RemoveUser("stale") }})
		got, _ := s.scan(false)
		if diff := cmp.Diff([]string{"root-key"}, got); diff != "" {
			s.Errorf("scan (-want +got):\n%s", diff)
		}
	})
}

// TestFound_AScanIsNotHeldByWhatIsFound: found may wait, as for an answer of Slack, while others want to tell what they have found.
func TestFound_AScanIsNotHeldByWhatIsFound(t *testing.T) {
	inScan(t, iamsim.Config{}, func(s *scanned) {
		s.add("444455556666", "other").SetRootKey(ago(900), ago(1))
		scan := rotation.Scan{Accounts: s.accounts, Policy: benchPolicy}
		within, seen := 0, 0
		for _, a := range scan.Each(s.Context(), func(rotation.Sight) error {
			if within++; within != 1 {
				s.Error("it was called twice at the same time")
			}
			time.Sleep(time.Minute)
			within--
			seen++
			return nil
		}) {
			if a.Err != nil {
				s.Error(a.Err)
			}
		}
		if seen != 4 {
			s.Errorf("%d users were seen", seen)
		}
	})
}

// TestScan_AsksOnceMoreWhatWasThrottled: one look-up among hundreds that AWS throttles to its end does not leave the account half read.
func TestScan_AsksOnceMoreWhatWasThrottled(t *testing.T) {
	const attempts = 5 // of one call
	for times, whole := range map[int]bool{attempts: true, 2 * attempts: false} {
		inScan(t, iamsim.Config{}, func(s *scanned) {
			one := s.add("222233334444", "one")
			one.AddUser(iamsim.User{Name: "stale", Tags: map[string]string{"slack-user-id": string(owner)}})
			one.AddKey("stale", iamsim.Key{Created: ago(100), LastUsed: ago(0), Service: "s3"})
			s.accounts = s.accounts[1:]
			s.sim.Fail("GetAccessKeyLastUsed", iamsim.Fault{Code: "Throttling", Times: times})
			if _, states := s.scan(false); (states[0].Err == nil) != whole {
				s.Errorf("throttled %d times: %v", times, states[0].Err)
			}
		})
	}
}
