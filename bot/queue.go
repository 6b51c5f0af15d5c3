package bot

import (
	"context"
	"maps"
	"slices"

	"github.com/keyturner/keyturner/rotation"
)

// groupsOf lists the user groups that decide about, or own, IAM users and that a member is in, and tells whether all of them could be read.
func (b *Bot) groupsOf(ctx context.Context, m rotation.MemberID) (in []rotation.GroupID, read bool) {
	read = true
	for _, g := range slices.Concat(b.view.deciding(), slices.Sorted(maps.Keys(b.cfg.Groups))) {
		members, err := b.cfg.People.Group(ctx, g)
		read = read && err == nil
		if err == nil && slices.Contains(members, m) {
			in = append(in, g)
		}
	}
	return in, read
}

// deciding lists the user groups that the rules name.
func (v view) deciding() (groups []rotation.GroupID) {
	for _, a := range v.approvals {
		groups = append(append(groups, a.By.Groups...), a.Escalate.To.Groups...)
	}
	slices.Sort(groups)
	return slices.Compact(groups)
}

// decides tells whether the member is one of those who may answer the open ask of a rotation. Whether they still may is looked up when they
// click.
func (h home) decides(v view, r rotation.Rotation) bool {
	ask, asked := r.CurrentAsk()
	by := v.approvals.ForRotation(r).Decides(r)
	named := slices.Contains(by.Members, h.actor.Member) || slices.ContainsFunc(by.Groups, func(g rotation.GroupID) bool { return slices.Contains(h.groups, g) })
	switch {
	case !asked:
		return false
	case ask.Stage == rotation.Leaked:
		return named || h.actor.Approver || h.actor.OnCall
	}
	approved := slices.ContainsFunc(ask.Approvals(), func(d rotation.Decision) bool { return d.By == h.actor.Member })
	fellow := r.Group != "" && slices.Contains(h.groups, r.Group)
	return named && !approved && !fellow && h.actor.Member != ask.Overruled.By && h.actor.Member != r.Owner && h.actor.Member != r.Requester
}

// inGroups lists who is in the groups that decide about a rotation, as far as that can be read.
func (b *Bot) inGroups(ctx context.Context, r rotation.Rotation) (members []rotation.MemberID) {
	for _, g := range b.view.approvals.ForRotation(r).Decides(r).Groups {
		if of, err := b.cfg.People.Group(ctx, g); err == nil {
			members = append(members, of...)
		}
	}
	return members
}

const groupsUnread = "Slack did not tell who is in every group that decides, so requests that wait for you may be missing here."
