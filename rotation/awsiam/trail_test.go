package awsiam_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/rotation/awsiam"
	"github.com/keyturner/keyturner/rotation/iamsim"
)

var trailRegions = []string{"eu-west-1", "us-east-1"}

// traced opens the account with two regions of its trail, and makes a key.
func (w world) traced() (*awsiam.Account, rotation.KeyID) {
	cfg := w.credentials(w.acme.Principal("keyturner"))
	w.acme.AddUser(iamsim.User{Name: "ci-deploy"})
	return w.open(awsiam.Config{AWS: cfg, TrailRegions: trailRegions}), rotation.KeyID(w.acme.AddKey("ci-deploy", iamsim.Key{}))
}

func (w world) perform(id rotation.KeyID, a iamsim.Activity) {
	w.Helper()
	if err := w.acme.Perform(string(id), a); err != nil {
		w.Fatal(err)
	}
}

func TestCalls(t *testing.T) {
	inWorld(t, iamsim.Config{}, func(w world) {
		a, id := w.traced()
		other := rotation.KeyID(w.acme.AddKey("ci-deploy", iamsim.Key{}))
		w.perform(id, iamsim.Activity{Service: "ec2", Region: "eu-west-1", UserAgent: "Boto3/1", SourceIP: "192.0.2.1"})
		first := time.Now().UTC()
		time.Sleep(time.Minute)
		w.perform(id, iamsim.Activity{Service: "ec2", Event: "StopInstances", Region: "eu-west-1", UserAgent: "Terraform/1", SourceIP: "192.0.2.2", Code: "UnauthorizedOperation"})
		w.perform(id, iamsim.Activity{Service: "s3", Region: "eu-west-1"}) // a data event
		w.perform(id, iamsim.Activity{Service: "iam", UserAgent: "aws-cli/2", SourceIP: "192.0.2.3"})
		w.perform(other, iamsim.Activity{Service: "ec2", Region: "eu-west-1"})
		want := []rotation.Call{
			{At: first.Add(time.Minute), Service: "ec2", Name: "StopInstances", Agent: "Terraform/1", Address: "192.0.2.2"},
			{At: first, Service: "ec2", Name: "DescribeInstances", Agent: "Boto3/1", Address: "192.0.2.1"},
		}
		got, more, err := a.Calls(w.Context(), "eu-west-1", id)
		if diff := cmp.Diff(want, got); diff != "" || more || err != nil {
			w.Errorf("%v, more %v; calls (-want +got):\n%s", err, more, diff)
		}
		got, _, err = a.Calls(w.Context(), "us-east-1", id)
		if err != nil || len(got) != 1 || got[0].Service != "iam" {
			w.Errorf("in the region of IAM: %+v, %v", got, err)
		}
	})
}

// TestCalls_Refused makes no call at all: AWS would list everybody's, or those of a region that nobody has named.
func TestCalls_Refused(t *testing.T) {
	inWorld(t, iamsim.Config{}, func(w world) {
		a, id := w.traced()
		_, _, err := a.Calls(w.Context(), "eu-west-1", "")
		callError(w.T, err, rotation.ClassInvalid)
		_, _, err = a.Calls(w.Context(), "eu-central-1", id)
		callError(w.T, err, rotation.ClassInvalid)
		if n := w.calls("LookupEvents"); n != 0 {
			w.Errorf("%d calls", n)
		}
	})
}

// TestCalls_Bounded has a key that is used without end: the latest calls are read, at the pace that AWS asks for in each region, and it is
// told that there are more.
func TestCalls_Bounded(t *testing.T) {
	inWorld(t, iamsim.Config{LookupsPerSecond: 2}, func(w world) {
		a, id := w.traced()
		for i := range 400 {
			w.perform(id, iamsim.Activity{Service: "ec2", Region: "eu-west-1", UserAgent: fmt.Sprint("app/", i)})
			time.Sleep(time.Second)
		}
		began := time.Now()
		got, more, err := a.Calls(w.Context(), "eu-west-1", id)
		if err != nil || !more || len(got) != 300 || got[0].Agent != "app/399" {
			w.Errorf("%d calls, more %v, %v", len(got), more, err)
		}
		if took := time.Since(began); took < 2*time.Second || took > 4*time.Second {
			w.Errorf("six pages took %s", took)
		}
		if n := w.calls("LookupEvents"); n != 6 {
			w.Errorf("%d calls, so AWS has throttled some", n)
		}
	})
}

func TestCalls_Failures(t *testing.T) {
	for _, test := range []struct {
		name  string
		fault iamsim.Fault
		want  rotation.Class
		calls int
	}{
		{"denied", iamsim.Fault{Code: "AccessDenied", Times: -1}, rotation.ClassDenied, 1},
		{"a region that is not enabled", iamsim.Fault{Code: "UnrecognizedClientException", Times: -1}, rotation.ClassDenied, 1},
		{"throttled", iamsim.Fault{Code: "Throttling", Times: -1}, rotation.ClassThrottled, 5},
		{"down", iamsim.Fault{Status: 503, Times: -1}, rotation.ClassUnknown, 5},
		{"cut off", iamsim.Fault{Drop: true, Times: -1}, rotation.ClassUnknown, 5},
		{"cut off in the answer", iamsim.Fault{Truncate: true, Times: -1}, rotation.ClassUnknown, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			inWorld(t, iamsim.Config{}, func(w world) {
				a, id := w.traced()
				w.perform(id, iamsim.Activity{Service: "ec2", Region: "eu-west-1"})
				test.fault.Region = "eu-west-1"
				w.sim.Fail("LookupEvents", test.fault)
				got, _, err := a.Calls(w.Context(), "eu-west-1", id)
				if call := callError(w.T, err, test.want); !strings.Contains(call.Op, "eu-west-1") || len(got) != 0 {
					w.Errorf("%d calls: %v", len(got), err)
				}
				if n := w.calls("LookupEvents"); test.calls > 0 && n != test.calls {
					w.Errorf("%d requests, want %d", n, test.calls)
				}
				if _, _, err := a.Calls(w.Context(), "us-east-1", id); err != nil {
					w.Errorf("the other region: %v", err)
				}
			})
		})
	}
}

// TestCalls_HalfRead keeps what was read before a page failed: it is use all the same.
func TestCalls_HalfRead(t *testing.T) {
	inWorld(t, iamsim.Config{PageSize: 2}, func(w world) {
		a, id := w.traced()
		for range 5 {
			w.perform(id, iamsim.Activity{Service: "ec2", Region: "eu-west-1"})
		}
		w.sim.Fail("LookupEvents", iamsim.Fault{}) // the first page goes well
		w.sim.Fail("LookupEvents", iamsim.Fault{Code: "AccessDenied", Times: -1})
		got, _, err := a.Calls(w.Context(), "eu-west-1", id)
		callError(w.T, err, rotation.ClassDenied)
		if len(got) != 2 {
			w.Errorf("%d calls are left of what was read", len(got))
		}
	})
}
