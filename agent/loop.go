package agent

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/daruma-run/daruma"
)

var (
	errStop     = errors.New("the shell is stopping")
	errUnwanted = errors.New("the run does not want the result any more")
)

// patience is how long calls may take to notice that they were cancelled.
const patience = 5 * time.Second

// loop is the goroutine that owns the machine, and those that work for it.
type loop struct {
	s       *Shell
	m       *machine
	work    context.Context // of calls: ends after the grace
	stop    context.CancelCauseFunc
	cancels map[*task]context.CancelCauseFunc
	wg      sync.WaitGroup
	pending []*flight      // to be committed
	commits chan []*flight // to the committers
	jobs    chan job       // to idle performers
	idle    atomic.Int32   // performers that wait for a job
	batch   []input
	timer   *time.Timer
}

// stopper is a journal that says at once when it has stopped. Of another one
// the shell hears with its next commit or claim, which without work is after
// claimEvery.
type stopper interface {
	// Down returns a channel that is closed when the journal has stopped.
	Down() <-chan struct{}
}

// committers is how many commits may be on their way at once: while one reaches
// the disk, what is ready meanwhile queues up at the journal, and all of it
// shares the next sync.
const committers = 8

func newLoop(ctx context.Context, s *Shell) *loop {
	l := &loop{s: s, m: s.machine(), cancels: map[*task]context.CancelCauseFunc{},
		commits: make(chan []*flight), jobs: make(chan job), timer: time.NewTimer(time.Hour)}
	l.work, l.stop = context.WithCancelCause(context.WithoutCancel(ctx))
	for range committers {
		l.wg.Go(l.commit)
	}
	return l
}

