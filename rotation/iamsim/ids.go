package iamsim

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
)

// Prefixes of the unique identifiers used here (IAM User Guide, "IAM identifiers").
const (
	prefixLongTerm  = "AKIA"
	prefixTemporary = "ASIA"
	prefixUser      = "AIDA"
	prefixRole      = "AROA"
	prefixGroup     = "AGPA"
)

// accountMask selects the account id in the first 48 bits of a key id: one
// format bit, forty bits of account, seven bits of entropy.
const accountMask = 0x7fffffffff80

// newKeyID makes a key id of today's format: a prefix and sixteen base32 digits
// that hold 1<<79 | account<<39 | 39 random bits.
func newKeyID(prefix, account string) string {
	var raw [10]byte
	rand.Read(raw[:])
	return keyID(prefix, account, raw)
}

// SeedIDs returns an access key id and a user id that a name always yields, for a world that looks the same each time it is made.
func SeedIDs(account, name string) (key, user string) {
	sum := sha256.Sum256([]byte(account + "/" + name))
	return keyID(prefixLongTerm, account, [10]byte(sum[:10])), prefixUser + base32.StdEncoding.EncodeToString(sum[10:21])[:17]
}

func keyID(prefix, account string, raw [10]byte) string {
	number, err := strconv.ParseUint(account, 10, 40)
	if err != nil {
		panic(fmt.Sprintf("iamsim: account id %q: %v", account, err))
	}
	head := 1<<47 | number<<7 | uint64(raw[5]&0x7f)
	var wide [8]byte
	binary.BigEndian.PutUint64(wide[:], head)
	copy(raw[:6], wide[2:])
	return prefix + base32.StdEncoding.EncodeToString(raw[:])
}

// AccountOf reads the twelve-digit account id inside an access key id. It
// reports false for ids of the old format, which carry none, and for anything
// that is not a key id.
func AccountOf(keyID string) (string, bool) {
	if len(keyID) != 20 {
		return "", false
	}
	raw, err := base32.StdEncoding.DecodeString(keyID[4:])
	if err != nil || raw[0]&0x80 == 0 {
		return "", false
	}
	var wide [8]byte
	copy(wide[2:], raw[:6])
	number := binary.BigEndian.Uint64(wide[:]) & accountMask >> 7
	return fmt.Sprintf("%012d", number), true
}

// newUniqueID makes the unique id of a user or role: a prefix and seventeen
// characters of the base32 alphabet.
func newUniqueID(prefix string) string {
	return stableID(prefix, rand.Text())
}

// stableID makes the unique id of something that is named but not held.
func stableID(prefix, name string) string {
	digest := sha256.Sum256([]byte(name))
	return prefix + base32.StdEncoding.EncodeToString(digest[:])[:17]
}

// newSecret makes the forty characters of a secret access key.
func newSecret() string { return randomText(30) }

// newSessionToken makes the session token of temporary credentials.
func newSessionToken() string { return randomText(180) }

// randomText encodes n random bytes in base64.
func randomText(n int) string {
	raw := make([]byte, n)
	rand.Read(raw)
	return base64.StdEncoding.EncodeToString(raw)
}

// newRequestID makes the UUID that identifies one answer.
func newRequestID() string {
	var raw [16]byte
	rand.Read(raw[:])
	raw[6] = raw[6]&0x0f | 0x40
	raw[8] = raw[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", raw[:4], raw[4:6], raw[6:8], raw[8:10], raw[10:])
}
