package iamsim

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// tag is a Tag on the wire and as held.
type tag struct {
	Key   string
	Value string
}

var tagPattern = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$`)

// findTag finds where a tag key is or would be. Tag keys of users match without
// regard to case.
func (u *user) findTag(key string) (int, bool) {
	return slices.BinarySearchFunc(u.tags, fold(key), func(t tag, want string) int {
		return cmp.Compare(fold(t.Key), want)
	})
}

// setTag adds a tag or replaces the one of that key, in its new spelling.
func (u *user) setTag(t tag) {
	i, found := u.findTag(t.Key)
	u.tags = slices.Clone(u.tags)
	if found {
		u.tags[i] = t
		return
	}
	u.tags = slices.Insert(u.tags, i, t)
}

// tags returns the Tags parameter, checked.
func (rq *request) tags() ([]tag, error) {
	var tags []tag
	seen := map[string]bool{}
	for i := 1; rq.params.Has("Tags.member." + strconv.Itoa(i) + ".Key"); i++ {
		prefix := "Tags.member." + strconv.Itoa(i)
		t := tag{rq.params.Get(prefix + ".Key"), rq.params.Get(prefix + ".Value")}
		if err := t.check(prefix); err != nil {
			return nil, err
		}
		if seen[fold(t.Key)] {
			return nil, errInvalidInput("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		}
		seen[fold(t.Key)] = true
		tags = append(tags, t)
	}
	if len(tags) > tagQuota {
		return nil, errQuota("TagsPerUser", tagQuota)
	}
	return tags, nil
}

func (t tag) check(at string) error {
	at = wireName(at)
	keyLength, valueLength := utf8.RuneCountInString(t.Key), utf8.RuneCountInString(t.Value)
	switch {
	case keyLength < 1 || keyLength > 128:
		return errConstraint(at+".key", t.Key, "Member must have length between 1 and 128")
	case valueLength > 256:
		return errConstraint(at+".value", t.Value, "Member must have length less than or equal to 256")
	case !tagPattern.MatchString(t.Key):
		return errConstraint(at+".key", t.Key, `Member must satisfy regular expression pattern: [\p{L}\p{Z}\p{N}_.:/=+\-@]+`)
	case !tagPattern.MatchString(t.Value):
		return errConstraint(at+".value", t.Value, `Member must satisfy regular expression pattern: [\p{L}\p{Z}\p{N}_.:/=+\-@]*`)
	case strings.HasPrefix(fold(t.Key), "aws:"):
		return errInvalidInput("aws: prefixed tag key names are not allowed for external use.")
	}
	return nil
}

func tagUser(rq *request) (any, error) {
	u, err := rq.namedUser()
	if err != nil {
		return nil, err
	}
	tags, err := rq.tags()
	if err != nil {
		return nil, err
	}
	if len(tags) == 0 {
		return nil, errRequired("tags")
	}
	added := 0
	for _, t := range tags {
		if _, found := u.findTag(t.Key); !found {
			added++
		}
	}
	if len(u.tags)+added > tagQuota {
		return nil, errQuota("TagsPerUser", tagQuota)
	}
	for _, t := range tags {
		u.setTag(t)
	}
	return nil, nil
}

func untagUser(rq *request) (any, error) {
	u, err := rq.namedUser()
	if err != nil {
		return nil, err
	}
	keys := rq.members("TagKeys")
	if len(keys) == 0 {
		return nil, errRequired("tagKeys")
	}
	u.tags = slices.DeleteFunc(slices.Clone(u.tags), func(t tag) bool {
		return slices.ContainsFunc(keys, func(key string) bool { return fold(key) == fold(t.Key) })
	})
	return nil, nil
}

type listUserTagsResult struct {
	Tags list[tag]
	page
}

func listUserTags(rq *request) (any, error) {
	u, err := rq.namedUser()
	if err != nil {
		return nil, err
	}
	tags, tail, err := paginate(rq, u.tags, func(t tag) string { return fold(t.Key) })
	if err != nil {
		return nil, err
	}
	return listUserTagsResult{list[tag]{tags}, tail}, nil
}
