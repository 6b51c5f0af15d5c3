package rotation

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Effect makes the one outside call of a working stage and tells what came of it. It looks at the facts first, so that it may be
// begun again after a crash. An error postpones it.
type Effect func(ctx context.Context, e *Engine, r Rotation) (Event, error)

// look reads the facts about a user now. A last use that cannot be read stays unknown; anything else that cannot is an error.
func (e *Engine) look(ctx context.Context, ref UserRef) (Evidence, error) {
	account, ok := e.reach(ctx, ref.Account)
	if !ok {
		return Evidence{}, fmt.Errorf("look at %s: %w", ref, &Refusal{Code: NoAccount, User: ref})
	}
	user, err := account.IAM.User(ctx, ref.Name)
	if err != nil {
		return Evidence{}, err
	}
	keys, err := e.keys(ctx, account, ref)
	if err != nil {
		return Evidence{}, err
	}
	return Evidence{At: e.now(), UserID: user.ID, Keys: keys}, nil
}

func (e *Engine) keys(ctx context.Context, account Account, ref UserRef) ([]Key, error) {
	keys, err := account.IAM.Keys(ctx, ref.Name)
	if err != nil {
		return nil, err
	}
	for i, k := range keys {
		use, err := account.IAM.LastUse(ctx, k.ID)
		if err != nil {
			e.log.Warn("last use is not known", "user", ref.String(), "key", k.ID, "err", err)
			continue
		}
		keys[i].LastUse = use
	}
	return keys, nil
}

// settle is how long after a lost answer the keys are compared: AWS shows a new key within seconds, but promises no bound
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_general.html). trailTime is how long CloudTrail may take to tell who made
// it (https://docs.aws.amazon.com/awscloudtrail/latest/userguide/get-and-view-cloudtrail-log-files.html), asked once in trailPause.
const (
	settle     = time.Minute
	trailTime  = 15 * time.Minute
	trailPause = time.Minute
)

// createKey creates the new key. The message that will show its secret is posted first, then the intent with the keys there are is
// written, then the call is made, and the new key's id is the first thing written after it.
//
// A crash after the message and before the intent leaves a message that says nothing of worth; a process that lives and loses the effect
// to another takes its message back. One after the intent and before the
// outcome leaves at most one key that is not in the intent. Its secret is lost and it may not even be ours: settleCreate finds out.
func createKey(ctx context.Context, e *Engine, r Rotation) (Event, error) {
	if h, ok := e.secrets.get(r.ID); ok && h.turn == r.Turn {
		return Event{On: Succeed, Key: h.key}, nil // made a moment ago, but its outcome could not be written
	}
	seen, err := e.look(ctx, r.User)
	if err != nil {
		return e.failOr(err)
	}
	if seen.UserID != r.UserID {
		return Event{On: Fail, Evidence: seen, Failure: changed(Block{Code: UserReplaced})}, nil
	}
	if r.Intent != nil {
		if ev, err := e.settleCreate(ctx, r, seen); ev.On != "" || err != nil {
			return ev, err
		}
	}
	if blocks := checkSlotFree(r, seen, e.now()); len(blocks) > 0 {
		if b := blocks[0]; b.Code == SlotTaken && r.mayHaveMade(b.Key) {
			if at := r.Since.Add(settle); e.now().Before(at) {
				return Event{}, &notBefore{at: at, why: "AWS lists " + string(b.Key.ID) + ", which may have been deleted a moment ago"}
			}
			return e.judge(ctx, r, seen, b.Key.ID, b.Key.Created)
		}
		return Event{On: Fail, Evidence: seen, Failure: changed(blocks[0]), Settled: true}, nil
	}
	post, ev, err := e.prepare(ctx, r)
	if ev.On != "" || err != nil {
		return ev, err
	}
	if err := e.intend(ctx, r, seen, post); err != nil {
		return Event{}, err
	}
	e.secrets.ready(r.ID, prepared{})
	key, secret, err := e.account(r.User.Account).IAM.CreateKey(ctx, r.User.Name)
	if err != nil {
		// A failure that is certain made nothing. A full quota may be full of what an earlier attempt made, which AWS does not list yet.
		settled := r.Intent == nil || ClassOf(err) != ClassQuota
		ev, err := e.failOr(err)
		ev.Settled = settled
		if err != nil && ClassOf(err) != ClassUnknown {
			err = &notDone{err}
		}
		return ev, err
	}
	e.secrets.put(r.ID, held{turn: r.Turn, key: key.ID, secret: secret})
	return Event{On: Succeed, Key: key.ID, Evidence: seen}, nil
}

