package rotation

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSteady(t *testing.T) {
	for agent, want := range map[string]string{
		"": "",
		"Boto3/1.34.0 md/Botocore#1.34.0 ua/2.0 os/linux lang/python#3.11.2 md/pyimpl#CPython cfg/retry-mode#legacy m/b,D Botocore/1.34.0": "Boto3/1.34.0 os/linux lang/python#3.11.2",
		"aws-cli/2.15.0 Python/3.11.6 md/command#s3.ls":  "aws-cli/2.15.0 Python/3.11.6",
		"aws-cli/1.16.0  command/ec2.describe-instances": "aws-cli/1.16.0",
	} {
		if got := steady(agent); got != want {
			t.Errorf("%q becomes %q, want %q", agent, got, want)
		}
	}
}

func TestGather(t *testing.T) {
	at := func(minutes int) time.Time { return noon.Add(-time.Duration(minutes) * time.Minute) }
	call := func(minutes int, service, name, agent, address string) Call {
		return Call{at(minutes), service, name, agent, address}
	}
	callers, more := gather(map[string][]Call{
		"eu-west-1": {
			call(1, "ec2", "DescribeInstances", "Boto3/1 m/a", "192.0.2.1"),
			call(2, "ec2", "DescribeVolumes", "Boto3/1 m/b,c", "192.0.2.1"),
			call(3, "ec2", "DescribeInstances", "Boto3/1", "192.0.2.1"),
			call(4, "ec2", "DescribeInstances", "Boto3/1", "192.0.2.2"),
			call(5, "ec2", "A", "Terraform/1", "192.0.2.1"), call(6, "ec2", "B", "Terraform/1", "192.0.2.1"),
			call(7, "ec2", "C", "Terraform/1", "192.0.2.1"), call(8, "ec2", "D", "Terraform/1", "192.0.2.1"),
		},
		"us-east-1": {
			call(9, "sts", "GetCallerIdentity", "Boto3/1", "192.0.2.1"),
			call(10, "ec2", "DescribeVolumes", "Boto3/1", "192.0.2.1"),
		},
		"eu-central-1": nil,
	})
	both, west := []string{"eu-west-1", "us-east-1"}, []string{"eu-west-1"}
	want := []Caller{
		{"ec2", "Boto3/1", "192.0.2.1", 4, []string{"DescribeInstances", "DescribeVolumes"}, both, at(1)},
		{"ec2", "Boto3/1", "192.0.2.2", 1, []string{"DescribeInstances"}, west, at(4)},
		{"ec2", "Terraform/1", "192.0.2.1", 4, []string{"A", "B", "C"}, west, at(5)},
		{"sts", "Boto3/1", "192.0.2.1", 1, []string{"GetCallerIdentity"}, []string{"us-east-1"}, at(9)},
	}
	if diff := cmp.Diff(want, callers); diff != "" || more != 0 {
		t.Errorf("%d more; callers (-want +got):\n%s", more, diff)
	}
}

// TestGather_Bounded has somebody who names themselves otherwise at each call, at any length.
func TestGather_Bounded(t *testing.T) {
	var calls []Call
	for i := range 300 {
		long := fmt.Sprintf("%03d", i) + strings.Repeat("<", 2000)
		calls = append(calls, Call{noon.Add(-time.Duration(i) * time.Second), long, long, long, long})
	}
	callers, more := gather(map[string][]Call{"eu-west-1": calls})
	if len(callers) != maxCallers || more != 300-maxCallers {
		t.Fatalf("%d callers and %d more", len(callers), more)
	}
	latest := slices.MaxFunc(callers, func(a, b Caller) int { return a.Last.Compare(b.Last) })
	if !latest.Last.Equal(noon) {
		t.Errorf("the latest was left out: %s", latest.Last)
	}
	for _, c := range callers {
		if n := len(c.Service) + len(c.Agent) + len(c.Address) + len(c.Names[0]); n > 3*maxWord+maxAgent+20 {
			t.Errorf("a caller of %d bytes", n)
		}
	}
}
