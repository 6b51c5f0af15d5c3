// Package store keeps what Keyturner must not forget: a [rotation.Progress] for each IAM user, what Slack has delivered, the claims that
// make a thing happen once, and the audit entries that belong to no user, or to none any more. [Bolt] keeps them in one file, [Dynamo] in
// a DynamoDB table that several processes use at once, [Mem] until the process ends. All implement [rotation.Store] and pass the suite in
// storetest, which is what any further backend has to pass.
//
//	kept, err := store.Open("bolt:/var/lib/keyturner/keyturner.db")
//	kept, err := store.Open("dynamodb:eu-central-1/keyturner")
//
// # Design
//
// One document per user. A move of a rotation, its audit entry and the messages it owes are in the same document, so that they are
// stored together or not at all, by one conditional write. Nothing ever needs two documents to change at once, which is what lets a
// store without transactions be one of the two.
//
// There are four kinds of document (seal.go): a user's progress, a claim, an envelope and an entry. Each has a key and a rev, and
// takes the place of the one before it or fails; an entry is never replaced. What they say is the same in every backend, which sees keys,
// revs and bytes only (documents.go).
//
// Beside them stand the readings of a scan that is not through (reading.go), in parts that fit into an item of DynamoDB. They are a cache of what
// AWS says, good for an hour: one that is damaged, missing or of another version is left out and not refused. So a file is opened
// whatever stands in their bucket, a copy leaves them behind, and a backup, which is the file as it is, does not count them. Their bucket is no
// other schema either: a version that does not know it passes over it, and a later one finds what it left too old.
//
// There is one index, of what is to be done: a progress that is Live, an envelope that is not Done. It is derived from the document by
// the same write and says nothing that the document does not say. A file keeps it in the transaction of the document, and a file
// whose index and documents differ is damaged. DynamoDB's may lag behind by a moment, which does no harm in either direction: whoever
// finds work in it reads the document itself before doing anything, and acts by a conditional write; and what is not in it yet is found
// when it is next looked at, which is soon and again and again, since it is how work is found after a crash, too. Whoever changes what
// Live means raises the schema of the file and of the table, and has the index made anew from the documents.
//
// Claims have no time in them. A lease that runs out at a certain time needs clocks that agree: a process whose clock is fast takes
// over from one that is at work. So a store says only who has a name and how often it has changed hands or been confirmed. Whoever
// waits for a holder that may have died reads the claim, waits by its own clock, and reads it again: if the rev has not moved, nobody
// has confirmed it in between, and a claim at that rev takes it over, for one of those who try. Claims are there to spare work that is
// done twice, and to pick who does what; that an effect is made once rests on the rev of the document that asks for it.
//
// An envelope that is done stays for a while without its body, so that a second delivery is recognised; Forget drops it.
//
// Stored structs are apart from domain structs (record.go), so that a domain field can be renamed without touching a file, and the
// other way round. Each document carries a schema number. Reading is strict: a newer schema and an unknown field are refused, since a
// program that does not know a field would drop it with its next write. Whoever adds a field raises the number of that document's
// schema and keeps reading the earlier ones, whose samples are in testdata. Times are stored in UTC and zero times not at all; text
// that is not UTF-8 is stored with U+FFFD in place of the bytes that are not.
//
// A progress of schema 1 did not say whether messages are owed. It is read as if they were, so that somebody looks. One of schema 2 did not
// say how a secret is delivered, which was by direct message, as one that says nothing still is. A claim of schema 1
// was a lease: its holder keeps the name, for a digest that was sent must not be sent again, and its end is kept as the note; one that
// was held for a time, such as the scan's, is taken over as from a holder that has died.
//
// Documents are kept encoded, in Mem too. Every value that goes in or comes out is thereby a copy, and a field that would be lost in a
// file is lost in the tests that run on Mem.
//
// No transaction outlasts a callback. Lists are read in batches and each document by itself, and fn is called in between: a callback may use
// every method, and a slow one neither blocks a writer nor keeps bbolt from reusing pages. The price is that a scan is no snapshot; each
// document is as it is when its turn comes, which is what the contract asks for, and one created during the scan may be missed.
//
// # The file
//
// bbolt commits with copy-on-write and fsync: a transaction is there completely or not at all, whatever crashes. What a crash leaves
// is told at each write. The file holds no secret (a test walks the stored types), but who owns which key and who approved what. So it is
// created with mode 0600, and a wider mode, as a restored backup or the fsGroup of a Kubernetes volume brings along, is tightened when
// the store is opened, with a warning; only if that fails is the file refused. Refusing outright would stop the bot at every restart on
// such a volume and protect nothing that has not been readable already.
//
// A file is looked at before it is opened for writing, and one that is refused is left byte for byte as it was, mode included:
//
//   - not a bbolt file, truncated, or damaged: refused. All pages and all documents are read once at the start, since a bot that
//     comes upon a damaged document later has accepted clicks by then; the pages by code of our own (pages.go), because bbolt panics,
//     faults or loops on damaged ones, in its own check too. bbolt keeps no checksums of data pages: damage that leaves a valid
//     document behind is not found. Damage to the newer of the two meta pages takes bbolt back by one transaction.
//   - a bbolt file of another program: refused. An empty file and a bbolt file without buckets are what a crash in the first
//     moment leaves; they hold nothing and are used.
//   - written by a newer Keyturner: refused. An older file is brought to the present schema in one transaction (boltcheck.go). The entries
//     of schema 1 had numbers; they get keys of the form "!" and the number, which come before every key that begins with a letter or a
//     digit, as all that are made now do.
//
// The lock is bbolt's: one process at a time. A second one waits three seconds, which is enough for a restart to hand over, and then
// says who is in the way.
//
// # The table
//
// One item for each document, under its kind and its key, so that a scan is an ordered query of one kind. The whole of it is described
// by [Table], which the definitions in deploy repeat; Keyturner does not create it, since a role that may create tables may
// do more than keep rotations. Every read but that of the index is consistent, every write has a condition on the rev of one item, and
// no condition has a clock in it.
//
// The SDK repeats a request whose answer was lost. If the first attempt was carried out, the second fails its own condition. So each
// write carries a name of its own, drawn at random: if there was more than one attempt and the condition failed, the item is read, and one
// with that name is the write itself and a success. If others have written over it since, nobody can tell any more whether it was
// there, and the answer is an error that is neither success nor conflict: read again.
//
// A scan takes documents from pages of 64, unless the page is older than a second or this process has written since. So a callback
// finds what an earlier one did; what another process does may be seen a second late, which by the rev is no worse than if it had done
// it a second later.
//
// Envelopes that are done also expire by DynamoDB's time to live, after a week. That is a help for a table that nobody runs on any more:
// it is late by days, and nothing waits for it.
//
// All of a kind is in one partition of the table, and all that is open in one of the index. One partition takes 1,000 writes a second, which
// is some hundred times what Slack lets a workspace's bot say.
package store
