package rotation

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Mode is the way in which the secret of a new key reaches who needs it.
type Mode string

// The modes. The words are stored and are those of the configuration.
const (
	ByDM             Mode = "dm" // and a rotation that names none
	Sealed           Mode = "sealed"
	Reveal           Mode = "reveal" // in a window that the owner opens, which is when the key is made
	InSecretsManager Mode = "secretsmanager"
	InSSM            Mode = "ssm"
)

// Delivery says where a rotation's secret goes. It is fixed when the rotation begins, shown to the approvers, and stays as it is to the
// end, whatever is configured or set meanwhile: so nobody can send an approved key somewhere else.
type Delivery struct {
	Mode   Mode
	Name   string // of the secret or the parameter in AWS; in an Account's, a template with UserMark in it
	Region string // where that is
	KMSKey string // which encrypts it; empty: the one that AWS keeps for the service

	Recipient string    // the owner's public key, for Sealed
	Set       time.Time // when they set it
}

// UserMark stands for the name of the IAM user in an account's template.
const UserMark = "{user}"

// InAWS tells whether the secret is written to AWS, and shown to nobody.
func (d Delivery) InAWS() bool { return d.Mode == InSecretsManager || d.Mode == InSSM }

// Posted tells whether the secret is shown in a message, as it is or sealed.
func (d Delivery) Posted() bool { return !d.InAWS() && d.Mode != Reveal }

// settledKey is how long ago a public key must have been set before a request, not to be pointed out to those who approve.
const settledKey = 24 * time.Hour

// Unsettled tells whether the owner has set their public key shortly before r began. Somebody who has taken over their Slack session could
// have done that, to have the next secret sealed for themselves.
func (r Rotation) Unsettled() bool {
	return r.Delivery.Mode == Sealed && r.Begun.Sub(r.Delivery.Set) < settledKey
}

// Vault keeps secrets in AWS, by name.
type Vault interface {
	// Ready makes sure that a secret can be written there, and that what is there already is of the right kind.
	Ready(ctx context.Context, at Delivery) error
	// Write puts a new version there. With the same Token it does the same once more, and leaves one version or several equal ones.
	Write(ctx context.Context, d Deposit) error
}

// Deposit is a key with its secret on its way to a Vault.
type Deposit struct {
	At     Delivery
	Token  string // names the write, however often it is made
	Key    KeyID
	Secret Secret
}

// Token names the write of the rotation's new key: the id of the version, where versions have ids that are chosen. It is derived, so that
// whoever comes after a crash can name the version too.
func (r Rotation) Token() string {
	sum := sha256.Sum256([]byte("keyturner version " + r.ID + " " + string(r.New)))
	id := hex.EncodeToString(sum[:16])
	return strings.Join([]string{id[:8], id[8:12], id[12:16], id[16:20], id[20:]}, "-")
}

// What the services take as a name (https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html,
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html).
var names = map[Mode]*regexp.Regexp{
	InSecretsManager: regexp.MustCompile(`^[A-Za-z0-9/_+=.@-]{1,512}$`),
	InSSM:            regexp.MustCompile(`^([A-Za-z0-9_.-]+|(/[A-Za-z0-9_.-]+){1,15})$`),
}

// Named is d for one IAM user; false if the service takes no such name.
func (d Delivery) Named(user string) (Delivery, bool) {
	if !d.InAWS() {
		return d, true
	}
	d.Name = strings.ReplaceAll(d.Name, UserMark, user)
	return d, names[d.Mode].MatchString(d.Name)
}

// delivery decides where the secret of a rotation that begins will go, or says why there is no place for it.
func (e *Engine) delivery(ctx context.Context, r Rotation) (Delivery, error) {
	if r.Kind != Replace {
		return Delivery{}, nil // no key is made, or not yet
	}
	return e.placed(ctx, r)
}

// placed is where the secret of a key that is made for the rotation's owner goes by now.
func (e *Engine) placed(ctx context.Context, r Rotation) (Delivery, error) {
	d, ok := e.account(r.User.Account).Delivery.Named(r.User.Name)
	switch {
	case !ok:
		return d, &Refusal{Code: NoPlace, User: r.User}
	case d.Mode != Sealed:
		return d, nil
	}
	set, err := e.Recipient(ctx, r.Owner)
	if errors.Is(err, ErrNotFound) {
		return d, &Refusal{Code: NoRecipient, User: r.User, By: r.Owner}
	}
	d.Recipient, d.Set = set.Key, set.At
	return d, err
}

// readyPlace makes sure that the secret can be written to AWS. What it makes there is an empty secret, which a crash leaves for the next
// attempt to find.
func (e *Engine) readyPlace(ctx context.Context, r Rotation) error {
	if !r.Delivery.InAWS() {
		return nil
	}
	vault, err := e.vault(r)
	if err == nil {
		err = vault.Ready(ctx, r.Delivery)
	}
	return err
}

func (e *Engine) vault(r Rotation) (Vault, error) {
	if vault := e.account(r.User.Account).Vault; vault != nil {
		return vault, nil
	}
	return nil, &CallError{Op: "write to " + r.Delivery.Name, Class: ClassInvalid, Err: fmt.Errorf("account %s has no vault", r.User.Account)}
}

// pass gives the secret to its owner or writes it to AWS.
func (e *Engine) pass(ctx context.Context, r Rotation, secret Secret) error {
	if !r.Delivery.InAWS() {
		return e.cfg.Hand.HandOver(ctx, r, r.New, secret)
	}
	vault, err := e.vault(r)
	if err != nil {
		return err
	}
	return vault.Write(ctx, Deposit{At: r.Delivery, Token: r.Token(), Key: r.New, Secret: secret})
}