// prepare makes sure that the secret can be written to AWS, if that is where it goes. It has the message posted that will show the secret,
// or takes the one of an attempt whose intent could not be written. What cannot be made ready is a failure, of which it is certain that no
// key was made.
func (e *Engine) prepare(ctx context.Context, r Rotation) (Post, Event, error) {
	if ready, ok := e.secrets.prepared(r.ID, r.Turn); ok {
		r.Handover = Handover{Post: ready}
	}
	post, err := e.cfg.Hand.Prepare(ctx, r)
	switch {
	case err != nil && r.Delivery.Mode == Reveal && ClassOf(err) == ClassGone:
		return post, Event{On: Offer, Settled: true}, nil
	case err != nil:
		ev, err := e.failOr(err)
		ev.Settled = true
		return post, ev, err
	}
	e.secrets.ready(r.ID, prepared{r.Turn, post})
	if err := e.readyPlace(ctx, r); err != nil {
		ev, err := e.failOr(err)
		ev.Settled, ev.Failure.Block = true, PlaceShut
		return post, ev, err
	}
	return post, Event{}, nil
}

// notDone is a failed creation that certainly made no key.
type notDone struct{ error }

func (n *notDone) Unwrap() error { return n.error }

// settleCreate decides after a create whose answer was lost: wait, nothing was made (a zero Event), a key that is proved ours, which is
// revoked, or a suspect, which is shown to a person.
func (e *Engine) settleCreate(ctx context.Context, r Rotation, seen Evidence) (Event, error) {
	if at := r.Intent.At.Add(settle); e.now().Before(at) {
		return Event{}, &notBefore{at: at, why: "the answer to the creation was lost; the keys are compared in a minute"}
	}
	i := slices.IndexFunc(seen.Keys, func(k Key) bool { return !slices.Contains(r.Intent.Known, k.ID) })
	if i < 0 {
		return Event{}, nil
	}
	return e.judge(ctx, r, seen, seen.Keys[i].ID, r.Intent.At)
}

// mayHaveMade tells whether a key may come of an earlier creation of this rotation: of a process that was halted in its call for so long
// that others went on without it.
func (r Rotation) mayHaveMade(k Key) bool {
	tried := r.Issued > 0 || slices.ContainsFunc(r.Asks, func(a Ask) bool { return a.Stage == Stuck })
	return tried && !k.Created.Before(r.Begun.Add(-settle))
}

// judge finds out whether a key that appeared at a creation of ours, or later, is of it.
func (e *Engine) judge(ctx context.Context, r Rotation, seen Evidence, suspect KeyID, at time.Time) (Event, error) {
	maker, err := e.account(r.User.Account).IAM.Maker(ctx, suspect, at.Add(-settle))
	class := ClassOf(err)
	again := e.now().Add(trailPause)
	switch {
	case err == nil && maker == MakerUs:
		return Event{On: Lose, Key: suspect, Evidence: seen, Failure: Failure{
			Class: ClassUnknown, Key: suspect, Text: "the answer to the creation was lost; CloudTrail names a session of ours as the maker",
		}}, nil
	case err == nil && maker == MakerOther, class == ClassDenied && err != nil, again.After(at.Add(trailTime)):
	default:
		return Event{}, &notBefore{at: again, why: "CloudTrail does not tell yet who made " + string(suspect)}
	}
	return Event{On: Fail, Evidence: seen, Failure: Failure{
		Class: ClassSuspect, Key: suspect, Text: "a key appeared while the answer to a creation was lost: " + string(suspect),
	}}, nil
}

