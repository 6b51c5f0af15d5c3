package rotation_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
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
	"github.com/keyturner/keyturner/store"
	"github.com/keyturner/keyturner/store/dynalitetest"
)

// firm is some accounts with findings of many kinds, on their real wire, and engines that scan them one after the other.
type firm struct {
	*testing.T
	sim      *iamsim.Sim
	accounts []rotation.Account
	kept     rotation.Store
	policy   rotation.Policy
	owners   *rotation.Owners // nil: those with a tag
	said     strings.Builder
	log      *slog.Logger
}

// newFirm makes accounts of which the first, "000000001000", has so many old keys that they take several parts.
func newFirm(t *testing.T, kept rotation.Store, accounts int) *firm {
	t.Helper()
	f := &firm{T: t, sim: iamsim.New(iamsim.Config{}), kept: kept, policy: benchPolicy}
	f.log = slog.New(slog.NewTextHandler(&f.said, nil))
	for n := range accounts {
		id := fmt.Sprintf("%012d", 1000+n)
		a := f.sim.AddAccount(id, "")
		a.SetRootKey(ago(900), ago(1))
		tags := map[string]string{"slack-user-id": string(owner), "note": strings.Repeat("x", 250), "more": strings.Repeat("y", 250), "most": strings.Repeat("z", 250)}
		users := map[string]iamsim.Key{
			"idle": {Created: ago(60), LastUsed: ago(50), Service: "s3"}, "never": {Created: ago(60)},
			"young": {Created: ago(10), LastUsed: ago(0), Service: "s3"}, "inactive": {Created: ago(10), Inactive: true},
		}
		for i := range map[bool]int{true: 150, false: 3}[n == 0] {
			users[fmt.Sprintf("old-%03d", i)] = iamsim.Key{Created: ago(80 + i), LastUsed: ago(0), Service: "s3", Region: "eu-west-1"}
		}
		for name, key := range users {
			a.AddUser(iamsim.User{Name: name, Path: "/team/", Tags: tags, Groups: []string{"dev"}})
			a.AddKey(name, key)
		}
		a.AddUser(iamsim.User{Name: "leaky", Policies: []string{"arn:aws:iam::aws:policy/AWSCompromisedKeyQuarantineV3"}})
		a.AddKey("leaky", iamsim.Key{Created: ago(3)})
		key, secret := a.Principal("keyturner")
		f.accounts = append(f.accounts, reach(t, awsiam.Config{ID: id, ReadsPerSecond: 1000, AWS: aws.Config{
			Credentials: credentials.NewStaticCredentialsProvider(key, secret, ""), HTTPClient: &http.Client{Transport: f.sim.Transport()},
		}}))
	}
	return f
}

// survey scans with a new engine, as another process would, and tells which accounts it made calls to.
func (f *firm) survey(ctx context.Context, kept rotation.Store) (rotation.Survey, string, error) {
	f.Helper()
	before, engine := len(f.sim.Calls()), f.engine(kept)
	s, err := engine.Survey(ctx)
	for _, a := range s.Accounts {
		leaky := rotation.UserRef{Account: a.ID, Name: "leaky"}
		if err == nil && a.Err == nil && !engine.InQuarantine(leaky) {
			f.Errorf("it is not known that %s is in quarantine", leaky)
		}
	}
	return s, f.asked(before), err
}

func (f *firm) engine(kept rotation.Store) *rotation.Engine {
	f.Helper()
	return f.with(func(c *rotation.Config) { c.Store = kept })
}

func (f *firm) with(change func(*rotation.Config)) *rotation.Engine {
	f.Helper()
	cfg := rotation.Config{
		Store: f.kept, Shared: true, Hand: newHand(), Accounts: f.accounts, Policy: f.policy, Terms: terms,
		Owners: rotation.Owners{Tag: "slack-user-id"}, Logger: f.log, Approvers: []rotation.MemberID{carol, dave},
	}
	if f.owners != nil {
		cfg.Owners = *f.owners
	}
	change(&cfg)
	engine, err := rotation.New(cfg)
	if err != nil {
		f.Fatal(err)
	}
	return engine
}

