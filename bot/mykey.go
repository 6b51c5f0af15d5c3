package bot

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
	"strings"

	agecrypt "filippo.io/age"
	"filippo.io/age/agessh"
	"golang.org/x/crypto/ssh"

	"github.com/keyturner/keyturner/rotation"
)

const wordMyKey = "mykey"

// What stands in place of what was typed after mykey, if it is no public key: of that, nothing is kept.
const (
	typedNothing    = ""
	typedPrivate    = "(a private key)"
	typedUnreadable = "(no public key)"
)

// publicKey is a public key that secrets can be sealed for.
type publicKey struct {
	text string // as age reads it, without a comment
	agecrypt.Recipient
}

// maxPublicKey bounds a public key, in bytes: enough for age's post-quantum ones and for RSA with 8192 bits.
const maxPublicKey = 2500

// parsePublicKey reads a public key of age, or one of SSH as it stands in a .pub file. What comes out is made anew from what was
// understood, so that nothing else that was typed gets any further.
func parsePublicKey(typed string) (publicKey, error) {
	words := strings.Fields(typed)
	if len(words) == 0 || len(typed) > 2*maxPublicKey {
		return publicKey{}, errors.New("no public key, or one that is too long")
	}
	if kind := words[0]; strings.HasPrefix(kind, "ssh-") && len(words) > 1 {
		return parseSSHKey(kind, words[1])
	}
	if len(words) > 1 {
		return publicKey{}, errors.New("an age key is one word")
	}
	if r, err := agecrypt.ParseX25519Recipient(words[0]); err == nil {
		return publicKey{r.String(), r}, nil
	}
	r, err := agecrypt.ParseHybridRecipient(words[0])
	if err != nil {
		return publicKey{}, errors.New("it is of no kind that age knows")
	}
	return publicKey{r.String(), r}, nil
}

func parseSSHKey(kind, blob string) (publicKey, error) {
	wire, err := base64.StdEncoding.DecodeString(blob)
	if err != nil {
		return publicKey{}, errors.New("an SSH key is written in base64")
	}
	key, err := ssh.ParsePublicKey(wire)
	if err != nil || key.Type() != kind || !slices.Contains([]string{ssh.KeyAlgoED25519, ssh.KeyAlgoRSA}, kind) {
		return publicKey{}, errors.New("it is no SSH key of a kind that age seals for")
	}
	text := kind + " " + base64.StdEncoding.EncodeToString(key.Marshal())
	r, err := agessh.ParseRecipient(text)
	if err != nil || len(text) > maxPublicKey {
		return publicKey{}, errors.New("age does not seal for this SSH key: it is too short or too long")
	}
	return publicKey{text, r}, nil
}

// looksPrivate tells whether somebody has pasted a private key, or a piece of one.
func looksPrivate(typed string) bool {
	for _, mark := range []string{
		"AGE-SECRET-KEY-", "AGE-PLUGIN-", "PRIVATE KEY", "PUTTY-USER-KEY-FILE",
		strings.ToUpper("b3BlbnNzaC1rZXktdjE"), // openssh-key-v1, as it begins in base64
	} {
		if strings.Contains(strings.ToUpper(typed), mark) {
			return true
		}
	}
	return false
}

// typedKey is what may be kept of what was typed after mykey: a public key that was understood, or what else it was.
func typedKey(typed string) string {
	key, err := parsePublicKey(typed)
	switch {
	case looksPrivate(typed):
		return typedPrivate
	case strings.TrimSpace(typed) == "":
		return typedNothing
	case err != nil:
		return typedUnreadable
	}
	return key.text
}