// intend writes what the user has before a key is created, and where its secret will be shown. A crash after it leaves an intent that
// may or may not have been carried out, which settleCreate finds out.
func (e *Engine) intend(ctx context.Context, r Rotation, seen Evidence, post Post) error {
	_, err := e.onWork(ctx, r, func(p *Progress, cur *Rotation) error {
		cur.Intent = &Intent{At: e.now(), Known: seen.IDs()}
		if h := cur.Handover; h.Post.Known() && !h.Gone && !h.Post.Same(post) {
			h.Until = e.now()
			cur.Stale = append(slices.Clip(cur.Stale), h)
		}
		if !cur.Handover.Post.Same(post) || !post.Known() { // what goes to AWS has no message, and is not there yet
			cur.Handover = Handover{Post: post}
		}
		p.log(Entry{
			At: e.now(), Actor: "engine", Action: "create-key", Outcome: "intended", User: r.User.String(), Rotation: r.ID,
			From: r.Stage, To: r.Stage,
		})
		return nil
	})
	return err
}

// maxShows bounds how often a secret whose message may or may not show it is sent there again; with the delays of backoff, about a
// minute.
const maxShows = 4

// handOver shows the secret to the owner, or writes it to AWS. The secret lives in this process's memory alone, so after a crash it is lost,
// and so it is when nobody can tell whether Slack or AWS took it: the key is then revoked and another one made, and the message deleted,
// whatever it shows. A version that was written to AWS stays there; it is of no use, and the next one takes its place.
func handOver(ctx context.Context, e *Engine, r Rotation) (Event, error) {
	h, ok := e.secrets.get(r.ID)
	switch {
	case !ok || h.key != r.New:
		return lost(ClassUnknown, "the process stopped before the secret was handed over"), nil
	case h.shown:
		return Event{On: Succeed}, nil // a moment ago, but the outcome could not be written
	}
	err := e.pass(ctx, r, h.secret)
	class := ClassOf(err)
	switch {
	case err == nil:
		e.secrets.put(r.ID, held{turn: h.turn, key: h.key, shown: true})
		return Event{On: Succeed}, nil
	case class == ClassThrottled && r.Retry.Attempts+1 < maxAttempts, class == ClassUnknown && r.Retry.Attempts+1 < maxShows:
		return Event{}, err
	}
	return lost(class, err.Error()), nil
}

func lost(class Class, text string) Event {
	return Event{On: Lose, Failure: Failure{Class: class, Text: text}}
}

// discardNew revokes the new key, which this rotation made: inactive first, then deleted. If somebody uses it after all, it has
// reached them, and the rotation goes on with it; unless its owner disowns it, and an approver has decided that it goes all the same.
// AWS's lists lag behind a creation, so a key is gone only if AWS says so when it is to be changed.
func discardNew(ctx context.Context, e *Engine, r Rotation) (Event, error) {
	seen, err := e.look(ctx, r.User)
	if err != nil {
		return e.failOr(err)
	}
	if seen.UserID != r.UserID {
		return Event{On: Fail, Evidence: seen, Failure: changed(Block{Code: UserReplaced})}, nil
	}
	iam := e.account(r.User.Account).IAM
	fresh, listed := seen.Key(r.New)
	switch {
	case r.disowned():
	case fresh.LastUse.State == Used:
		if fresh.Status == Inactive { // an earlier attempt got halfway
			if err := iam.SetStatus(ctx, r.User.Name, r.New, Active); err != nil {
				return e.failOr(err)
			}
		}
		return Event{On: Refute, Evidence: seen, Failure: changed(Block{Code: NewUsed, Key: fresh})}, nil
	case listed && fresh.LastUse.State != NeverUsed:
		return Event{}, errNotKnown
	}
	err = iam.SetStatus(ctx, r.User.Name, r.New, Inactive)
	if err == nil {
		err = iam.DeleteKey(ctx, r.User.Name, r.New)
	}
	if err != nil && ClassOf(err) != ClassGone {
		return e.failOr(err)
	}
	return Event{On: Succeed, Evidence: seen}, nil
}

