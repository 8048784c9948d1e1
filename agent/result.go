package agent

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/daruma-run/daruma"
)

// Result is where a run ended, or where it stopped to wait for somebody.
type Result struct {
	Run       daruma.RunID
	State     daruma.RunState
	Note      string            // one line for people
	Finished  *daruma.Finished  // nil unless it ended
	Parked    *daruma.Parked    // nil unless it is parked
	Approvals []daruma.Approval // open ones of a parked run
	Level     daruma.Level      // how much of the full service it got so far
	Falls     []daruma.Fall     // what went wrong on the way, oldest first
	Usage     daruma.Usage
	Cost      daruma.Money
	Steps     int
}

// Answer returns the answer of a finished run, "" where there is none. Of an
// answer above [daruma.MaxInline] it is the beginning; the whole is the blob
// that Finished.Ref names.
func (r Result) Answer() string {
	if r.Finished == nil {
		return ""
	}
	return r.Finished.Answer
}

// resultOf reads the result from a committed Tx and its run.
func resultOf(tx *daruma.Tx, run *daruma.Run) *Result {
	if tx.State == daruma.Quarantined {
		return &Result{Run: tx.Run, State: tx.State, Note: tx.Note}
	}
	r := ResultOf(run)
	return &r
}

// ResultOf returns where a folded run stands, such as one of [Read].
func ResultOf(run *daruma.Run) Result {
	return Result{
		Run: run.ID(), State: run.State(), Note: run.Note(), Level: run.Level(),
		Finished: run.Finished(), Parked: run.Parked(), Approvals: slices.Clone(run.Approvals()),
		Falls: slices.Clone(run.Falls()), Usage: run.Usage(), Cost: run.Cost(), Steps: run.Steps(),
	}
}

// Read folds a run from the journal, whoever works on it. Errors: KindNotFound,
// KindCorrupt, and those of the journal.
func Read(ctx context.Context, j daruma.Reader, id daruma.RunID) (*daruma.Run, error) {
	info, err := j.Run(ctx, id)
	if err != nil {
		return nil, err
	}
	run := daruma.NewRun(id, info.Tenant)
	for e, err := range j.Events(ctx, id, 0) {
		if err != nil {
			return nil, err
		}
		if err := run.Apply(e); err != nil {
			return nil, err
		}
	}
	return run, nil
}

// waiters are those who wait for runs. It is safe for concurrent use.
type waiters struct {
	mu   sync.Mutex
	of   map[daruma.RunID][]chan Result
	born map[daruma.RunID]bool // runs started here that are in the loop's memory since
}

// bear notes that a run was started here and handed to the loop.
func (w *waiters) bear(id daruma.RunID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.born == nil {
		w.born = map[daruma.RunID]bool{}
	}
	w.born[id] = true
}

// leave notes that runs are not in the loop's memory any more.
func (w *waiters) leave(ids []daruma.RunID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ids {
		delete(w.born, id)
	}
}

// lives reports whether a run was started here and has not left the loop's
// memory: what becomes of it will be told.
func (w *waiters) lives(id daruma.RunID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.born[id]
}

// add returns a channel that gets every result of the run from now on, the
// latest one if the reader is late, and a function that ends this.
func (w *waiters) add(id daruma.RunID) (<-chan Result, func()) {
	ch := make(chan Result, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.of == nil {
		w.of = map[daruma.RunID][]chan Result{}
	}
	w.of[id] = append(w.of[id], ch)
	return ch, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		rest := slices.DeleteFunc(w.of[id], func(c chan Result) bool { return c == ch })
		if len(rest) == 0 {
			delete(w.of, id)
			return
		}
		w.of[id] = rest
	}
}

// tell hands a result to everybody who waits for it.
func (w *waiters) tell(r *Result) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, ch := range w.of[r.Run] {
		select {
		case <-ch: // an older result nobody has taken
		default:
		}
		ch <- *r
	}
}

// look is how often Wait looks for runs that another process performs.
const look = 5 * time.Second

// Wait returns when the run has finished or is parked. It may be called before
// the run exists in this process, and for runs of another one, which it looks
// for every few seconds. Errors: KindNotFound, KindCancelled where this shell
// has stopped before the run did, those of the journal, and KindCancelled or
// KindTimeout of ctx.
func (s *Shell) Wait(ctx context.Context, id daruma.RunID) (Result, error) {
	return s.wait(ctx, id, false)
}

// WaitFinished is [Shell.Wait] past every park: it returns when the run has
// finished, or is quarantined.
func (s *Shell) WaitFinished(ctx context.Context, id daruma.RunID) (Result, error) {
	return s.wait(ctx, id, true)
}

func (s *Shell) wait(ctx context.Context, id daruma.RunID, through bool) (Result, error) {
	const op = "agent.Wait"
	over := func(state daruma.RunState) bool {
		return state.Finished() || state == daruma.Quarantined || state == daruma.ParkedState && !through
	}
	results, done := s.waiters.add(id)
	defer done()
	again := time.NewTicker(look)
	defer again.Stop()
	lives := s.waiters.lives(id)
	for stopped := false; ; lives = false {
		var info daruma.RunInfo
		if !lives {
			var err error
			if info, err = s.journal.Run(ctx, id); err != nil {
				return Result{}, err
			}
		}
		if info.State == daruma.Quarantined {
			return Result{Run: id, State: info.State, Note: info.Note}, nil
		}
		if over(info.State) {
			run, err := Read(ctx, s.journal, id)
			if err != nil {
				return Result{}, err
			}
			if over(run.State()) {
				return ResultOf(run), nil
			}
		}
		if stopped {
			return Result{}, daruma.Fail(op, daruma.KindCancelled, "the shell has stopped; run %s is %s and goes on with the next", id, info.State)
		}
		for looking := false; !looking; {
			select {
			case r := <-results:
				if over(r.State) {
					return r, nil
				}
			case <-again.C:
				looking = true
			case <-s.finished:
				stopped, looking = true, true
			case <-ctx.Done():
				err := context.Cause(ctx)
				return Result{}, &daruma.Failure{Op: op, Kind: daruma.KindOf(ctx.Err()), Err: err}
			}
		}
	}
}