// end stops every goroutine and waits for them, but not for ever: a call that
// ignores its context is left behind, and is the error.
func (l *loop) end() error {
	l.timer.Stop()
	l.s.stopTaking()
	l.stop(errStop)
	close(l.s.finished)
	close(l.commits)
	ended := make(chan struct{})
	go func() {
		l.wg.Wait()
		close(ended)
	}()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	select {
	case <-ended:
	case <-ctx.Done():
		return daruma.Fail("agent.Run", daruma.KindTimeout, "%d calls have not ended %s after they were cancelled", l.m.running, patience)
	}
	for _, name := range names(l.s.agents) {
		if err := l.s.agents[name].set.Close(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (l *loop) run(ctx context.Context) error {
	stopped, grace := ctx.Done(), (<-chan time.Time)(nil)
	var down <-chan struct{}
	if j, ok := l.s.journal.(stopper); ok {
		down = j.Down()
	}
	l.batch = append(l.batch, woken{})
	if l.m.purse != nil {
		l.wg.Go(l.ledger)
	}
	for {
		for _, in := range l.batch {
			if d, ok := in.(*done); ok {
				delete(l.cancels, d.task)
			}
		}
		out := l.m.step(time.Now(), l.batch)
		clear(l.batch)
		l.batch = l.batch[:0]
		l.do(out)
		if out.down != nil {
			_ = l.end() // what the journal says matters more
			return out.down
		}
		if out.empty && len(l.pending) == 0 && len(l.s.inputs) == 0 {
			return l.end()
		}
		if (len(l.pending) == 1 || len(l.pending) > 1 && l.m.purse != nil) && len(l.m.runs) == 1 && len(l.s.inputs) == 0 {
			// A run that is alone waits for nobody: the way to a committer
			// and back would be a fifth of its step.
			l.batch = append(l.batch, l.commitNow(l.pending))
			l.pending = nil
			continue
		}
		var commits chan []*flight
		if len(l.pending) > 0 {
			commits = l.commits
		}
		select {
		case in := <-l.s.inputs:
			l.gather(in)
		case commits <- l.pending:
			l.pending = nil
		case <-l.s.journal.Wake():
			l.batch = append(l.batch, woken{})
		case <-down: // a claim is refused with the reason, work or no work
			down = nil
			l.batch = append(l.batch, woken{})
		case <-l.timer.C:
		case <-stopped:
			stopped = nil
			l.drain()
			grace = time.After(max(l.s.grace, 0))
		case <-grace:
			if l.work.Err() != nil {
				return l.end()
			}
			l.stop(errStop)
			grace = time.After(patience)
		}
	}
}

// gather takes everything that has arrived, so that one step and one commit
// serve all of it.
func (l *loop) gather(in input) {
	l.batch = append(l.batch, in)
	for len(l.batch) < cap(l.s.inputs) {
		select {
		case in := <-l.s.inputs:
			l.batch = append(l.batch, in)
		default:
			return
		}
	}
}

// drain waits for the Starts that are under way and tells the machine.
func (l *loop) drain() {
	l.s.stopTaking()
	taken := make(chan struct{})
	l.wg.Go(func() {
		l.s.starts.Wait()
		close(taken)
	})
	for waiting := true; waiting; {
		select {
		case in := <-l.s.inputs:
			l.batch = append(l.batch, in)
		case <-taken:
			waiting = false
		}
	}
	select {
	case in := <-l.s.inputs:
		l.gather(in)
	default:
	}
	l.batch = append(l.batch, draining{})
}

// stopTaking has Start leave new runs to whoever claims them.
func (s *Shell) stopTaking() {
	s.mu.Lock()
	s.state = stopping
	s.mu.Unlock()
}

// do carries out what a step asked for.
func (l *loop) do(out *output) {
	l.pending = append(l.pending, out.commit...)
	for _, t := range out.cancel {
		if cancel := l.cancels[t]; cancel != nil {
			cancel(errUnwanted)
		}
	}
	for _, t := range out.start {
		l.start(t)
	}
	if a := out.claim; a != (ask{}) {
		l.wg.Go(func() { l.claim(a) })
	}
	for _, given := range out.give {
		l.wg.Go(func() { l.give(given) })
	}
	l.s.tell(out)
	if out.wake.IsZero() {
		l.timer.Reset(time.Hour)
	} else {
		l.timer.Reset(max(time.Until(out.wake), 0))
	}
}

// tell tells those outside what a step has seen.
func (s *Shell) tell(out *output) {
	for _, n := range out.notes {
		s.log.Warn(n.text, "run", n.run, "err", n.err)
	}
	if len(out.gone) > 0 {
		s.waiters.leave(out.gone) // before the results are told: who asks now looks for itself
	}
	for i := range out.seen {
		if s.observe != nil && len(out.seen[i].events) > 0 {
			s.observe(out.seen[i].run, out.seen[i].events)
		}
		if out.seen[i].result != nil {
			s.waiters.tell(out.seen[i].result)
		}
	}
}

// put hands something to the loop, unless the loop is gone.
func (l *loop) put(in input) {
	select {
	case l.s.inputs <- in:
	case <-l.s.finished:
	}
}

// commit makes Txs durable, all that are ready at once.
func (l *loop) commit() {
	for flights := range l.commits {
		l.put(l.commitNow(flights))
	}
}

// commitNow makes Txs durable. It is not cut short by a stop: the outcome of a
// commit must be known.
func (l *loop) commitNow(flights []*flight) verdicts {
	return l.s.commit(context.WithoutCancel(l.work), flights)
}

// commit asks the journal for the verdicts on Txs.
func (s *Shell) commit(ctx context.Context, flights []*flight) verdicts {
	txs := make([]daruma.Tx, len(flights))
	for i, f := range flights {
		txs[i] = f.tx
	}
	for _, f := range flights {
		txs = append(txs, f.lessons...)
	}
	errs := s.journal.Commit(ctx, txs)
	for _, err := range errs[len(flights):] {
		if err != nil && daruma.KindOf(err) != daruma.KindExists {
			s.log.Warn("a lesson could not be kept", "err", err)
		}
	}
	return verdicts{flights, errs[:len(flights)]}
}

// give gives up a run, again and again until that is known to be done.
func (l *loop) give(given lease) {
	for l.work.Err() == nil {
		if l.s.give(l.work, given) {
			l.put(gave{})
			return
		}
		select {
		case <-time.After(pause):
		case <-l.work.Done():
		}
	}
}

// give gives up a run in the journal of which memory and journal disagree, so
// that the next claim reads it anew. It reports whether there is no more to do.
func (s *Shell) give(ctx context.Context, given lease) bool {
	info, err := s.journal.Run(ctx, given.run)
	if err == nil && info.Node == s.node && info.Epoch == given.epoch && !info.State.Finished() {
		err = s.journal.Commit(ctx, []daruma.Tx{{Tenant: info.Tenant, Run: given.run, Head: info.Head, Epoch: info.Epoch,
			State: info.State, WakeAt: info.WakeAt, Note: info.Note, Release: true}})[0]
	}
	return err == nil || slices.Contains([]daruma.Kind{daruma.KindDown, daruma.KindNotFound, daruma.KindFenced}, daruma.KindOf(err))
}
