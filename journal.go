package daruma

import (
	"context"
	"iter"
	"time"
)

// Journal keeps runs: their events, what waits for them and what they need.
// [Journal.Commit] returning nil for a Tx means that it is on disk.
//
// All methods may be called at once from many goroutines. Errors are *Failure
// with the kinds named at each method; besides, any method may fail with
// KindCancelled or KindTimeout of its context (the outcome of a Commit is then
// unknown to the caller, who must read before trying again), KindDown after
// the journal has stopped, and KindUnavailable where its database cannot be
// reached.
type Journal interface {
	Reader

	// Commit makes every Tx durable that can be, all of them in as few disk
	// syncs as possible, and returns one verdict per Tx in their order, nil
	// for durable. A Tx is all or nothing; the failure of one does not touch
	// the others. Verdicts: KindFenced (epoch is not the run's), KindConflict
	// (head is not the run's), KindExists (a run, key or timer exists already),
	// KindNotFound (no such run), KindInvalid (the Tx contradicts itself),
	// KindExhausted (budget refused a draw, disk full), KindDown.
	//
	// After a failed sync nothing of the batch is acknowledged, the journal
	// stops writing for good and every later write fails with KindDown: the
	// process must be restarted, which recovers what did reach the disk. The
	// journal never syncs again what a sync has failed for.
	Commit(ctx context.Context, txs []Tx) []error

	// Post stores a message for a run and returns once it is durable. A post
	// with the same (Run, Topic, Key) changes nothing and is not an error:
	// fresh is false. Posting to a finished run is KindConflict.
	Post(ctx context.Context, p Post) (fresh bool, err error)

	// Claim gives the node runs that have something to do and belong to no
	// live node: running ones whose owner is gone, waiting and parked ones
	// whose time has come or for which a post waits. Each claimed run gets a
	// new epoch and a run.claimed event, durably, which says whether the owner
	// before it had released the run ([Claim].Clean). Besides it returns posts
	// not yet folded for runs the node holds already, and when to ask again.
	// Errors: KindInvalid as [Claim.Check] says. After any other but KindDown
	// runs may have become the node's that it was not told of, at once or a
	// little later: they are those of [Query].Node that it does not know, and
	// nobody else gets them before it gives them up.
	Claim(ctx context.Context, c Claim) (Claims, error)

	// Wake returns a channel that receives after Claim may have more to say:
	// a post, a new run, another process's message. It may receive for no
	// reason; it is never closed. Every caller gets the same channel, which
	// holds one value.
	Wake() <-chan struct{}
}

// Reader reads what a [Journal] keeps. Reading needs no ownership.
type Reader interface {
	// Run returns what is known of a run without its events; KindNotFound.
	Run(ctx context.Context, id RunID) (RunInfo, error)

	// Runs returns the runs that match, newest first.
	Runs(ctx context.Context, q Query) ([]RunInfo, error)

	// Events yields the events of a run with Seq > after, in order, each
	// verified against its hash; KindNotFound, KindCorrupt.
	Events(ctx context.Context, id RunID, after int64) iter.Seq2[Event, error]

	// Blob returns the bytes of a digest, verified; KindNotFound, KindCorrupt.
	Blob(ctx context.Context, t Tenant, d Digest) ([]byte, error)

	// Approvals returns the open approvals, oldest first; of one run, or of
	// all where run is empty.
	Approvals(ctx context.Context, run RunID) ([]Approval, error)
}

// RunType says which room folds the events of a run.
type RunType string

// AgentRun is the type of the runs this package folds.
const AgentRun RunType = "agent"

// Tx is what must become durable together. Run, Head and Epoch are empty for a
// Tx that belongs to no run.
type Tx struct {
	Tenant Tenant
	Run    RunID
	Type   RunType // of a new run
	Name   string  // of a new run: the agent, flow or job
	Head   int64   // the last Seq the caller knows; 0 starts the run
	Epoch  int64   // the lease under which the caller writes; ignored when Head is 0
	Node   string  // with Head 0: the run is born claimed by this node, under epoch 1, without a run.claimed event; empty: anybody may claim it

	Events []Event // Seq is given by the journal: Head+1 and on
	State  RunState
	WakeAt time.Time // when a waiting or parked run wants to be claimed; zero: only by a post
	Note   string    // one line for lists: why it is parked, what it answered
	// Release gives the run up: no node holds it any more. Finished, waiting
	// and parked runs are released by their owner when nothing is in flight.
	Release bool

	Folded    []PostID   // posts that Events fold in; they are not returned by Claim again
	Keys      []KeyClaim // claimed, all or none
	Approvals []Approval // opened
	Closed    []string   // ids of approvals that are answered or void
	Spends    []Spend
	Blobs     []Blob
	// Posts are messages to other runs that become durable with the rest, as
	// by [Journal.Post]: again the same is nothing new, a run that does not
	// exist yet gets them when it starts, and those to a run that is over or
	// set aside are dropped. Their tenant is that of the Tx.
	Posts []Post
}