// asked tells which accounts got calls after so many of them, by the ends of their ids.
func (f *firm) asked(after int) string {
	var asked []string
	for _, c := range f.sim.Calls()[after:] {
		if last := c.Account[9:]; !slices.Contains(asked, last) {
			asked = append(asked, last)
		}
	}
	slices.Sort(asked)
	return strings.Join(asked, " ")
}

// cutOff begins a scan in which the first accounts answer, and that ends when so many of them were kept.
func (f *firm) cutOff(accounts, kept int) {
	f.Helper()
	ctx, cancel := context.WithCancel(f.Context())
	defer cancel()
	slow := &counted{Store: f.kept, read: func(n int) {
		if n == kept {
			cancel()
		}
	}}
	whole := f.accounts
	f.accounts = slices.Clone(whole)
	for i := accounts; i < len(whole); i++ { // those that answer too late
		f.accounts[i].IAM = tardy{f.accounts[i].IAM}
	}
	if _, _, err := f.survey(ctx, slow); !errors.Is(err, context.Canceled) {
		f.Fatalf("the scan was not cut off: %v", err)
	}
	f.accounts = whole
}

// counted counts the accounts that were kept.
type counted struct {
	rotation.Store
	n    int
	read func(n int)
}

func (c *counted) KeepReading(ctx context.Context, r rotation.Reading) error {
	err := c.Store.KeepReading(ctx, r)
	if err == nil && r.Totals != nil {
		c.n++
		c.read(c.n)
	}
	return err
}

// tardy is an account whose report does not come.
type tardy struct{ rotation.IAM }

func (tardy) Report(ctx context.Context, _ func(rotation.ReportRow) error) (time.Time, error) {
	<-ctx.Done()
	return time.Time{}, ctx.Err()
}

// left counts the parts that are kept.
func (f *firm) left() (n int) {
	f.Helper()
	if err := f.kept.Readings(f.Context(), func(rotation.Reading) error { n++; return nil }); err != nil {
		f.Log(err)
	}
	return n
}

// wantSame holds that a survey is what one would be that nothing has disturbed, but for when it began.
func (f *firm) wantSame(got rotation.Survey) {
	f.Helper()
	want, asked, err := f.survey(f.Context(), store.NewMem())
	if err != nil || asked == "" || len(want.Findings) < 150 {
		f.Fatalf("the scan to compare with: %d findings, calls to %q, error %v", len(want.Findings), asked, err)
	}
	for i := range got.Accounts {
		if i < len(want.Accounts) { // a moment later
			want.Accounts[i].ReportMade = got.Accounts[i].ReportMade
		}
	}
	got.At = want.At
	if diff := cmp.Diff(want, got); diff != "" {
		f.Errorf("the survey (-undisturbed +resumed):\n%s", diff)
	}
}

// TestSurvey_GoesOn: what a scan has read to its end before it was cut off is not read again, by whichever process goes on, and what it finds is
// what an undisturbed scan finds.
func TestSurvey_GoesOn(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) rotation.Store{
		"mem": func(*testing.T) rotation.Store { return store.NewMem() },
		"bolt": func(t *testing.T) rotation.Store {
			s, err := store.Open("bolt:" + filepath.Join(t.TempDir(), "keyturner.db"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			return s
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFirm(t, open(t), 4)
				began := time.Now()
				f.cutOff(2, 2)
				if n := f.left(); n < 4 {
					t.Fatalf("%d parts of two accounts are kept, of which one is large", n)
				}
				time.Sleep(20 * time.Minute)
				s, asked, err := f.survey(t.Context(), f.kept)
				if err != nil || asked != "002 003" || !s.At.Equal(began) {
					t.Errorf("calls to %q, began %v, error %v; want those that were not read and the first beginning", asked, s.At.Sub(began), err)
				}
				if n := f.left(); n != 0 {
					t.Errorf("%d parts are left of a scan that is through", n)
				}
				f.wantSame(s)
			})
		})
	}
}

// TestSurvey_GoesOnAgain: a scan that is cut off twice goes on with what both have read, and says when the first began.
func TestSurvey_GoesOnAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFirm(t, store.NewMem(), 4)
		began := time.Now()
		f.cutOff(1, 1)
		time.Sleep(20 * time.Minute)
		f.cutOff(2, 1) // the other one is kept already
		s, asked, err := f.survey(t.Context(), f.kept)
		if err != nil || asked != "002 003" || !s.At.Equal(began) {
			t.Errorf("calls to %q, began %v, error %v", asked, s.At.Sub(began), err)
		}
		f.wantSame(s)
	})
}