// deactivateOld makes the old key inactive, if the evidence of the approval still holds. A crash after the call leaves the key
// inactive, which is the outcome.
func deactivateOld(ctx context.Context, e *Engine, r Rotation) (Event, error) {
	seen, err := e.look(ctx, r.User)
	if err != nil {
		return e.failOr(err)
	}
	old, there := seen.Key(r.Old)
	if there && seen.UserID == r.UserID && old.Status == Inactive {
		if old.LastUse.State == UseUnknown {
			return Event{}, errNotKnown // the grace is measured against it
		}
		return Event{On: Succeed, Evidence: seen}, nil
	}
	holds := movedAsShown
	if r.Kind == Leak {
		holds = stillActive
	}
	if blocks := holds.check(r, seen, e.now()); len(blocks) > 0 {
		ev, err := blocked(blocks, seen)
		switch {
		case err == nil || unknown(blocks):
			return ev, err
		case blocks[0].Code == NotAsShown:
			return Event{On: Renew, Evidence: seen}, nil
		}
		return Event{On: Refute, Evidence: seen, Failure: changed(blocks[0])}, nil
	}
	if err := e.setOld(ctx, r, Inactive); err != nil {
		return e.failOr(err)
	}
	return Event{On: Succeed, Evidence: seen}, nil
}

// unknown tells whether a fact is missing.
func unknown(blocks []Block) bool {
	return slices.ContainsFunc(blocks, func(b Block) bool { return b.Code == OldUnknown || b.Code == NewUnknown })
}

// reactivateOld makes the old key active again. It asks for no approval and for no evidence but that the key is that user's.
func reactivateOld(ctx context.Context, e *Engine, r Rotation) (Event, error) {
	seen, err := e.look(ctx, r.User)
	if err != nil {
		return e.failOr(err)
	}
	old, there := seen.Key(r.Old)
	switch {
	case seen.UserID != r.UserID:
		return Event{On: Fail, Evidence: seen, Failure: changed(Block{Code: UserReplaced})}, nil
	case !there:
		return Event{On: Fail, Evidence: seen, Failure: changed(Block{Code: OldGone, Key: Key{ID: r.Old}})}, nil
	case old.Status == Active:
		return Event{On: Succeed, Evidence: seen}, nil
	}
	if err := e.setOld(ctx, r, Active); err != nil {
		return e.failOr(err)
	}
	return Event{On: Succeed, Evidence: seen}, nil
}

func (e *Engine) setOld(ctx context.Context, r Rotation, to Status) error {
	return e.account(r.User.Account).IAM.SetStatus(ctx, r.User.Name, r.Old, to)
}

// deleteOld deletes the old key, if it stayed inactive and unused. A crash after the call leaves no key, which is the outcome.
func deleteOld(ctx context.Context, e *Engine, r Rotation) (Event, error) {
	seen, err := e.look(ctx, r.User)
	if err != nil {
		return e.failOr(err)
	}
	if _, there := seen.Key(r.Old); !there && seen.UserID == r.UserID {
		return Event{On: Succeed, Evidence: seen}, nil
	}
	if blocks := idleAsShown.check(r, seen, e.now()); len(blocks) > 0 {
		switch {
		case unknown(blocks):
			return Event{}, errNotKnown
		case blocks[0].Code == NotAsShown:
			return Event{On: Renew, Evidence: seen}, nil
		}
		return Event{On: Fail, Evidence: seen, Failure: changed(blocks[0])}, nil
	}
	err = e.account(r.User.Account).IAM.DeleteKey(ctx, r.User.Name, r.Old)
	if err != nil && ClassOf(err) != ClassGone {
		return e.failOr(err)
	}
	return Event{On: Succeed, Evidence: seen}, nil
}
