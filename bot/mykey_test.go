package bot

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io"
	"strings"
	"testing"

	agecrypt "filippo.io/age"
	"filippo.io/age/agessh"
	"filippo.io/age/armor"
	"golang.org/x/crypto/ssh"

	"github.com/keyturner/keyturner/rotation"
)

// fixedAgeIdentity and fixedAgeKey are a pair that was made for tests.
const (
	fixedAgeIdentity = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"
	fixedAgeKey      = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"
)

// pair is a private key with what is typed of its public key.
type pair struct {
	typed    string
	private  string // as it stands in its file
	identity agecrypt.Identity
}

// sshPair makes a pair of SSH's, with the public key as ssh-keygen writes it.
func sshPair(t *testing.T, private any, public any) pair {
	t.Helper()
	block, err := ssh.MarshalPrivateKey(private, "olivia@laptop")
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	file := pem.EncodeToMemory(block)
	identity, err := agessh.ParseIdentity(file)
	if err != nil {
		t.Fatal(err)
	}
	return pair{strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))) + " olivia@laptop", string(file), identity}
}

// pairs makes one of each kind.
func pairs(t *testing.T) map[string]pair {
	t.Helper()
	x25519, err := agecrypt.GenerateX25519Identity()
	must(t, err)
	hybrid, err := agecrypt.GenerateHybridIdentity()
	must(t, err)
	edPublic, edPrivate, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	rsaPrivate, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	return map[string]pair{
		"age":         {x25519.Recipient().String(), x25519.String(), x25519},
		"age hybrid":  {hybrid.Recipient().String(), hybrid.String(), hybrid},
		"ssh-ed25519": sshPair(t, edPrivate, edPublic),
		"ssh-rsa":     sshPair(t, rsaPrivate, &rsaPrivate.PublicKey),
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(sealed string, identity agecrypt.Identity) (string, error) {
	r, err := agecrypt.Decrypt(armor.NewReader(strings.NewReader(sealed)), identity)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(r)
	return string(text), err
}

// TestSeal: what is sealed for a key is opened with its private key and with no other, is in Slack's limits, and tells nothing of itself.
func TestSeal(t *testing.T) {
	all := pairs(t)
	for name, p := range all {
		t.Run(name, func(t *testing.T) {
			r := delivered(t, rotation.Delivery{Mode: rotation.Sealed, Recipient: typedKey(p.typed), Set: monday}).by(alice, rotation.Approve).works().r
			to, err := sealer(r)
			must(t, err)
			want := credentials(r.New, rotation.NewSecret(theSecret))
			sealed, err := seal(to, want)
			must(t, err)
			for other, q := range all {
				got, err := open(sealed, q.identity)
				if other == name && (err != nil || got != want) {
					t.Errorf("its own private key opens %q, %v", got, err)
				} else if other != name && err == nil {
					t.Errorf("the private key of %s opens it", other)
				}
			}
			m := sealedMessage(testView(), r, r.New, sealed)
			checkMessage(t, m)
			raw := string(encode(t, m))
			for part := range strings.SplitSeq(theSecret, "/") {
				if strings.Contains(raw, part) {
					t.Errorf("the message holds a piece of the secret: %s", part)
				}
			}
			if strings.Contains(m.Text, "BEGIN AGE") || !strings.Contains(raw, "BEGIN AGE ENCRYPTED FILE") || !strings.Contains(m.Text, "age -d -i") {
				t.Errorf("the sealed secret is to stand in the blocks alone, and the text says how to open it: %s", m.Text)
			}
			if again, _ := seal(to, want); again == sealed {
				t.Error("it comes out the same each time")
			}
		})
	}
}

func TestSealer_UnreadableKey(t *testing.T) {
	_, err := sealer(rotation.Rotation{Delivery: rotation.Delivery{Mode: rotation.Sealed, Recipient: "age1nonsense"}})
	if call, ok := errors.AsType[*rotation.CallError](err); !ok || call.Class != rotation.ClassInvalid {
		t.Errorf("got %v, want a refusal before there is a key", err)
	}
}

// TestTypedKey: of what is typed after mykey, only a public key that was understood in full is kept, without its comment.
func TestTypedKey(t *testing.T) {
	for name, p := range pairs(t) {
		kept := typedKey(p.typed)
		if kept == "" || !strings.HasPrefix(p.typed, kept) || strings.Contains(kept, "olivia") || typedKey(kept) != kept {
			t.Errorf("%s: %q is kept of %q", name, kept, p.typed)
		}
		if got := keptOf("MyKey  " + p.typed); got != "mykey "+kept {
			t.Errorf("%s: %q goes through the inbox", name, got)
		}
		for _, private := range []string{p.private, strings.ToLower(p.private), p.typed + " " + p.private, p.private[:60], "x" + p.private} {
			for _, typed := range []string{private, "mykey " + private, "status " + private} {
				if got := keptOf(typed); got != wordMyKey+" "+typedPrivate || typedKey(got) != typedPrivate {
					t.Errorf("%s: %q goes through the inbox of a private key", name, got)
				}
			}
		}
	}
	tooShort, err := rsa.GenerateKey(rand.Reader, 1024)
	must(t, err)
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	public := func(key any) string {
		k, err := ssh.NewPublicKey(key)
		must(t, err)
		return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k)))
	}
	ed := fixedSSHKey(t)
	blob, _ := base64.StdEncoding.DecodeString(strings.Fields(ed)[1])
	for name, typed := range map[string]string{
		"an AWS secret":        "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
		"a short RSA key":      public(&tooShort.PublicKey),
		"a key of ECDSA":       public(&curve.PublicKey),
		"one with more in it":  "ssh-ed25519 " + base64.StdEncoding.EncodeToString(append(blob, "hunter2"...)),
		"another kind's name":  strings.Replace(ed, "ed25519", "rsa", 1),
		"options in front":     `command="x" ` + ed,
		"a typo":               strings.Replace(fixedAgeKey, "zvky", "zvkx", 1),
		"two age keys":         fixedAgeKey + " " + fixedAgeKey,
		"age with a word":      fixedAgeKey + " hunter2",
		"a plugin's recipient": "age1yubikey1qwt50d05nh5vutpdzmlg5wn80xq5negm4uj9ghv0snvdd3yysf5yw3rhl3t",
		"only the kind":        "ssh-ed25519",
		"far too long":         "ssh-rsa " + strings.Repeat("A", 3*maxPublicKey),
	} {
		if got := typedKey(typed); got != typedUnreadable {
			t.Errorf("%s: %q is kept", name, got)
		}
		if got := keptOf("mykey " + typed); got != "mykey ?" {
			t.Errorf("%s: %q goes through the inbox", name, got)
		}
	}
	if got := keptOf("mykey"); got != wordMyKey || typedKey("") != typedNothing {
		t.Errorf("mykey alone is kept as %q", got)
	}
	if typedKey(fixedAgeIdentity) != typedPrivate {
		t.Error("a private key of age is not recognised")
	}
}

// TestKeyName compares with what ssh-keygen -l prints.
func TestKeyName(t *testing.T) {
	ed := fixedSSHKey(t)
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(ed))
	must(t, err)
	if got, want := keyName(ed), "ssh-ed25519 "+ssh.FingerprintSHA256(key); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if keyName(fixedAgeKey) != fixedAgeKey {
		t.Errorf("an age key goes by %s", keyName(fixedAgeKey))
	}
	for name, p := range pairs(t) {
		if n := len(keyName(typedKey(p.typed))); n > 80 {
			t.Errorf("%s goes by %d characters", name, n)
		}
	}
}

// keptOf is what goes through the inbox of a command.
func keptOf(text string) string { return readTyped(nil, text).kept() }
