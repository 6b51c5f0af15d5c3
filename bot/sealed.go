package bot

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	agecrypt "filippo.io/age"
	"filippo.io/age/armor"

	"github.com/keyturner/keyturner/rotation"
)

// sealer reads the public key that a rotation's secret is sealed for.
func sealer(r rotation.Rotation) (publicKey, error) {
	key, err := parsePublicKey(r.Delivery.Recipient)
	if err != nil {
		return key, &rotation.CallError{Op: "seal a secret", Class: rotation.ClassInvalid, Err: fmt.Errorf("read the public key of %s: %w", r.Owner, err)}
	}
	return key, nil
}

// credentials is a key with its secret, as programs read it from their environment.
func credentials(key rotation.KeyID, secret rotation.Secret) string {
	return "AWS_ACCESS_KEY_ID=" + string(key) + "\nAWS_SECRET_ACCESS_KEY=" + secret.Reveal()
}

// seal encrypts a text for a public key, in lines that can be copied. Each time it comes out otherwise, and all of them can be opened.
func seal(key publicKey, text string) (string, error) {
	var b bytes.Buffer
	lines := armor.NewWriter(&b)
	w, err := agecrypt.Encrypt(lines, key)
	if err == nil {
		_, err = io.WriteString(w, text)
	}
	if err == nil {
		err = w.Close()
	}
	if err == nil {
		err = lines.Close()
	}
	if err != nil { // of a buffer and a key that was read: it does not happen
		return "", &rotation.CallError{Op: "seal a secret", Class: rotation.ClassInvalid, Err: fmt.Errorf("for %s: %w", keyName(key.text), err)}
	}
	return strings.TrimSpace(b.String()), nil
}

// sealedMessage hands a sealed secret over. All of it may be read by anybody, and is of use only to who has the private key.
func sealedMessage(v view, r rotation.Rotation, key rotation.KeyID, sealed string) message {
	var d draft
	d.header("Your new key for " + tidy(r.User.Name))
	d.say("This is the new access key " + short(key) + " of " + v.user(r.User) + ", with its secret. It is sealed for your public key " +
		code(keyName(r.Delivery.Recipient)) + ", and Keyturner keeps neither.")
	d.blocks = append(d.blocks, preformatted(sealed))
	d.say("*To open it:* run " + openWith(r.Delivery.Recipient) + ", paste the lines above with the first and the last one, and end with Enter and Ctrl-D. " +
		"Store what comes out in your password manager or your secret store. Then say so in the message below.")
	d.note("This message is deleted when you do, or else after " + when(r.Since.Add(r.Terms.Visible)) + ". If you cannot open it, choose “" + label(r, rotation.Abandon) +
		"” in the rotation's message, set another public key with `/rotate-key mykey`, and begin again.")
	return d.message()
}