// TestSurvey_GoesOnWithTheNextLeader: a process that loses its store in the midst of a scan, and with it the lead, is followed by one that goes
// on with what it has kept.
func TestSurvey_GoesOnWithTheNextLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFirm(t, store.NewMem(), 4)
		began := time.Now()
		line := newFaulty(f.kept, nil)
		whole := slices.Clone(f.accounts)
		f.accounts[2].IAM, f.accounts[3].IAM = tardy{whole[2].IAM}, tardy{whole[3].IAM}
		first := f.engine(&counted{Store: line, read: func(n int) { line.cut.Store(n == 2) }})
		f.accounts = whole
		second := f.engine(f.kept)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		deposed, done := make(chan error, 1), make(chan rotation.Survey, 1)
		go func() {
			_ = first.Lead(ctx, "lead", func(ctx context.Context) error {
				_, err := first.Survey(ctx)
				deposed <- err
				<-ctx.Done()
				return nil
			})
		}()
		time.Sleep(10 * time.Second) // it leads, and has read the two that answer
		before := len(f.sim.Calls())
		go func() {
			_ = second.Lead(ctx, "lead", func(ctx context.Context) error {
				s, err := second.Survey(ctx)
				if err != nil {
					t.Error(err)
				}
				done <- s
				<-ctx.Done()
				return nil
			})
		}()
		s := <-done
		asked, err := f.asked(before), <-deposed
		if asked != "002 003" || !s.At.Equal(began) || !errors.Is(err, context.Canceled) {
			t.Errorf("calls to %q, began %v; the first one's scan: %v", asked, s.At.Sub(began), err)
		}
		cancel()
		f.wantSame(s)
	})
}

// TestSurvey_GoesOnFromATable is TestSurvey_GoesOn on DynamoDB, in true time.
func TestSurvey_GoesOnFromATable(t *testing.T) {
	endpoint := dynalitetest.Start(t)
	dynalitetest.CreateTable(t, endpoint, "keyturner")
	kept, err := store.Config{AWS: dynalitetest.AWS(endpoint)}.Open("dynamodb:" + dynalitetest.Region + "/keyturner")
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	f := newFirm(t, kept, 3)
	f.cutOff(2, 2)
	if n := f.left(); n < 4 {
		t.Fatalf("%d parts are kept", n)
	}
	s, asked, err := f.survey(t.Context(), kept)
	if err != nil || asked != "002" || f.left() != 0 {
		t.Errorf("calls to %q, %d parts left, error %v", asked, f.left(), err)
	}
	if len(s.Unread()) > 0 || len(s.Accounts) != 3 {
		t.Errorf("accounts %+v", s.Accounts)
	}
}

// TestSurvey_ReadsAgain: what cannot be relied on is read again.
func TestSurvey_ReadsAgain(t *testing.T) {
	const all = "000 001 002"
	for _, test := range []struct {
		name  string
		spoil func(*firm)
		want  string // the accounts that are read
	}{
		{"nothing is wrong", func(*firm) {}, "002"},
		{"almost an hour has passed", func(*firm) { time.Sleep(time.Hour - time.Minute) }, "002"},
		{"an hour has passed", func(*firm) { time.Sleep(time.Hour) }, all},
		{"the policy is another one", func(f *firm) { f.policy.MaxAge -= day }, all},
		{"so is a rule", func(f *firm) {
			f.policy.Rules = []rotation.AgeRule{{Name: "x", Matches: rotation.Matches{Tag: "a"}, WarnAge: day, MaxAge: day, UnusedAge: day}}
		}, all},
		{"an account is not looked after any more", func(f *firm) { f.accounts = slices.Delete(f.accounts, 1, 2) }, "002"},
		{"only one account is", func(f *firm) { f.accounts = f.accounts[:1] }, ""},
		{"the first part of one is missing", func(f *firm) {
			f.rewrite(func(r *rotation.Reading) bool { return r.Part != 0 || r.Account[9:] != "000" })
		}, "000 002"},
		{"a part within is missing", func(f *firm) { f.rewrite(func(r *rotation.Reading) bool { return r.Part != 1 }) }, "000 002"},
		{"the last part of each is missing", func(f *firm) { f.rewrite(func(r *rotation.Reading) bool { return r.Totals == nil }) }, all},
		{"it was begun in the future", func(f *firm) {
			f.rewrite(func(r *rotation.Reading) bool { r.Scan = r.Scan.Add(2 * time.Hour); return true })
		}, all},
		{"parts are of another turn", func(f *firm) {
			f.rewrite(func(r *rotation.Reading) bool {
				if r.Part == 1 {
					r.Turn += "z"
				}
				return true
			})
		}, "000 002"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFirm(t, newQuickStore(), 3)
				f.cutOff(2, 2)
				test.spoil(f)
				s, asked, err := f.survey(t.Context(), f.kept)
				if err != nil || asked != test.want || len(s.Accounts) != len(f.accounts) || f.left() != 0 {
					t.Errorf("calls to %q, want %q; %d accounts, %d parts left, error %v", asked, test.want, len(s.Accounts), f.left(), err)
				}
				f.wantSame(s)
			})
		})
	}
}

