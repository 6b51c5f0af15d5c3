// Package store keeps what Keyturner must not forget: a [rotation.Progress] for each IAM user, the claims that make a thing happen
// once, and the audit entries that belong to no user. [Bolt] keeps them in one file, [Mem] until the process ends; both implement
// [rotation.Store] and pass the suite in storetest, which is what any further backend has to pass.
//
//	kept, err := store.Open("bolt:/var/lib/keyturner/keyturner.db")
//
// # Design
//
// One document per user. A move of a rotation, its audit entry and the messages it owes are in the same document, so that they are
// stored together or not at all, by one conditional write. There are no indexes that could disagree with it.
//
// Stored structs are apart from domain structs (record.go), so that a domain field can be renamed without touching a file, and the
// other way round. Each document carries a schema number. Reading is strict: a newer schema and an unknown field are refused, since a
// program that does not know a field would drop it with its next write. Whoever adds a field raises the number of that document's
// schema and keeps reading the earlier ones, whose samples are in testdata. Times are stored in UTC and zero times not at all; text
// that is not UTF-8 is stored with U+FFFD in place of the bytes that are not.
//
// Documents are kept encoded, in Mem too. Every value that goes in or comes out is thereby a copy, and a field that would be lost in a
// file is lost in the tests that run on Mem.
//
// No read transaction outlasts a callback. Scan reads ids in batches and each document by itself, Entries likewise, and both call back
// between transactions: a callback may use every method, and a slow one neither blocks a writer nor keeps bbolt from reusing pages. The
// price is that a scan is no snapshot; each document is as it is when its turn comes, which is what the contract asks for, and one
// created during the scan may be missed.
//
// Claims are never shortened by their holder, so that a holder which asks again with a short lease, after a restart or out of order,
// does not give away what it had marked as done for longer.
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
//   - written by a newer Keyturner: refused.
//
// The lock is bbolt's: one process at a time. A second one waits three seconds, which is enough for a restart to hand over, and then
// says who is in the way.
package store
