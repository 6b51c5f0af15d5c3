package app_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/url"
	"slices"
	"strings"

	agecrypt "filippo.io/age"
	"filippo.io/age/armor"

	"github.com/keyturner/keyturner/cmd/keyturner/app"
	"github.com/keyturner/keyturner/rotation"
)

// vaultRegion is where secrets are kept in AWS.
const vaultRegion = "eu-west-1"

// deliverTo has the secrets of an account go another way than by a plain direct message.
func deliverTo(a *app.Account, mode rotation.Mode) {
	switch a.Delivery = mode; mode {
	case rotation.InSecretsManager:
		a.SecretName, a.SecretRegion = "keyturner/{user}", vaultRegion
	case rotation.InSSM:
		a.SecretName, a.SecretRegion = "/keyturner/{user}", vaultRegion
	}
}

// identity is the private key of everybody who has one, and publicKey what they give to the bot.
var identity, publicKey = func() (*agecrypt.X25519Identity, string) {
	pair, err := agecrypt.GenerateX25519Identity()
	if err != nil {
		panic(err)
	}
	return pair, pair.Recipient().String()
}()

const sealedBegin, sealedEnd = "-----BEGIN AGE ENCRYPTED FILE-----", "-----END AGE ENCRYPTED FILE-----"

// opened is what is sealed in a text, with the private key; as it is, if nothing is.
func opened(text string, with agecrypt.Identity) string {
	begin, end := strings.Index(text, sealedBegin), strings.Index(text, sealedEnd)
	if begin < 0 || end < begin {
		return text
	}
	r, err := agecrypt.Decrypt(armor.NewReader(strings.NewReader(text[begin:end+len(sealedEnd)])), with)
	if err != nil {
		return text
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		return text
	}
	return string(plain)
}

// sealedIn looks at an exchange with Slack for a sealed secret. It may be where a secret as it is may be with delivery by direct message, and
// is opened with its owner's private key and with no other.
func (o *watch) sealedIn(name, rest string, secrets []string) {
	if !strings.Contains(rest, url.QueryEscape(sealedBegin)) && !strings.Contains(rest, sealedBegin) {
		return
	}
	_, body, _ := strings.Cut(rest, "\n")
	form, _ := cutForm(body)
	var blocks []any
	_ = json.Unmarshal([]byte(form["blocks"]), &blocks)
	for _, text := range stringsIn(blocks) {
		plain := opened(text, identity)
		if plain == text {
			continue
		}
		if other, err := agecrypt.GenerateX25519Identity(); err != nil || opened(text, other) != text {
			o.w.fail(4, "a sealed secret is opened by anybody's private key: %v", err)
		}
		i := slices.IndexFunc(secrets, func(secret string) bool { return strings.Contains(plain, secret) })
		if i < 0 {
			o.w.fail(4, "what is sealed is no secret that AWS has made")
			continue
		}
		form["blocks"] = plain
		o.shownIn(name, form, secrets[i])
	}
}

// revealedIn judges an exchange that shows a secret in a window: only the edit of one that its owner has opened may. It is told as if it
// were that of a message in their DM, for the rules that are the same.
func (o *watch) revealedIn(name string, form map[string]string) (string, map[string]string) {
	i := slices.IndexFunc(o.order, func(d *delivery) bool { return d.view != "" && d.view == form["view_id"] })
	if name != "views.update" || i < 0 {
		o.w.fail(4, "a secret is in an exchange that is no edit of a window: %s", name)
		return name, form
	}
	for _, mark := range []string{"action_id", "private_metadata", `"submit"`} {
		if strings.Contains(form["view"], mark) {
			o.w.fail(4, "a window with a secret in it has %s, and so may come back", mark)
		}
	}
	return "chat.update", map[string]string{"blocks": form["view"], "channel": dm(o.order[i].member), "ts": form["view_id"]}
}

// stringsIn lists all texts in decoded JSON.
func stringsIn(v any) (all []string) {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		for _, one := range v {
			all = append(all, stringsIn(one)...)
		}
	case map[string]any:
		for _, one := range v {
			all = append(all, stringsIn(one)...)
		}
	}
	return all
}

// keptInAWS looks at what is kept in AWS: of each user, the secret of a key of their own or nothing. Whoever runs applications as that user
// reads it there.
func (o *watch) keptInAWS() {
	for _, u := range o.w.seeds {
		account := o.w.accounts[u.account]
		value, found := account.SecretValue(vaultRegion, "keyturner/"+u.name, "")
		if !found {
			if value, _, found = account.ParameterValue(vaultRegion, "/keyturner/"+u.name); !found {
				continue
			}
		}
		var kept map[string]string
		decoder := json.NewDecoder(bytes.NewReader([]byte(value)))
		if err := decoder.Decode(&kept); err != nil || len(kept) != 2 {
			o.w.fail(4, "what is kept in AWS is not a key with its secret")
			continue
		}
		key := kept["AWS_ACCESS_KEY_ID"]
		user := rotation.UserRef{Account: u.account, Name: u.name}
		made := slices.ContainsFunc(o.changes, func(c *change) bool { return string(c.made) == key && c.user == user })
		if !made || kept["AWS_SECRET_ACCESS_KEY"] != account.SecretOf(key) && account.SecretOf(key) != "" {
			o.w.fail(4, "what is kept in AWS for %s is not a key that the bot has made for them", u.name)
		}
		o.shownKey[key] = true
		o.w.people.hold(user, key)
	}
}
