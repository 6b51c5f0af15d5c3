// Package rotation is Keyturner's domain: what a rotation of an access key is, what may happen to it and on which evidence, and the
// engine that carries it through. It knows neither Slack nor AWS nor a database; those are behind the interfaces of edges.go.
//
// # Words
//
// An Account is an AWS account, a User is always an IAM user, a Member is a person in Slack, and the Owner is the Member answerable
// for a User. A Key is an access key's metadata and never its secret. A Rotation is one replacement or retirement of one key. It
// stands in a Stage, and an Event moves it along a row of the lifecycle table, a Move, if the Gate of that row opens on the
// Evidence. An Ask puts a question to the approvers and keeps their Decision with what they were shown. An Entry is an audit line.
//
// # Design
//
// lifecycle.go holds the one table of all moves. Step applies it, and is pure; the gates are pure; Start is pure. The Engine is the only
// shell: it stores the working stage (the intent), looks at the facts again, makes the one call, and stores the outcome. Each of
// these writes is a compare-and-swap of the user's one document, so two clicks, or two engines, make one move.
//
// After a crash every working stage is begun again, and every effect looks before it acts. What a crash leaves is written at each
// effect in effect.go. A failed write means that the outcome is unknown, and so does a failed call whose class is ClassUnknown: the
// facts are read again. Unknown is never taken for unused, absent or empty: a gate that misses a fact stays shut.
//
// An exemption that is asked for in Slack, and a snooze, stand in the user's document beside its rotations (exemption.go). They are no
// rotations: nothing of them is called in AWS, and a rotation of the key may run at the same time.
//
// Where this goes beyond the first sketch of the lifecycle: a gate that finds what only somebody else can have done (a third key, a
// status the bot did not set, another user under the same name) makes the rotation stuck from any stage, not only from a
// working one, so that there is one way to stop and ask a person. An approval given on evidence that has changed but still holds
// renews the ask (renew); one given on evidence that no longer holds leads back (refute). An owner who loses the new key before
// anybody used it has two ways out, reissue and abandon.
//
// Several processes may work on one store (Config.Shared). Whatever moves a rotation into a working stage writes along who makes its effect;
// another process makes it only after it has seen for workLease, by its own clock, that nothing changes. So each effect is made once,
// as long as no process stands still for longer than that in the middle of a call; for one that does, the look before each effect,
// the compare-and-swap of the outcome and the intent of a creation keep the harm to an effect that is made a second time to no
// avail, or to a suspect key. What exists once for all processes, the messages and the schedules, is one process's at a time (Lead).
// No clock is compared with another machine's.
//
// While an owner moves their applications the engine looks at the gate by itself, when time can have opened it, and keeps what is missing
// (Proof), so that nobody has to click to find out. A look moves nothing, unless it finds that somebody else has acted.
//
// An approver may overrule evidence that is missing (overrule.go), never what somebody else has changed or what is not known. Their reason
// stands in the Ask, which is decided upon as any other: so two decisions stand behind such a deactivation, and invariant 3 rests on them.
//
// A leaked key (leak.go) waits for no evidence and for one person alone, whoever they are, as long as they are an approver or on call: the
// decision that it is leaked waives invariant 3, since to keep a key working that others have is no service to its owner. It goes before
// whatever else runs for the user, which ends and leaves AWS as it is.
//
// A key that is made inactive needs a decision, with one exception beside those of reactivating and of revoking what nobody has used: the
// new key, which this rotation made, when its owner says "Not me". Only that key is touched, and the old one works. Whether it is then
// deleted, used or not, is an approver's decision.
//
// The secret's message is posted before there is a key, and filled by an edit. The first sketch posted the secret, and read the
// conversation back if the answer was lost; so the bot would have had to ask for the right to read DMs, in which secrets stand. An edit can
// be repeated, and where a secret may stand is known before there is one, so that it can always be deleted.
//
// A secret goes to its owner, as it is or sealed for their public key, or to a Vault in AWS (Delivery). Which way, and for which key or to
// which place, is fixed when a rotation begins and is part of what the approvers are shown: a public key that is set later, by whoever,
// redirects nothing that was approved. A secret for a Vault needs no message that could show it, so there is none to be deleted. The
// message that tells where it is is derived from what is stored, like all others, since the id of its version is. For a window (Reveal) the
// creation comes last: without one that is open, Creating leads to Offered and makes nothing, and its owner leads back with one. So no
// row but these differs, and a key whose window was lost ends as any key that reached nobody.
//
// A Rotation carries the Terms it began under, so a changed configuration alters no rotation under way: how many must approve is among
// them. Who may is not: that is asked at each click of the rule as it is configured then, and of Slack, and what cannot be read gives nobody
// authority (authority.go). The rule is found by what the user was when the rotation began, so that no new tag moves it to other hands.
// An approval that does not complete what is wanted is a decision in the open ask and moves nothing, not even the turn, so that two who
// click at the same moment both count.
package rotation