// keyName names a public key so that two people can compare it: the one of SSH as ssh-keygen -l does, a short one of age in full.
func keyName(text string) string {
	kind, blob, isSSH := strings.Cut(text, " ")
	sum := sha256.Sum256([]byte(text))
	switch {
	case isSSH:
		wire, _ := base64.StdEncoding.DecodeString(blob) // parsePublicKey wrote it
		sum = sha256.Sum256(wire)
	case len(text) < 80:
		return text
	default:
		kind = clip(text, 12)
	}
	return kind + " SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}

// publicKeyArgument keeps what typedKey makes of all that follows.
var publicKeyArgument = argument{
	"PUBLIC-KEY", "a public key of age, which begins with age1, or the content of the file of an SSH public key, which begins with ssh-ed25519 or ssh-rsa",
	func(_ map[string]string, typed string) (string, bool) {
		kept := typedKey(typed)
		return kept, kept != typedUnreadable
	}, true,
}

// privateKeyTyped is the row of a private key, whatever was meant to be done with it: none of it is kept or said again.
var privateKeyTyped = phrase{word: wordMyKey, takes: []argument{publicKeyArgument}, do: (*Bot).setKey}

func (b *Bot) setKey(ctx context.Context, e errand) { b.myKey(ctx, e.who, e.args[0]) }

func (b *Bot) tellKey(ctx context.Context, e errand) { b.myKey(ctx, e.who, typedNothing) }

// myKey keeps the public key that somebody gives for their secrets, or tells which one they have given. typed is what typedKey made of it.
//
// They are told by direct message as well. A crash before that, or an answer that Slack did not take, leaves the command to be done again.
func (b *Bot) myKey(ctx context.Context, who caller, typed string) {
	switch typed {
	case typedNothing:
		b.showKey(ctx, who)
		return
	case typedPrivate:
		b.turnAway(ctx, who, wordMyKey, &rotation.Refusal{Code: rotation.LeakedKey, By: who.member})
		return
	}
	set, err := b.cfg.Engine.SetRecipient(ctx, who.member, typed, keyName(typed))
	if err != nil {
		b.refuse(ctx, who, err)
		return
	}
	if !set.Told {
		if err := b.tellOfKey(ctx, who, set); err != nil {
			b.log.Error("tell a member of their public key", "member", string(who.member), "err", err)
		}
	}
	b.reply(ctx, who, keySetMessage(set))
}

func (b *Bot) tellOfKey(ctx context.Context, who caller, set rotation.Recipient) error {
	if _, err := b.cfg.Outbox.post(ctx, string(who.member), keyNewsMessage(set), rand.Text()); err != nil {
		if class := rotation.ClassOf(err); class == rotation.ClassUnknown || class == rotation.ClassThrottled {
			*who.unanswered = true
		}
		return err
	}
	return b.cfg.Engine.ToldRecipient(ctx, who.member, set)
}

func (b *Bot) showKey(ctx context.Context, who caller) {
	set, err := b.cfg.Engine.Recipient(ctx, who.member)
	switch {
	case errors.Is(err, rotation.ErrNotFound):
		b.reply(ctx, who, plain("You have given Keyturner no public key. "+howToSetKey))
	case err != nil:
		b.refuse(ctx, who, err)
	default:
		b.reply(ctx, who, keySetMessage(set))
	}
}

const howToSetKey = "Type `/rotate-key mykey` and then a public key: one of age, which begins with `age1`, or the content of an SSH public key's file, which begins with " +
	"`ssh-ed25519` or `ssh-rsa`. Never give a private key to anybody, nor to Keyturner."

func keySetMessage(set rotation.Recipient) message {
	var d draft
	d.say("Secrets that are sealed for you are sealed for " + code(keyName(set.Key)) + ", which was set on " + when(set.At) + ".")
	d.say("To open one, run " + openWith(set.Key) + ". To change the key, type `/rotate-key mykey` and the new public key. A rotation that runs keeps the one that it began with.")
	return d.message()
}

// keyNewsMessage is the direct message about a public key that was set: it reaches its member wherever they read Slack.
func keyNewsMessage(set rotation.Recipient) message {
	var d draft
	d.header("Your public key for secrets was set")
	d.say("Since " + when(set.At) + ", the secrets of your new keys are sealed for " + code(keyName(set.Key)) + ", in the accounts where secrets are sealed. " +
		"Only who has its private key can open them.")
	d.say("*If this was not you*, somebody else uses your Slack account. Tell on-call at once, sign out of all your Slack sessions, and then set your own key with " +
		"`/rotate-key mykey`. Cancel every rotation that you did not ask for.")
	return d.message()
}

// openWith is the command that opens what is sealed for a public key.
func openWith(key string) string {
	if strings.HasPrefix(key, "ssh-") {
		return "`age -d -i ~/.ssh/YOUR_KEY` with the file of the SSH private key that belongs to it"
	}
	return "`age -d -i KEY_FILE` with the file that `age-keygen` wrote"
}
