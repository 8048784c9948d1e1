// Package postgres keeps a [daruma.Journal] in a schema of a PostgreSQL
// database, 13 or later.
//
//	db, err := postgres.Open(ctx, "postgres://daruma@db.example/agents", nil)
//	if err != nil {
//		return err // KindExists names the process that owns the journal
//	}
//	defer db.Close()
//	verdicts := db.Commit(ctx, []daruma.Tx{tx}) // nil: durable
//
// # Connection strings
//
// They are those of libpq, as a URL or as words; PGPASSWORD, PGPASSFILE and
// the other variables work. One parameter is ours: schema, by default daruma,
// is where the tables lie. A password never stands in an error. Sessions are
// held for long and keep locks: a pooler that shares them between clients, as
// PgBouncer does by transactions, cannot stand between.
//
// # One owner
//
// The process that called [Open] owns the journal until [DB.Close] or its
// death. Two things see to it. A session of its own holds an advisory lock, so
// that a second process is refused. And each owner takes the next epoch, which
// every transaction checks and locks before it writes: one who was cut off
// without noticing cannot commit any more, and the next owner waits for a
// transaction under way.
//
// Others read, post and start runs with [Connect], straight through the
// database, whether an owner lives or not. The owner is woken by NOTIFY, and
// looks every few seconds all the same.
//
// # Commits
//
// Calls of Commit and Claim queue for one writer. It decides whatever was
// queued while the last transaction was under way, on what it remembers or
// reads in one round trip, and sends one transaction for all, BEGIN to COMMIT,
// in another. Every statement that writes checks that what was read still
// holds and raises an error where not, so that the COMMIT behind it does not
// happen. Then each Tx is committed by itself, so that only the one at fault
// fails. What the writer remembers of a run saves a query; nothing is
// acknowledged on its word.
//
// Its sessions set synchronous_commit=on. A server with fsync=off or
// full_page_writes=off is refused, and so is a role, database or connection
// string that sets synchronous_commit=off.
//
// # When the server fails
//
// Where the server says that a transaction was rolled back, the journal goes
// on: a full disk is KindExhausted, a deadlock is tried again. Where the
// session that writes is lost, or answers nothing for a minute, nobody knows
// whether the last transaction took place: nobody in it is acknowledged, all
// get KindDown, and the journal writes no more. Where the session with the
// lock is lost, it stops as well. See [DB.Err] and [DB.Down]: the process
// should end and be started again, which finds what did happen. A process that
// dies at any moment leaves every acknowledged Tx whole, and of the others
// each whole or not at all.
//
// # Verification
//
// It is that of package sqlite for events: every event carries the hash of
// [daruma.Chain] and the run that of its last event; [DB.Events] and
// [DB.Claim] verify, and a claim quarantines a run that does not match. Blobs
// are verified when read. Other columns carry no hash.
//
// # What the contract leaves open
//
//   - Folding in a post that does not exist is KindNotFound, a second time
//     KindConflict.
//   - Closing an approval of another run, or one that does not exist, is
//     KindNotFound; closing one twice is not an error. An id is never used
//     again. When a run finishes, its open approvals are void and posts not
//     folded in are dropped.
//   - A budget belongs to a tenant. Of it count what open grants drew, or
//     really cost where that is more, and what released grants cost.
//   - Whether a key has expired is judged by the database's clock.
//   - Text that is not UTF-8 or holds a zero byte is KindInvalid; in a note it
//     is replaced. A Tx may have 256 MiB.
//   - DB.Post goes to the database by itself, not through the writer.
//
// # What it does not do
//
// It has no leases: one process performs runs, others wait for its end. It
// deletes nothing by itself and encrypts nothing.
package postgres