// PostID names a post of the Tx's run.
type PostID struct{ Topic, Key string }

// KeyClaim claims an idempotency key for a run: unique per tenant. A second
// claim with the same fingerprint or another is KindExists or KindConflict;
// [Journal.Commit] returns them as a [KeyTaken].
type KeyClaim struct {
	Key         string    // at most 255 bytes, no control characters
	Fingerprint Digest    // of what the key stands for
	Until       time.Time // when the key may be claimed anew; zero means never
}

// KeyTaken is the cause in the Failure of a refused [KeyClaim].
type KeyTaken struct {
	Key  string
	Run  RunID // who holds it
	Same bool  // the fingerprints are equal
}

// Error says who holds the key.
func (k *KeyTaken) Error() string {
	if k.Same {
		return "key " + k.Key + " belongs to run " + string(k.Run)
	}
	return "key " + k.Key + " belongs to run " + string(k.Run) + " with other content"
}

// Blob is content kept once per tenant by its digest.
type Blob struct {
	Digest Digest
	Bytes  []byte
}

// Claim asks for runs. Its JSON is the payload of run.claimed events.
type Claim struct {
	Node  string `json:"node"`
	Epoch int64  `json:"epoch,omitzero"` // in events: the epoch given
	// Clean says, in events, that nobody had held the run, or that its holder
	// had given it up: no process died with it. The journal decides it,
	// whatever the caller says.
	Clean bool      `json:"clean,omitempty"`
	Max   int       `json:"-"` // at most so many runs; zero means 1,000
	Now   time.Time `json:"-"` // runs whose WakeAt is not after it are due
	Type  RunType   `json:"-"`
}

// Claims is the answer to a [Claim].
type Claims struct {
	Runs  []Claimed
	Posts []Post    // unfolded ones for runs this node holds already
	Next  time.Time // the earliest WakeAt of runs nobody holds; zero: none
	More  bool      // Max was reached: ask again at once
}

// Claimed is a run that now belongs to the node that asked.
type Claimed struct {
	Run    RunInfo
	Events []Event // from the last checkpoint (or the start) to the run.claimed just written
	Posts  []Post  // not yet folded in, oldest first
}

// RunInfo is what lists show of a run.
type RunInfo struct {
	ID      RunID     `json:"id"`
	Tenant  Tenant    `json:"tenant,omitempty"`
	Type    RunType   `json:"type"`
	Name    string    `json:"name"`
	State   RunState  `json:"state"`
	Note    string    `json:"note,omitempty"`
	Head    int64     `json:"head"`
	Epoch   int64     `json:"epoch"`
	Node    string    `json:"node,omitempty"` // who holds it; empty: nobody
	WakeAt  time.Time `json:"wake_at,omitzero"`
	Started time.Time `json:"started"`
	Updated time.Time `json:"updated"`
}

// Query selects runs. The zero Query is the newest 100 of all.
type Query struct {
	Tenant Tenant     // empty: all
	Name   string     // empty: all
	Node   string     // only runs it holds; empty: all
	Type   RunType    // empty: all
	States []RunState // empty: all
	Before RunID      // only runs that come after this one in the list: for paging
	Limit  int        // zero means 100
}

// Chain returns the hash of an event: SHA-256 over the hash of the event
// before it and over every stored column, each with its length.
func Chain(prev Digest, tenant Tenant, run RunID, e Event) Digest {
	var space [1 << 10]byte // what most events need, without an allocation
	b := append(space[:0], prev[:]...)
	b = appendSized(b, string(tenant))
	b = appendSized(b, string(run))
	b = appendSized(b, string(e.Kind))
	b = appendSized(b, string(e.Actor))
	b = appendUint(b, uint64(e.Seq))
	b = appendUint(b, uint64(e.Time.UnixMicro()))
	b = appendUint(b, uint64(len(e.Payload)))
	b = append(b, e.Payload...)
	return DigestOf(b)
}
