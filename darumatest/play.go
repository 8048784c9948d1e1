package darumatest

import (
	"container/heap"
	"crypto/sha256"
	"fmt"
	"hash"
	"hash/fnv"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/agent"
)

// Played is what came of a [Plan].
type Played struct {
	Hash    daruma.Digest  // of everything that happened: the same plan gives the same
	Failure error          // the first promise that was broken; nil: none
	Promise string         // which that is: the same text for failures of one sort
	Hits    map[string]int // how often what happened, by name
	Lasted  time.Duration  // of the simulated time
}

// Bounds of one history, far above what a sound one needs.
const (
	longestPlay = 12 * time.Hour
	mostSteps   = 60_000
)

var dawn = time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)

// Play plays the history: the deciding code of package agent ([agent.Stepper])
// and the core, over a [Memory] that forgets what was not synced, in simulated
// processes with simulated models, tools, people, disk and clock. An oracle
// with a ledger of its own watches. A readable trace goes to w, where it is not
// nil. One goroutine does everything, and nothing depends on the time of day,
// on the order of maps or on chance.
//
// What the oracle demands:
//
//   - what was acknowledged stays; each Tx is the only one of its run on its way,
//     and the journal refuses none but for a fault, an unsure commit or another owner,
//   - what is performed is what the events on disk ask for, and nothing begins
//     twice at once; the intent of a call with an effect is among them,
//   - a call keeps its key; no call that is done is made again; an unsafe call
//     happens once, unless on_doubt says retry or its tool lied,
//   - a sub-run begins once for each call, within its share, its parent hears once
//     what came of it and does not end before it, and a cancel reaches it,
//   - a fork writes nothing that is on its record,
//   - a write that was done is not done again in a later turn, unless its tool or
//     a person allows it; what is undone is undone once, the last first,
//     one at a time and not before it is done,
//   - a process whose run kills it is not followed by more than the limit says,
//     no wait ends before its time, and an answer settles the question it names
//   - a call that needs a yes has one: in time, for that call and its arguments,
//   - a post is folded in once, and only if somebody sent it,
//   - a run ends, and is given up, with no effect in flight; what it says of its
//     effects then is so, and a cancelled one names what is in doubt,
//   - every checkpoint with its tail folds to the same run as the whole history,
//   - every run ends: nothing hangs, spins or is quarantined, and limits hold,
//   - a drain comes to its end and leaves no run held.
//
// What is not simulated stands at [agent.Stepper]; and a tool's Verify is taken
// at its word: what it calls absent does not happen later.
func (p *Plan) Play(trace io.Writer) Played {
	w := &world{plan: p, memory: NewCachedMemory(), digest: sha256.New(), trace: trace, hits: map[string]int{}}
	w.oracle = &oracle{w: w, runs: map[daruma.RunID]*past{}}
	w.outside = &outside{w: w, done: map[string]*effect{}, ordinal: map[string]int{}}
	w.play()
	return Played{Hash: daruma.Digest(w.digest.Sum(nil)), Failure: w.failure, Promise: w.promise, Hits: w.hits, Lasted: w.now}
}

// world is one history while it is played.
type world struct {
	plan    *Plan
	memory  *Memory
	oracle  *oracle
	outside *outside
	digest  hash.Hash
	trace   io.Writer
	hits    map[string]int
	failure error
	promise string // which one was broken

	now       time.Duration // since dawn, and never set back
	shift     time.Duration // of the clock that processes read
	queue     queue
	processes []*process // alive
	born      int        // processes so far
	steps     int
	batches   int       // written, or tried to
	claims    int       // tried
	written   []written // to the cache of the disk, oldest first
	started   int       // runs whose start was acknowledged
	closing   bool      // every run is over
}

// clock is what processes and people read.
func (w *world) clock() time.Time { return dawn.Add(w.now + w.shift) }

// after does something later, in the order of time and then of asking.
func (w *world) after(d time.Duration, do func()) {
	w.queue.n++
	heap.Push(&w.queue, moment{w.now + max(d, 0), w.queue.n, do})
}

// roll draws a number below n for something that has a name of its own.
func (w *world) roll(n int, names ...string) int {
	h := fnv.New64a()
	io.WriteString(h, w.plan.seed)
	for _, name := range names {
		h.Write([]byte{0})
		io.WriteString(h, name)
	}
	x := h.Sum64() // fnv alone mixes its low bits badly
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	return int(x % uint64(n))
}

