package rotation_test

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/keyturner/keyturner/rotation"
)

// FuzzRef reads any text as what a button carries, as "account/user" and as a key's id: whatever is read is written the same again.
func FuzzRef(f *testing.F) {
	for _, s := range []string{
		"mfrggzdfmztwq2lk-1.7", "mfrggzdfmztwq2lk-12.0", "-.0", "a-1", "a.1", "a-1.-1", "a-1.+5", "a-1.007", "a-1.1.2", "a-1.9223372036854775808", "a-1.٣",
		"a-1. 1", "a-1.0x1", "", ".", "\xff-1.2", "a-\n1.2",
		"111122223333/ci-deploy", "111122223333/", "/ci", "a/b/c", "/", "\xff/\x00",
		"AKIAIOSFODNN7EXAMPLE", "AKIAπππππ", "πππ:+c", "a…bcdefghi",
	} {
		f.Add(s, 7)
	}
	f.Fuzz(func(t *testing.T, s string, turn int) {
		checkRef(t, s)
		checkUserRef(t, s)
		checkShort(t, s)
		if made := (rotation.Ref{ID: s, Turn: turn}); strings.Contains(s, "-") && !strings.Contains(s, ".") && turn >= 0 {
			if got, err := rotation.ParseRef(made.String()); err != nil || got != made {
				t.Errorf("%+v prints as %q, which is read as %+v with error %v", made, made, got, err)
			}
		}
	})
}

func checkRef(t *testing.T, s string) {
	t.Helper()
	ref, err := rotation.ParseRef(s)
	switch {
	case err == nil && ref.String() != s:
		t.Errorf("%q is read as %+v, which prints as %q", s, ref, ref)
	case err == nil && (!strings.HasPrefix(ref.ID, ref.UserDoc()+"-") || ref.Turn < 0):
		t.Errorf("%q is read as %+v of %q", s, ref, ref.UserDoc())
	case err != nil && ref != rotation.Ref{}:
		t.Errorf("%q is refused, and read as %+v", s, ref)
	case err != nil && (!utf8.ValidString(err.Error()) || strings.ContainsAny(err.Error(), "\n\x1b")):
		t.Errorf("error %q", err)
	}
}

var docID = regexp.MustCompile(`^[a-z2-7]{16}$`)

func checkUserRef(t *testing.T, s string) {
	t.Helper()
	user, err := rotation.ParseUserRef(s)
	switch {
	case err == nil && user.String() != s:
		t.Errorf("%q is read as %+v, which prints as %q", s, user, user)
	case err == nil && (user.Account == "" || user.Name == "" || !docID.MatchString(user.ID())):
		t.Errorf("%q is read as %+v with the id %q", s, user, user.ID())
	case err == nil && rotation.Ref{ID: user.ID() + "-1"}.UserDoc() != user.ID():
		t.Errorf("a rotation of %+v does not lead to its document", user)
	case err != nil && user != rotation.UserRef{}:
		t.Errorf("%q is refused, and read as %+v", s, user)
	case err != nil && !utf8.ValidString(err.Error()):
		t.Errorf("error %q", err)
	}
}

// checkShort holds that a key's id is shortened to its ends, and remains text.
func checkShort(t *testing.T, id string) {
	t.Helper()
	short := rotation.KeyID(id).Short()
	if short == id || !utf8.ValidString(id) {
		return
	}
	s := []rune(short)
	if len(s) != 9 || s[4] != '…' || !utf8.ValidString(short) || !strings.HasPrefix(id, string(s[:4])) || !strings.HasSuffix(id, string(s[5:])) {
		t.Errorf("%q in short is %q", id, short)
	}
}
