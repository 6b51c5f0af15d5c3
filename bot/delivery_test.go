package bot

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/keyturner/keyturner/rotation"
)

// fixedSSHKey is the same public key each time.
func fixedSSHKey(t *testing.T) string {
	t.Helper()
	public, err := ssh.NewPublicKey(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)).Public())
	if err != nil {
		t.Fatal(err)
	}
	return public.Type() + " " + base64.StdEncoding.EncodeToString(public.Marshal())
}

// delivered is a rotation that goes another way than the usual one.
func delivered(t *testing.T, d rotation.Delivery) *tale {
	return replace(t).with(func(r *rotation.Rotation) { r.Delivery = d })
}

// unposted is what the engine notes of a message that there is none of.
func unposted(r *rotation.Rotation) { r.Handover.Post = rotation.Post{} }

// TestDeliveryMessages shows every message that differs by where the secret goes.
func TestDeliveryMessages(t *testing.T) {
	long := rotation.Delivery{Mode: rotation.Sealed, Recipient: fixedSSHKey(t), Set: monday.Add(-40 * 24 * time.Hour)}
	young := long
	young.Set = monday.Add(-2 * time.Hour)
	secret := rotation.Delivery{Mode: rotation.InSecretsManager, Name: "keyturner/ci-deploy", Region: "eu-central-1"}
	parameter := rotation.Delivery{Mode: rotation.InSSM, Name: "/keyturner/ci-deploy", Region: "eu-central-1"}
	ask := func(tl *tale) message { return approvalCard(testView(), tl.r, tl.r.Asks[0]) }
	card := func(tl *tale) message { return ownerCard(testView(), tl.r) }
	below := func(tl *tale) message {
		m, ok := receipt(testView(), tl.r, 1, true)
		if !ok {
			t.Fatal("there is no message about the secret")
		}
		return m
	}
	refused := rotation.Failure{Class: rotation.ClassDenied, Text: "internal words"}
	switching := func(d rotation.Delivery) *tale { return delivered(t, d).toSwitching().with(unposted) }
	messages := map[string]message{
		"sealed-asked":             ask(delivered(t, long)),
		"sealed-asked-young":       ask(delivered(t, young)),
		"sealed-approved":          ask(delivered(t, young).by(alice, rotation.Approve)),
		"sealed-switching":         card(delivered(t, long).toSwitching()),
		"secretsmanager-asked":     ask(delivered(t, secret)),
		"secretsmanager-creating":  card(delivered(t, secret).by(alice, rotation.Approve)),
		"secretsmanager-writing":   card(delivered(t, secret).by(alice, rotation.Approve).works()),
		"secretsmanager-switching": card(switching(secret)),
		"secretsmanager-written":   below(switching(secret)),
		"secretsmanager-revoked":   below(switching(secret).by(owner, rotation.Abandon).works()),
		"secretsmanager-abandoned": card(switching(secret).by(owner, rotation.Abandon).works()),
		"secretsmanager-refused":   card(delivered(t, secret).by(alice, rotation.Approve).works().engine(rotation.Lose, refused).works()),
		"secretsmanager-shut": card(delivered(t, secret).by(alice, rotation.Approve).
			engine(rotation.Fail, rotation.Failure{Class: rotation.ClassDenied, Block: rotation.PlaceShut})),
		"ssm-asked":     ask(delivered(t, parameter)),
		"ssm-written":   below(switching(parameter)),
		"ssm-abandoned": card(switching(parameter).by(owner, rotation.Abandon).works()),
		"reveal-offer":  offerMessage(testView(), toReveal(t).offered().r, true),
		"reveal-over":   offerMessage(testView(), toReveal(t).offered().collects().r, false),
		"reveal-shown":  below(toReveal(t).offered().collects().works().works().with(unposted)),
		"mykey-set":     keySetMessage(rotation.Recipient{Key: long.Recipient, At: monday}),
		"mykey-news":    keyNewsMessage(rotation.Recipient{Key: fixedAgeKey, At: monday}),
	}
	var texts strings.Builder
	for _, name := range slices.Sorted(maps.Keys(messages)) {
		goldenMessage(t, "delivery/"+name, messages[name])
		fmt.Fprintf(&texts, "--- %s\n%s\n\n", name, messages[name].Text)
	}
	golden(t, "delivery.golden.txt", []byte(texts.String()))
	if strings.Contains(messages["sealed-asked"].Text, "Before you approve") || !strings.Contains(messages["sealed-asked-young"].Text, "Before you approve") {
		t.Error("a public key that was set shortly before is to be pointed out, and no other")
	}
}

// TestRevealWindow: the secret stands in one block of the window, and nothing in it sends it back.
func TestRevealWindow(t *testing.T) {
	r := toReveal(t).offered().collects().works().r
	goldenView(t, "delivery/reveal-ahead", revealAhead())
	v := revealWindow(testView(), r, r.New, rotation.NewSecret(theSecret))
	goldenView(t, "delivery/reveal-window", v)
	raw := string(encode(t, v))
	if n := strings.Count(raw, theSecret); n != 1 {
		t.Errorf("the window holds the secret %d times, want once", n)
	}
	if v.Submit != nil || v.NotifyOnClose || v.PrivateMetadata != "" || strings.Contains(raw, "action_id") {
		t.Errorf("something in the window would send it to us: %s", raw)
	}
}

// TestStoredMessage_HasNoReceipt: nothing is to be received where nothing is shown. It may still be disowned.
func TestStoredMessage_HasNoReceipt(t *testing.T) {
	r := delivered(t, rotation.Delivery{Mode: rotation.InSSM, Name: "/k/ci", Region: "eu-west-1"}).toSwitching().with(unposted).r
	if got := clicksOn(storedMessage(testView(), r)); len(got) != 1 || got[0] != "disown "+r.Ref().String() {
		t.Errorf("buttons %v", got)
	}
	if len(r.Handovers()) != 0 {
		t.Errorf("messages with secrets: %+v", r.Handovers())
	}
}