// some draws a duration up to a bound.
func (w *world) some(most time.Duration, names ...string) time.Duration {
	return most * time.Duration(w.roll(1000, names...)) / 1000
}

// tell writes a line of the trace.
func (w *world) tell(format string, args ...any) {
	line := fmt.Appendf(nil, "%10.4fs  ", w.now.Seconds())
	line = fmt.Appendf(line, format, args...)
	line = append(line, '\n')
	w.digest.Write(line)
	if w.trace != nil {
		w.trace.Write(line)
	}
}

// hit counts something that happened.
func (w *world) hit(what string) { w.hits[what]++ }

// broken notes the first promise that did not hold.
func (w *world) broken(format string, args ...any) {
	if w.failure == nil {
		w.failure, w.promise = fmt.Errorf(format, args...), format
		w.tell("BROKEN: %v", w.failure)
	}
}

func (w *world) play() {
	for range w.plan.nodes {
		w.spawn()
	}
	for _, s := range w.plan.runs {
		w.after(s.at, func() { w.start(s) })
		w.post(s)
	}
	for _, l := range w.plan.timed {
		w.after(l.duration("at"), func() { w.disturb(l) })
	}
	for w.queue.Len() > 0 && w.failure == nil {
		m := heap.Pop(&w.queue).(moment)
		w.now = m.at
		if w.now > longestPlay {
			w.broken("no end after %s: %s", longestPlay, w.oracle.unfinished())
			break
		}
		m.do()
		if !w.closing && w.started == len(w.plan.runs) && w.oracle.allOver() {
			w.close()
		}
		if w.closing && len(w.processes) == 0 {
			break
		}
	}
	if w.failure == nil {
		w.oracle.end()
	}
	for _, id := range slices.Sorted(maps.Keys(w.oracle.runs)) {
		w.tell("%s has %d events", id, len(w.oracle.runs[id].events))
	}
}

// close ends every process as a deployment does.
func (w *world) close() {
	w.tell("every run is over")
	w.closing = true
	for _, p := range slices.Clone(w.processes) {
		p.drain(30*time.Second, 0)
	}
	w.after(30*time.Minute, func() { // a clock may have been set back, by less
		if len(w.processes) > 0 {
			w.broken("process %s does not come to its end", w.processes[0].node)
		}
	})
}

// start begins a run at some process, again and again until it is acknowledged.
func (w *world) start(s *script) {
	again := func() { w.after(time.Second, func() { w.start(s) }) }
	i := slices.IndexFunc(w.processes, func(p *process) bool { return !p.draining && !p.stalled() })
	if i < 0 {
		again()
		return
	}
	p := w.processes[i]
	in, err := p.step.Start(ctx, w.clock(), agent.Start{ID: s.id, Agent: "a", Input: "do what " + string(s.id) + " is for", Key: "key " + string(s.id)},
		"nonce "+w.plan.seed+string(s.id))
	w.tell("%s starts %s: %v", p.node, s.id, err)
	if kind := daruma.KindOf(err); err != nil && kind != daruma.KindExists {
		if kind == daruma.KindDown {
			p.die("its journal is down")
		}
		p.tell("start of "+string(s.id)+" failed", in, 0)
		again()
		return
	}
	p.starts++
	w.sync(func(ok bool) {
		p.starts--
		switch {
		case !ok:
			again()
		case !p.alive && err == nil:
			again() // nobody told the caller
		default:
			w.started++
			w.oracle.acknowledged(s.id)
			if err == nil {
				p.tell("started "+string(s.id), in, 0)
			}
		}
	}, "start", string(s.id))
}

// moment is something that happens at a time.
type moment struct {
	at time.Duration
	n  int
	do func()
}

type queue struct {
	moments []moment
	n       int
}

func (q *queue) Len() int { return len(q.moments) }
func (q *queue) Less(i, j int) bool {
	a, b := q.moments[i], q.moments[j]
	return a.at < b.at || a.at == b.at && a.n < b.n
}
func (q *queue) Swap(i, j int) { q.moments[i], q.moments[j] = q.moments[j], q.moments[i] }
func (q *queue) Push(x any)    { q.moments = append(q.moments, x.(moment)) }
func (q *queue) Pop() any {
	last := q.moments[len(q.moments)-1]
	q.moments = q.moments[:len(q.moments)-1]
	return last
}
