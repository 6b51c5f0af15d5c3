package main

import (
	"strings"
	"testing"
	"time"

	"github.com/keyturner/keyturner/rotation/iamsim"
)

// perform has an application with a name of its own use a key.
func (s *story) perform(key string, a iamsim.Activity) {
	s.t.Helper()
	s.must(s.w.account.Perform(key, a))
	s.w.changes.touch()
}

// Ana has forgotten an application. She confirms, learns that the old key is in use, and then by what: a program at an address, whose name
// mentions everybody in vain.
func TestStory_WhoStillUsesTheOldKey(t *testing.T) {
	t.Parallel()
	s := begin(t)
	old, fresh := s.switching("ci-deploy")
	s.use(fresh.ID)
	forgotten := iamsim.Activity{Service: "ec2", Region: region, UserAgent: "Boto3/1.34.0 exec-env/AWS_ECS_FARGATE <!channel> m/a", SourceIP: "198.51.100.7"}
	s.perform(old.ID, forgotten)
	s.perform(old.ID, iamsim.Activity{Service: "s3", Region: region, UserAgent: "never seen here"})
	s.click(ana, dm, "confirm", "Key rotation for ci-deploy")
	s.told(ana, dm, "The rotation's card shows in a moment who still uses it")
	card := s.offer(ana, dm, "trace", "Key rotation for ci-deploy", "Who has used", "ec2 (DescribeInstances)",
		"Boto3/1.34.0 exec-env/AWS_ECS_FARGATE &lt;!channel&gt;", "198.51.100.7", "1 call in "+region, "data events", "never proves that there are none")
	if strings.Contains(card.Text, "<!channel>") || strings.Contains(card.Text, "never seen here") {
		t.Errorf("the card mentions everybody, or shows what CloudTrail does not: %s", card.Text)
	}

	// Later she asks again, and us-east-1 does not answer: what is unknown is named, and never reads as no use.
	s.w.skip(time.Hour)
	s.w.aws.Fail("LookupEvents", iamsim.Fault{Code: "AccessDenied", Times: -1, Region: "us-east-1"})
	s.perform(old.ID, forgotten)
	s.click(ana, dm, "trace", "Key rotation for ci-deploy")
	s.told(ana, dm, "2 calls in "+region, "us-east-1 could not be read because AWS did not permit it")
	s.see(ana, dm, "Steps:", "us-east-1 could not be read")
	s.w.aws.Heal()

	// On-call is told of any key, and the gate goes by the last use alone.
	s.types(dave, "whois "+old.ID, "Whose key is", "Who has used", "198.51.100.7")
	s.w.skip(25 * time.Hour)
	s.click(ana, dm, "confirm", "Key rotation for ci-deploy")
	s.see(carol, "key-approvals", "Deactivate the old key of ci-deploy", "Who has used", "198.51.100.7")
}

// CloudTrail is denied altogether: the rotation goes on as without it.
func TestStory_CloudTrailIsDenied(t *testing.T) {
	t.Parallel()
	s := begin(t)
	old, fresh := s.switching("ci-deploy")
	s.w.aws.Fail("LookupEvents", iamsim.Fault{Code: "AccessDenied", Times: -1})
	s.use(fresh.ID)
	s.use(old.ID)
	s.click(ana, dm, "confirm", "Key rotation for ci-deploy")
	s.see(ana, dm, "Key rotation for ci-deploy", "It is not known who uses", "did not permit it")
	s.w.skip(25 * time.Hour)
	s.click(ana, dm, "confirm", "Key rotation for ci-deploy")
	s.offer(carol, "key-approvals", "approve", "Deactivate the old key of ci-deploy")
}
