package bot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/keyturner/keyturner/bot/report"
	"github.com/keyturner/keyturner/rotation"
)

// Sink is where a digest goes beside Slack. An error that is a *report.SendError may say that trying again does not help.
type Sink interface {
	Name() string // one word, which is stored
	Send(ctx context.Context, d report.Digest) error
	fmt.Stringer // names it to people, without its secrets
}

// copies are the digest of one week on its way to where it goes beside the message in Slack: its files, and the sinks. Each goes by itself. One
// that fails is tried again, and holds up none of the others.
type copies struct {
	week  string
	sinks []Sink
	next  map[string]time.Time // when each is tried; what is not in it is done, or given up
}

// sinkTime bounds one attempt. maxCopies bounds how many there are, over about nine hours; on-call is told after the first few.
const (
	sinkTime   = time.Minute
	maxCopies  = 14
	tellCopies = 3
)

// spread sends what is due of the week's digest to where else it goes.
func (d *digests) spread(ctx context.Context) {
	if d.copies.week != d.posted {
		d.copies = copies{week: d.posted, sinks: append([]Sink{files{d}}, d.cfg.Sinks...), next: map[string]time.Time{}}
		for _, s := range d.copies.sinks {
			d.copies.next[s.Name()] = d.now()
		}
	}
	for _, s := range d.copies.sinks {
		if at, waits := d.copies.next[s.Name()]; !waits || d.now().Before(at) || ctx.Err() != nil {
			continue
		}
		after, err := d.sendCopy(ctx, s)
		if err != nil && ctx.Err() == nil {
			d.log.Error("send a copy of the digest", "week", d.posted, "to", s.String(), "err", err)
		}
		if delete(d.copies.next, s.Name()); after > 0 {
			d.copies.next[s.Name()] = d.now().Add(after)
		}
	}
}

// sendCopy makes one attempt, and tells after what time the next one is due; zero: never. The claim counts the attempt before it is made: a crash
// in the midst of it leaves one that may have been carried out, and is made again.
func (d *digests) sendCopy(ctx context.Context, s Sink) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, sinkTime)
	defer cancel()
	name := "digest/" + d.posted + "/" + s.Name()
	claim, err := d.cfg.Engine.Claimed(ctx, name)
	if errors.Is(err, rotation.ErrNotFound) {
		claim, err = rotation.Claim{Name: name, Note: "tried 0"}, nil
	}
	if err != nil {
		return time.Minute, fmt.Errorf("read %s: %w", name, err)
	}
	var tries int
	if n, err := fmt.Sscanf(claim.Note, "tried %d", &tries); n != 1 || err != nil || tries >= maxCopies {
		return 0, nil // sent, or given up
	}
	if age := d.now().Sub(d.last.At); age < 0 || age > 24*time.Hour {
		d.scan(ctx)
	}
	running, err := d.beside(ctx)
	if err != nil {
		return time.Minute, err
	}
	weeks, err := d.trend(ctx)
	if err != nil {
		return time.Minute, err
	}
	digest, err := d.inWords(ctx, running, weeks)
	if err != nil {
		return time.Minute, err
	}
	digest.Week = d.posted
	tries++
	claim.Note = fmt.Sprintf("tried %d", tries)
	if claim, err = d.cfg.Engine.Claim(ctx, claim); err != nil {
		return time.Minute, fmt.Errorf("count the attempts in %s: %w", name, err)
	}
	failed := s.Send(ctx, digest)
	refused, final := errors.AsType[*report.SendError](failed)
	final = final && refused.Permanent || tries == maxCopies
	switch {
	case failed == nil:
		return 0, d.remember(ctx, claim, "sent")
	case final:
		return 0, errors.Join(failed, d.remember(ctx, claim, "given up"), d.tell(ctx, s, failed, false))
	case tries == tellCopies:
		failed = errors.Join(failed, d.tell(ctx, s, failed, true))
	}
	return min(time.Minute<<(tries-1), time.Hour), failed
}

// tell names in the thread of the digest what does not reach others.
func (d *digests) tell(ctx context.Context, s Sink, failed error, goesOn bool) error {
	ts, err := d.root(ctx)
	if err != nil {
		return err
	}
	next := "It is not tried again this week."
	if goesOn {
		next = "It is tried again for some hours."
	}
	text := sentences("*This digest has not reached others: "+esc(s.String())+".*", whyFailed(failed), next)
	return d.tellBelow(ctx, rotation.Post{Channel: d.cfg.OnCall, TS: ts}, text)
}

// whyFailed tells why something did not come with a digest.
func whyFailed(failed error) string {
	return esc(clip(strings.TrimPrefix(failed.Error(), "send the digest: "), 500)) + "."
}

// tellBelow says something in the thread of a digest.
func (d *digests) tellBelow(ctx context.Context, at rotation.Post, text string) error {
	return d.cfg.Outbox.paced(ctx, "post", at.Channel, func() error {
		_, _, err := d.cfg.Slack.PostMessageContext(ctx, at.Channel, append(plain(text).options(), slack.MsgOptionTS(at.TS))...)
		return err
	})
}

// root is where the message of the week's digest stands.
func (d *digests) root(ctx context.Context) (ts string, err error) {
	claim, err := d.cfg.Engine.Claimed(ctx, "digest/"+d.posted)
	if err != nil {
		return "", fmt.Errorf("look for the digest of %s: %w", d.posted, err)
	}
	ts, sent := strings.CutPrefix(claim.Note, "sent ")
	if !sent {
		return "", &report.SendError{Sink: "Slack", Err: fmt.Errorf("the digest of %s has no message", d.posted), Permanent: true}
	}
	return ts, nil
}

