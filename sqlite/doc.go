// Package sqlite keeps a [daruma.Journal] in one SQLite file, with no service
// beside it.
//
//	db, err := sqlite.Open(ctx, "daruma.db", nil)
//	if err != nil {
//		return err // KindExists names the process that owns the file
//	}
//	defer db.Close()
//	verdicts := db.Commit(ctx, []daruma.Tx{tx}) // nil: on disk
//
// # One owner
//
// The process that called [Open] owns the file until [DB.Close] or its death:
// it holds a lock on PATH.lock, which says who it is. Others read with
// [OpenReader], and hand posts and new runs to the owner through a Unix socket
// of mode 0600, PATH.sock, with [Dial]. [Connect] does whichever is possible.
// The socket speaks HTTP with JSON: GET /v1/owner, POST /v1/post, POST
// /v1/commit. Where the path is too long for a socket it lies in a folder of
// this user in the system's temporary folder; PATH.lock says where.
//
// # Commits
//
// Calls of Commit, Post and Claim queue for one writer. It commits whatever was
// queued while the last commit was synced, in one transaction with one sync,
// and answers afterwards. A caller that finds the writer idle commits by
// itself, at about the price of one inserted row. The write-ahead log is
// synced with every commit (synchronous=FULL) and copied into the file between
// commits.
//
// Head, epoch and hash are checked by the statement that writes. What the
// writer remembers of a run saves a query, and never decides.
//
// A run that was still held when its process ended is marked by the next Open,
// so that its claim is not clean: only a holder that released it makes it so.
//
// A context is obeyed until the writer takes the call. From then on the call
// waits for the answer, so that its outcome is always known.
//
// # When the disk fails
//
// After a commit or sync that failed, nobody in that batch is acknowledged and
// the journal writes no more: see [DB.Err] and [DB.Down]. Close it and open it
// again, in the same process or another: Open writes the log again and syncs
// it before it believes what it reads there. A disk that is full is
// KindExhausted, nothing was written, and the journal goes on. A process that
// dies at any moment leaves every acknowledged Tx whole, and of the others
// each whole or not at all.
//
// # Verification
//
// Every event carries the hash of [daruma.Chain] and the run carries that of
// its last event, so that a changed, a missing and an added event are all
// found: by [DB.Events], and by [DB.Claim] from the last checkpoint on, which
// quarantines the run and goes on with the others. Blobs are verified when
// read. Rows of runs, posts, keys, approvals and budgets carry a checksum,
// which finds what a disk changed but not what somebody changed on purpose: a
// row that does not match it is refused or quarantined when it is read.
//
// What is never read is found by nobody: [DB.Verify] reads everything, the
// structure of the file and its indexes too. The owner does so once after
// Open, beside its work. A damaged run is quarantined; a damaged file stops the
// journal, see [DB.Down], with a failure that says KindCorrupt within.
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
//     really cost where that is more, and what released grants cost. Drawing
//     from a released grant is KindConflict, settling one is counted, the
//     amount of a release is ignored, an unknown grant is KindNotFound.
//   - Whether a key has expired is judged by this machine's clock.
//   - A Tx on a run that is over is KindConflict, on a quarantined one
//     KindCorrupt.
//
// # What it does not do
//
// It does not lie on network file systems, is not shared by machines, deletes
// nothing by itself and encrypts nothing.
package sqlite
