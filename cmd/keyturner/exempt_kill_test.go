package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/keyturner/keyturner/bot/slacksim"
)

// exempt has the owner ask for an exemption of their key, until a card asks the approvers.
func (s *story) exempt(ctx context.Context) error {
	owner := s.w.slack.As(s.u.owner)
	asked := s.sees("", "exempt-approve")
	form := func(screen slacksim.Screen) bool {
		v, ok := screen.Top()
		return ok && v.Submit != "" || asked()
	}
	for !asked() {
		if err := s.command(ctx, "exempt "+s.u.old, form); err != nil {
			return err
		}
		if v, ok := owner.Screen().Top(); !ok || v.Submit == "" {
			continue
		}
		d := deed{s.u.owner, "exempt", "", time.Now()}
		until := time.Now().AddDate(0, 0, 60).UTC().Format(time.DateOnly)
		problems, err := owner.Submit(ctx, map[string]string{"key": s.id + "/" + s.u.old, "until": until, "reason": "the vendor is slow"})
		arrived, err := arrives(err)
		switch {
		case err != nil:
			return err
		case len(problems) > 0 && !strings.Contains(problems["key"]+problems["reason"], "could not record this"):
			return fmt.Errorf("the form complains: %v", problems)
		case arrived && len(problems) == 0:
			s.w.keep(d)
			if err := s.seek(ctx, "the exemption is asked for, or refused", func() bool { return asked() || settled(owner.Screen()) }); err != nil {
				return err
			}
		}
		_ = owner.CloseAll(ctx) // where it did not arrive they begin again, whatever became of it
	}
	return nil
}

// settled tells whether a form was answered with words that are not for the time being.
func settled(screen slacksim.Screen) bool {
	v, ok := screen.Top()
	return ok && v.Submit == "" && !strings.Contains(v.Content(), "is working on it")
}

// accept has an approver accept, until the owner can end it.
func (s *story) accept(ctx context.Context) error {
	return s.seek(ctx, "the exemption holds", s.sees(s.u.owner, "exempt-end"), offer{action: "exempt-approve"})
}

// snooze has the owner silence the warnings.
func (s *story) snooze(ctx context.Context) error {
	told := s.told(s.u.owner)
	return s.command(ctx, "snooze "+s.u.old+" 3", func(slacksim.Screen) bool { return s.told(s.u.owner) > told })
}

// recordedAs is the action under which an entry tells of a click, where it is not the button's own.
var recordedAs = map[string]string{"exempt-approve": "approve-exemption", "exempt-end": "unexempt"}
