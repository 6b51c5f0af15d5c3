package iamsim

import (
	"encoding/base64"
	"net/url"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"time"
)

// Names on look-up are 1-128 of these characters; on creation at most 64.
var (
	namePattern    = regexp.MustCompile(`^[\w+=,.@-]+$`)
	keyIDPattern   = regexp.MustCompile(`^\w{16,128}$`)
	pathPattern    = regexp.MustCompile(`^/(|[\x21-\x7e]+/)$`)
	integerPattern = regexp.MustCompile(`^[+-]?[0-9]+$`)
)

// request is one authenticated call of an operation. Operations run with the
// lock held.
type request struct {
	sim       *Sim
	api       *api
	op        string
	caller    caller
	account   *Account
	params    url.Values // of the Query protocol; nil otherwise
	body      []byte
	requestID string
	origin    origin
	now       time.Time
	touched   string         // id of the key that the operation made
	elements  map[string]any // responseElements of its event
}

// required returns a parameter that must be there and not be empty.
func (rq *request) required(name string) (string, error) {
	if !rq.params.Has(name) {
		return "", errRequired(wireName(name))
	}
	value := rq.params.Get(name)
	if value == "" {
		return "", errConstraint(wireName(name), "", "Member must have length greater than or equal to 1")
	}
	return value, nil
}

// wireName is how AWS's messages spell a parameter: "userName" for UserName.
func wireName(name string) string { return strings.ToLower(name[:1]) + name[1:] }

// integer returns a whole number within limits, or fallback if it is absent.
func (rq *request) integer(name string, fallback, low, high int) (int, error) {
	if !rq.params.Has(name) {
		return fallback, nil
	}
	text := rq.params.Get(name)
	n, err := strconv.ParseInt(text, 10, 32)
	switch {
	case err != nil || !integerPattern.MatchString(text):
		return 0, errMalformed(name, text)
	case n < int64(low):
		return 0, errConstraint(wireName(name), text, "Member must have value greater than or equal to "+strconv.Itoa(low))
	case n > int64(high):
		return 0, errConstraint(wireName(name), text, "Member must have value less than or equal to "+strconv.Itoa(high))
	}
	return int(n), nil
}

// members returns the values of NAME.member.1, NAME.member.2 and so on.
func (rq *request) members(name string) []string {
	var values []string
	for i := 1; ; i++ {
		key := name + ".member." + strconv.Itoa(i)
		if !rq.params.Has(key) {
			return values
		}
		values = append(values, rq.params.Get(key))
	}
}

// namedUser finds the user of a UserName that must be given.
func (rq *request) namedUser() (*user, error) {
	name, err := rq.required("UserName")
	if err != nil {
		return nil, err
	}
	if len(name) > 128 || !namePattern.MatchString(name) {
		return nil, errValidation("The specified value for userName is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-")
	}
	if u := rq.account.user(name); u != nil {
		return u, nil
	}
	return nil, errNoUser(name)
}

// subject finds the user an operation is about: the one named, else the user
// whose key signed the request. Role credentials have no such user.
func (rq *request) subject() (*user, error) {
	if rq.params.Has("UserName") {
		return rq.namedUser()
	}
	if rq.caller.user == nil {
		return nil, errValidation("Must specify userName when calling with non-User credentials")
	}
	if u := rq.account.user(rq.caller.user.Name); u != nil && u.ID == rq.caller.user.ID {
		return u, nil
	}
	return nil, errNoUser(rq.caller.user.Name)
}

// subjectKey finds the key an operation is about, which must be the subject's.
func (rq *request) subjectKey() (*accessKey, error) {
	id, err := rq.keyID()
	if err != nil {
		return nil, err
	}
	u, err := rq.subject()
	if err != nil {
		return nil, err
	}
	for _, k := range u.keys {
		if k.id == id {
			return k, nil
		}
	}
	return nil, errNoKey(id)
}

// keyID returns the AccessKeyId parameter, well formed.
func (rq *request) keyID() (string, error) {
	id, err := rq.required("AccessKeyId")
	if err != nil {
		return "", err
	}
	if !keyIDPattern.MatchString(id) {
		return "", errValidation("The specified value for accessKeyId is invalid. It must contain 16 to 128 alphanumeric characters")
	}
	return id, nil
}

// paginate cuts the page that a request asks for out of items, which are sorted
// by key. A page may be shorter than MaxItems and still not be the last.
func paginate[T any](rq *request, items []T, key func(T) string) ([]T, page, error) {
	size, err := rq.integer("MaxItems", 100, 1, 1000)
	if err != nil {
		return nil, page{}, err
	}
	size = rq.sim.capped(size)
	after, err := rq.marker()
	if err != nil {
		return nil, page{}, err
	}
	if after != "" {
		items = itemsAfter(items, key, after)
	}
	if len(items) <= size {
		return items, page{}, nil
	}
	return items[:size], page{IsTruncated: true, Marker: rq.encodeMarker(key(items[size-1]))}, nil
}

// capped is the size of a page of which a client wants so much at most.
func (s *Sim) capped(size int) int {
	if s.cfg.PageSize > 0 {
		return min(size, s.cfg.PageSize)
	}
	return size
}

// itemsAfter drops the items up to and including a position, which need not
// exist any more.
func itemsAfter[T any](items []T, key func(T) string, after string) []T {
	first := sort.Search(len(items), func(i int) bool { return key(items[i]) > after })
	return items[first:]
}

// encodeMarker words a position in the list of one operation for the next page.
func (rq *request) encodeMarker(position string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(rq.op + "\x00" + position))
}

// marker returns the position after which the page starts; "" for the beginning.
func (rq *request) marker() (string, error) {
	text := rq.params.Get("Marker")
	if text == "" {
		return "", nil
	}
	position, ok := rq.decodeMarker(text)
	if !ok {
		return "", errValidation("Invalid Marker: it was not made by %s", rq.op)
	}
	return position, nil
}

// decodeMarker reads a position that this operation has made.
func (rq *request) decodeMarker(text string) (position string, ok bool) {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	op, position, ok := strings.Cut(string(raw), "\x00")
	return position, err == nil && ok && op == rq.op && position != ""
}
