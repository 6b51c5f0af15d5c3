package storetest

import (
	"strings"
	"testing"
	"time"

	"github.com/keyturner/keyturner/rotation"
)

func everyField(t *testing.T, s rotation.Store) {
	want := Filled[rotation.Progress]()
	want.Rev = 1
	if diff := same(create(t, s, want), want); diff != "" {
		t.Errorf("create returned (-want +got):\n%s", diff)
	}
	expect(t, s, want)
	want.Rev = 2
	if diff := same(replace(t, s, rotation.Progress{User: want.User, Rev: 1}), rotation.Progress{User: want.User, Rev: 2}); diff != "" {
		t.Errorf("an emptied document is not empty:\n%s", diff)
	}
	want.Rev = 3
	atTwo := want
	atTwo.Rev = 2
	if diff := same(replace(t, s, atTwo), want); diff != "" {
		t.Errorf("replace returned (-want +got):\n%s", diff)
	}
	expect(t, s, want)
}

func sparse(t *testing.T, s rotation.Store) {
	p := create(t, s, rotation.Progress{
		User:     user(1),
		Rotation: &rotation.Rotation{Intent: &rotation.Intent{}, Asks: []rotation.Ask{{}}},
		Past:     []rotation.Rotation{{}, {Stage: rotation.Done}},
		Posts:    map[string]rotation.Post{"": {}},
		Notices:  []rotation.Notice{{}},
		Trail:    []rotation.Entry{{}},
	})
	expect(t, s, p)
	if p.Rotation == nil || p.Rotation.Intent == nil || len(p.Rotation.Asks) != 1 {
		t.Errorf("an intent and an ask without content were lost: %+v", p.Rotation)
	}
	if len(p.Past) != 2 || len(p.Posts) != 1 || len(p.Notices) != 1 || len(p.Trail) != 1 {
		t.Errorf("elements without content were lost: %+v", p)
	}
	if !p.Rotation.Begun.IsZero() || !p.Rotation.Deadline.IsZero() || !p.Rotation.Handover.Received.IsZero() {
		t.Errorf("a zero time became another: %+v", p.Rotation)
	}
}

func oddText(t *testing.T, s rotation.Store) {
	var all strings.Builder
	for r := range rune(0x100) {
		all.WriteRune(r)
	}
	for i, text := range []string{
		all.String(), "\u2028\u2029\ufeff\ufffd", "👩🏽‍🚀 é e\u0301", `"\"\\u0000{}[]`, "</script>&amp;<!--", "  \t\r\n  ",
		strings.Repeat("😀", 5000),
	} {
		expect(t, s, create(t, s, rotation.Progress{
			User: user(i), Rotation: &rotation.Rotation{Reason: text}, Posts: map[string]rotation.Post{text: {Shown: text}},
		}))
		p, err := s.Get(t.Context(), user(i).ID())
		if err != nil || p.Rotation.Reason != text || p.Posts[text].Shown != text {
			t.Errorf("text %.40q came back as %+v (%v)", text, p.Rotation, err)
		}
	}
	for i, at := range []time.Time{
		{},
		time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC),
		time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC),
		time.Date(2026, 3, 29, 2, 30, 0, 500, time.FixedZone("", -(9*3600+30*60))),
		time.Now(),
	} {
		p := create(t, s, rotation.Progress{User: user(100 + i), Rotation: &rotation.Rotation{Since: at}})
		expect(t, s, p)
		if !p.Rotation.Since.Equal(at) {
			t.Errorf("time %v came back as %v", at, p.Rotation.Since)
		}
	}
}

func oddUsers(t *testing.T, s rotation.Store) {
	var kept []rotation.Progress
	for i, u := range []rotation.UserRef{
		{},
		{Account: "1"},
		{Name: "n"},
		{Account: "1", Name: "a/b"},
		{Account: "1/a", Name: "c"},
		{Account: "1", Name: "A"},
		{Account: "1", Name: "a"},
		{Account: "1", Name: "+=,.@_-"},
		{Account: "1", Name: "\x00"},
		{Account: "1", Name: "ключ"},
		{Account: "1", Name: strings.Repeat("n", 2000)},
	} {
		kept = append(kept, create(t, s, rotation.Progress{User: u, Count: i}))
	}
	for _, p := range kept {
		expect(t, s, p)
	}
}

// big is about 250 KB, as JSON.
func big(t *testing.T, s rotation.Store) {
	p := rotation.Progress{User: user(1)}
	for range 1000 {
		p.Trail = append(p.Trail, rotation.Entry{At: noon, Actor: "engine", Action: "creating", Detail: strings.Repeat("d", 150)})
	}
	p = create(t, s, p)
	expect(t, s, p)
	p.Count = 1
	p = replace(t, s, p)
	expect(t, s, p)
}

// copies changes everything that was given and got, and finds the stored value as it was.
func copies(t *testing.T, s rotation.Store) {
	want := Filled[rotation.Progress]()
	want.Rev = 1
	given := Filled[rotation.Progress]()
	returned := create(t, s, given)
	spoil(&given)
	spoil(&returned)
	expect(t, s, want)

	got, err := s.Get(t.Context(), want.User.ID())
	if err != nil {
		t.Fatal(err)
	}
	spoil(&got)
	expect(t, s, want)

	if err := s.Scan(t.Context(), func(p rotation.Progress) error { spoil(&p); return nil }); err != nil {
		t.Fatal(err)
	}
	expect(t, s, want)

	given = Filled[rotation.Progress]()
	given.Rev, want.Rev = 1, 2
	returned = replace(t, s, given)
	spoil(&given)
	spoil(&returned)
	expect(t, s, want)
}

// spoil changes what p shares with its copies: all that lies behind a pointer, in a list or in a map.
func spoil(p *rotation.Progress) {
	for _, r := range append([]*rotation.Rotation{p.Rotation}, &p.Past[0], &p.Past[1]) {
		r.Stage = "spoiled"
		r.Intent.At = noon
		r.Intent.Known[0] = "spoiled"
		r.Asks[0].Closed = "spoiled"
		r.Asks[1].Decisions[0].Reason = "spoiled"
		r.Asks[1].Evidence.Keys[0].Status = "spoiled"
	}
	p.Notices[0].Failed = "spoiled"
	p.Trail[0].Detail = "spoiled"
	p.Posts["spoiled"] = rotation.Post{}
}
