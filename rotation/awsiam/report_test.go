package awsiam_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/rotation/iamsim"
)

const (
	get      = "GetCredentialReport"
	generate = "GenerateCredentialReport"
)

// reported is a report as it was told.
type reported struct {
	Made time.Time
	Rows []rotation.ReportRow
}

func report(ctx context.Context, w world) (r reported, err error) {
	r.Made, err = w.account.Report(ctx, func(row rotation.ReportRow) error {
		r.Rows = append(r.Rows, row)
		return nil
	})
	return r, err
}

func TestReport(t *testing.T) {
	inWorld(t, iamsim.Config{}, func(w world) {
		w.acme.SetRootKey(march, april)
		w.acme.AddUser(iamsim.User{Name: "ci-deploy", Created: march})
		w.acme.AddKey("ci-deploy", iamsim.Key{ID: keyA, Created: march, LastUsed: april, Service: "s3"})
		w.acme.AddKey("ci-deploy", iamsim.Key{ID: keyB, Created: april, Inactive: true})
		w.acme.AddUser(iamsim.User{Name: "person", Created: march, PasswordEnabled: true})
		asked := time.Now().UTC()
		got, err := report(w.Context(), w)
		if err != nil {
			w.Fatal(err)
		}
		want := reported{Made: asked, Rows: []rotation.ReportRow{
			{User: "<root_account>", Root: true, Keys: []rotation.ReportKey{{
				Active: true, Rotated: march,
				LastUse: rotation.LastUse{State: rotation.Used, At: april, Service: "s3", Region: "us-east-1"},
			}}},
			{User: "ci-deploy", Keys: []rotation.ReportKey{
				{Active: true, Rotated: march, LastUse: rotation.LastUse{State: rotation.Used, At: april, Service: "s3"}},
				{Rotated: april, LastUse: rotation.LastUse{State: rotation.NeverUsed}},
			}},
			{User: "person", Console: true},
		}}
		if diff := cmp.Diff(want, got); diff != "" {
			w.Errorf("report (-want +got):\n%s", diff)
		}
	})
}

// TestReport_Waits follows the states of a report, with the calls and the time that they cost.
func TestReport_Waits(t *testing.T) {
	for _, test := range []struct {
		name  string
		delay time.Duration // from STARTED to COMPLETE
		fail  func(*iamsim.Sim)
		ops   []string
		took  time.Duration
	}{
		{"made at once", 0, nil, []string{get, generate, get}, 2 * time.Second},
		{"made in five seconds", 5 * time.Second, nil, []string{get, generate, get, get}, 6 * time.Second},
		{
			"made in a minute", time.Minute, nil,
			[]string{get, generate, get, get, get, get, get, get, get},
			74 * time.Second, // at 2, 6, 14, 29, 44, 59, 74
		},
		{
			"somebody else is having it made", 0,
			func(s *iamsim.Sim) { s.Fail(get, iamsim.Fault{Times: 2, Code: "ReportInProgress"}) },
			[]string{get, get, get, generate, get},
			14 * time.Second,
		},
		{
			"expired", 0,
			func(s *iamsim.Sim) { s.Fail(get, iamsim.Fault{Code: "ReportExpired"}) },
			[]string{get, generate, get},
			2 * time.Second,
		},
		{
			"asked for too often", 0,
			func(s *iamsim.Sim) { s.Fail(generate, iamsim.Fault{Times: 2, Code: "LimitExceeded"}) },
			[]string{get, generate, get, generate, get, generate, get},
			14 * time.Second,
		},
		{
			"complete at once, in the answer to the request", 0,
			func(s *iamsim.Sim) {
				s.Fail(get, iamsim.Fault{Code: "ReportNotPresent"})
				s.Fail(generate, iamsim.Fault{Apply: true, Code: "Throttling"})
			},
			[]string{get, generate, generate, get},
			-1,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, iamsim.Config{ReportDelay: test.delay}, func(w world) {
				if test.fail != nil {
					test.fail(w.sim)
				}
				start := time.Now()
				if _, err := report(w.Context(), w); err != nil {
					w.Fatal(err)
				}
				if got := time.Since(start); got != test.took && test.took >= 0 {
					w.Errorf("took %s, want %s", got, test.took)
				}
				if diff := cmp.Diff(test.ops, w.ops()); diff != "" {
					w.Errorf("calls (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestReport_ReadsTheOneThatIsThere(t *testing.T) {
	inWorld(t, iamsim.Config{}, func(w world) {
		first, err := report(w.Context(), w)
		if err != nil {
			w.Fatal(err)
		}
		time.Sleep(time.Hour) // of the bubble
		w.acme.AddUser(iamsim.User{Name: "new"})
		before := len(w.ops())
		second, err := report(w.Context(), w)
		if err != nil {
			w.Fatal(err)
		}
		if diff := cmp.Diff(first, second); diff != "" {
			w.Errorf("a report of the same four hours (-first +second):\n%s", diff)
		}
		if got, want := w.ops()[before:], []string{get}; !slices.Equal(got, want) {
			w.Errorf("got calls %v, want %v", got, want)
		}
		time.Sleep(4 * time.Hour)
		if third, err := report(w.Context(), w); err != nil || len(third.Rows) != 2 {
			w.Errorf("got %+v, %v, want a new report", third, err)
		}
	})
}

func TestReport_Fails(t *testing.T) {
	for _, test := range []struct {
		name  string
		op    string
		fault iamsim.Fault
		class rotation.Class
		code  string
		least time.Duration
	}{
		{"never ready", get, iamsim.Fault{Code: "ReportInProgress"}, rotation.ClassThrottled, "ReportInProgress", 4*time.Minute + 45*time.Second},
		{"blocked", generate, iamsim.Fault{Code: "LimitExceeded"}, rotation.ClassThrottled, "LimitExceeded", 4*time.Minute + 45*time.Second},
		{"not granted", get, iamsim.Fault{Code: "AccessDenied"}, rotation.ClassDenied, "AccessDenied", 0},
		{"not granted to generate", generate, iamsim.Fault{Code: "AccessDenied"}, rotation.ClassDenied, "AccessDenied", 0},
		{"throttled", get, iamsim.Fault{Code: "Throttling"}, rotation.ClassThrottled, "Throttling", 0},
		{"cut", get, iamsim.Fault{Drop: true}, rotation.ClassUnknown, "", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, iamsim.Config{}, func(w world) {
				test.fault.Times = -1
				w.sim.Fail(test.op, test.fault)
				start := time.Now()
				_, err := report(w.Context(), w)
				call := callError(w.T, err, test.class)
				if call.Code != test.code || call.Op != "read the credential report of account acme (111122223333)" {
					w.Errorf("got %+v, want code %q", call, test.code)
				}
				if took := time.Since(start); took < test.least || took > 5*time.Minute {
					w.Errorf("took %s, want %s to 5m", took, test.least)
				}
			})
		})
	}
}

func TestReport_Cancelled(t *testing.T) {
	inWorld(t, iamsim.Config{ReportDelay: time.Hour}, func(w world) {
		ctx, cancel := context.WithTimeout(w.Context(), 20*time.Second)
		defer cancel()
		start := time.Now()
		_, err := report(ctx, w)
		callError(w.T, err, rotation.ClassUnknown)
		if took := time.Since(start); took != 20*time.Second {
			w.Errorf("took %s, want 20s", took)
		}
	})
}