// rewrite changes what is kept, and drops that of which change says no.
func (f *firm) rewrite(change func(*rotation.Reading) bool) {
	kept := f.kept.(*quickStore)
	kept.readings = slices.DeleteFunc(kept.readings, func(r rotation.Reading) bool { return !change(&r) })
	for i := range kept.readings {
		change(&kept.readings[i])
	}
}

// TestSurvey_KeepsNothingOfOne: a company with one account has nothing written, and neither is an account that failed.
func TestSurvey_KeepsNothingOfOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var writes []string
		kept := newFaulty(store.NewMem(), func(method string) fate {
			if strings.HasSuffix(method, "Reading") || strings.HasSuffix(method, "Readings") {
				writes = append(writes, method)
			}
			return fate{}
		})
		f := newFirm(t, kept, 1)
		if _, _, err := f.survey(t.Context(), kept); err != nil || len(writes) > 0 {
			t.Errorf("one account: %v, error %v", writes, err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		f := newFirm(t, store.NewMem(), 3)
		f.sim.Fail("ListAccessKeys", iamsim.Fault{Code: "AccessDenied", User: "old-149", Times: -1}) // of the first account alone
		f.cutOff(2, 1)                                                                               // the second alone is kept
		f.sim.Heal()
		s, asked, err := f.survey(t.Context(), f.kept)
		if err != nil || asked != "000 002" {
			t.Errorf("calls to %q, error %v", asked, err)
		}
		f.wantSame(s)
	})
}

// TestSurvey_ReadsAgainForOtherOwners: at whom a scan looks depends on where it stands who is answerable, too. If that is another by the restart,
// who was passed over before is found all the same.
func TestSurvey_ReadsAgainForOtherOwners(t *testing.T) {
	for name, change := range map[string]func(*rotation.Owners){
		"another tag":       func(o *rotation.Owners) { o.Tag = "owner" },
		"a link taken out":  func(o *rotation.Owners) { o.Links = nil },
		"a group taken out": func(o *rotation.Owners) { o.Groups = nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFirm(t, store.NewMem(), 3)
				for user, tag := range map[string]string{"linked": "", "of-a-group": "S0123456"} {
					a := f.sim.AddAccount(f.accounts[0].ID, "")
					a.AddUser(iamsim.User{Name: user, Tags: map[string]string{"slack-user-id": tag}})
					a.AddKey(user, iamsim.Key{Created: ago(5), LastUsed: ago(0), Service: "s3"})
				}
				owners := rotation.Owners{
					Tag: "slack-user-id", Groups: []rotation.GroupID{"S0123456"},
					Links: map[rotation.UserRef]rotation.MemberID{{Account: f.accounts[0].ID, Name: "linked"}: owner},
				}
				f.owners = &owners
				f.cutOff(2, 2)
				change(&owners)
				s, _, err := f.survey(t.Context(), f.kept)
				if err != nil || len(unownedIn(s)) < 2 {
					t.Errorf("without an owner are %v, error %v", unownedIn(s), err)
				}
				f.wantSame(s)
			})
		})
	}
}
