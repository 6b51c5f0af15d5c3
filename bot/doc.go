// Package bot is Keyturner's face in Slack: it hears commands and clicks through Socket Mode, lets the engine decide, and shows
// what is stored.
//
// # Design
//
// Messages are not sent when something happens. They are derived: for each user's progress a pure function says which messages there
// should be and what they should say, and the outbox posts, edits or deletes until Slack shows just that. Where each message stands,
// and what it last said, is kept in the progress itself. So a message that could not be sent is sent later, after a restart too, an
// edit that has been overtaken is skipped, and nothing but the stored state is ever shown. The one message that cannot be derived
// is the one with the secret: the engine hands it over directly, and the outbox keeps no trace of it but where it stands. A sealed secret goes
// the same way: it comes out otherwise each time that it is sealed.
//
// Before a message is posted, a mark with a nonce is written, and the message carries the nonce in its metadata. After a crash, or an
// answer that never came, a mark without a message is left: in a channel the message is then looked for by its nonce, and posted again
// only if it is not there. In a DM nobody can look, since the bot does not ask for the right to read where it shows secrets; there it
// is posted again, at growing intervals. The first click in a message that the store does not know of makes it known, and a second copy of
// one is taken away. Of several processes one sends the messages and keeps the schedules (rotation.Engine.Lead), so that each message
// has one writer, and one limiter paces what Slack counts by workspace.
//
// The digest is one message a week, remembered in a claim of its week. Its picture and its file are shared in its thread first, since Slack
// shows an uploaded file in a message only once it has been shared, and to those alone who see where; then the message shows the picture too.
// Every other way that it takes has a claim of its own.
//
// A click carries the rotation and the turn at which it was shown, and nothing else. Who may do what is looked up when they click.
// Every click is answered: by the edited card if it did something, and by a reply that only the clicker sees if it did not.
//
// Two sockets are held open, each supervised by itself: the next connection is opened before a warned one is left, failures are waited
// out with growing pauses, and what only a person can mend ends Run. The library's own client is not used, since it dials again within
// milliseconds whatever the reason, and cannot tell whether an acknowledgement was written. A socket's reader dispatches, answers pings,
// and never calls out.
//
// What asks for something is recorded in the store, then acknowledged, then worked, then settled. Only what the work needs is recorded,
// nothing of the message that was clicked, and nothing of it stays when it is settled. A second delivery is recognised by its id. What a
// process leaves when it dies is taken over, by the next one at its start, or by another one when it has seen it unchanged for some minutes; so
// all work is such that doing it again does no harm, and a replay of what was done looks like success. If the store does not answer in time,
// the person is told that nothing is recorded, and it is not worked even if it turns out to be.
package bot
