// Package bot is Keyturner's face in Slack: it hears commands and clicks through Socket Mode, lets the engine decide, and shows
// what is stored.
//
// # Design
//
// Messages are not sent when something happens. They are derived: for each user's progress a pure function says which messages there
// should be and what they should say, and the outbox posts, edits or deletes until Slack shows just that. Where each message stands,
// and what it last said, is kept in the progress itself. So a message that could not be sent is sent later, after a restart too, an
// edit that has been overtaken is skipped, and nothing but the stored state is ever shown. The one message that cannot be derived
// is the one with the secret: the engine hands it over directly, and the outbox keeps no trace of it but where it stands.
//
// Before a message is posted, a mark with a nonce is written, and the message carries the nonce in its metadata. After a crash, or an
// answer that never came, a mark without a message is left: in a channel the message is then looked for by its nonce, and posted again
// only if it is not there. In a DM nobody can look, since the bot does not ask for the right to read where it shows secrets; there it
// is posted again, at growing intervals. The first click in a message that the store does not know of makes it known, and a second copy of
// one is taken away. Of several processes one sends the messages and keeps the schedules (rotation.Engine.Lead), so that each message
// has one writer, and one limiter paces what Slack counts by workspace.
//
// A click carries the rotation and the turn at which it was shown, and nothing else. Who may do what is looked up when they click.
// Every click is answered: by the edited card if it did something, and by a reply that only the clicker sees if it did not.
//
// The socket's reader acknowledges and dispatches; it never calls out.
package bot