// inWords puts the latest scan into words.
func (d *digests) inWords(ctx context.Context, running []rotation.Rotation, weeks []report.Week) (report.Digest, error) {
	names := map[string]string{}
	named := func(id string) string {
		if _, known := names[id]; !known {
			names[id] = d.cfg.People.Name(ctx, rotation.MemberID(id))
		}
		return names[id]
	}
	digest, err := inWords(d.cfg.Outbox.today(), d.last, running, weeks, named)
	if d.cfg.Listing == nil || err != nil {
		return digest, err
	}
	var list bytes.Buffer
	err = d.cfg.Listing(&list, d.last)
	digest.CSV = list.Bytes()
	return digest, err
}

// beside reads what a digest tells beside the latest scan: what runs, what of it is stuck, and what was overruled.
func (d *digests) beside(ctx context.Context) ([]rotation.Rotation, error) {
	running, err := d.cfg.Engine.Running(ctx)
	if err != nil {
		return nil, fmt.Errorf("list running rotations for the digest: %w", err)
	}
	d.last = d.last.WithStuck(running)
	if d.last.Overruled, err = d.cfg.Engine.Overruled(ctx, d.now().Add(-overruledFor)); err != nil {
		return nil, fmt.Errorf("list what was overruled for the digest: %w", err)
	}
	return running, nil
}

// files is the digest's thread: the picture, and the file with every finding.
type files struct{ *digests }

func (files) Name() string   { return "files" }
func (files) String() string { return "the picture and the file below this message" }

// Send uploads them and shares them in the thread in one message. Until that, nobody sees them. Then the picture goes into the digest too:
// before it is shared, Slack would show it to nobody, and for some moments after that it may not show it yet.
func (f files) Send(ctx context.Context, d report.Digest) error {
	ts, err := f.root(ctx)
	if err != nil {
		return err
	}
	earlier, err := f.cfg.Outbox.findReply(ctx, f.cfg.OnCall, ts, func(m slack.Message) bool {
		return slices.ContainsFunc(m.Files, func(f slack.File) bool { return strings.HasPrefix(f.Name, "keys-"+d.Week+".") })
	})
	if err != nil || earlier.Timestamp != "" { // by an attempt whose answer was lost
		return err
	}
	sent := sentDigest{post: rotation.Post{Channel: f.cfg.OnCall, TS: ts}}
	if f.sent.post.TS == ts {
		sent = f.sent
	}
	return f.share(ctx, sent, d)
}

// sentDigest is the message of a digest as this process has posted it; of one that an earlier process has, what it says is not known.
type sentDigest struct {
	post rotation.Post
	message
}

// share uploads the files of a digest and shows them below its message, and the picture in it.
func (d *digests) share(ctx context.Context, sent sentDigest, digest report.Digest) error {
	var shared []slack.FileSummary
	for _, file := range []struct {
		name, title string
		content     []byte
	}{{"keys-" + digest.Week + ".png", "How old the keys are", digest.Picture}, {"keys-" + digest.Week + ".csv", "Every finding", digest.CSV}} {
		if file.content == nil {
			continue
		}
		id, err := d.upload(ctx, sent.post.Channel, file.name, string(file.content))
		if err != nil {
			return err
		}
		shared = append(shared, slack.FileSummary{ID: id, Title: file.title})
	}
	if shared == nil {
		return nil
	}
	err := d.cfg.Outbox.paced(ctx, "post", sent.post.Channel, func() error {
		_, err := d.cfg.Slack.CompleteUploadExternalContext(ctx, slack.CompleteUploadExternalParameters{
			Files: shared, Channel: sent.post.Channel, ThreadTimestamp: sent.post.TS, InitialComment: esc(digest.Alt),
		})
		return err
	})
	if err == nil && digest.Picture != nil && sent.Blocks != nil {
		d.showPicture(ctx, sent, shared[0].ID, digest.Alt)
	}
	return denied(err)
}

// pictured is a digest with its picture, below the title and the sentence.
func (m message) pictured(file, alt string) message {
	image := slack.NewImageBlockSlackFile(&slack.SlackFileObject{ID: file}, clip(alt, maxAlt), "", nil)
	m.Blocks = slices.Insert(slices.Clone(m.Blocks), min(2, len(m.Blocks)), slack.Block(image))
	return m
}

// maxAlt is what a picture may say to who does not see it.
const maxAlt = 2000

// showPicture puts the picture into the digest itself. It stands in the thread in any case.
func (d *digests) showPicture(ctx context.Context, sent sentDigest, file, alt string) {
	m := sent.pictured(file, alt)
	var err error
	for range 4 {
		sleep(ctx, 3*time.Second)
		if _, err = d.cfg.Outbox.edit(ctx, sent.post, m); err == nil {
			return
		}
	}
	d.log.Warn("the digest does not show its picture, which is in its thread", "err", err)
}

// upload takes a file to Slack without showing it to anybody.
func (d *digests) upload(ctx context.Context, channel, name, content string) (id string, err error) {
	err = d.cfg.Outbox.paced(ctx, "post", channel, func() error {
		place, err := d.cfg.Slack.GetUploadURLExternalContext(ctx, slack.GetUploadURLExternalParameters{FileName: name, FileSize: len(content)})
		if err != nil {
			return err
		}
		id = place.FileID
		return d.cfg.Slack.UploadToURL(ctx, slack.UploadToURLParameters{UploadURL: place.UploadURL, Content: content, Filename: name})
	})
	return id, denied(err)
}

// denied says what to do about a missing scope, and that trying again does not help.
func denied(err error) error {
	if rotation.ClassOf(err) != rotation.ClassDenied || err == nil {
		return err
	}
	return &report.SendError{
		Sink: "Slack", Err: fmt.Errorf("%w: give the app the scope files:write, as slack-manifest.yaml has it, and install it again", err), Permanent: true,
	}
}
