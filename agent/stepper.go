package agent

import (
	"context"
	"strings"
	"time"

	"github.com/daruma-run/daruma"
)

// Stepper is a [Shell] taken apart for tests: the same code decides, claims,
// commits and gives up, but there is no goroutine, no clock and nothing that
// performs a call. Whoever holds a Stepper is all of that. It hands in what
// happened, at the time it says, is told what is due, and does it in any order
// a real process could, or not at all where it plays a process that dies:
//
//	due := s.Step(now, s.Claim(ctx, now))
//	for _, t := range due.Tasks {
//		… // after some time: s.Step(later, t.Done(events))
//	}
//	due = s.Step(later, s.Commit(ctx, due.Commits))
//
// [Shell.Run] is this with goroutines, so what holds for a Stepper at every
// order of inputs holds for a Shell. It is exported for the simulator of
// darumatest; programs want a Shell.
//
// What a Stepper leaves out, and a simulation therefore does not test: the
// performers, which are dispatch, routes, deadlines and the reading of large
// texts; the waiting of [Shell.Wait]; and the goroutines of the loop with
// their channels. It is used by one goroutine at a time.
type Stepper struct {
	s   *Shell
	m   *machine
	ask ask // of the claim that is due
}

// NewStepper returns a stepper for one process. The options are those of
// [New], with the same errors; Node must be given, for a random name would make
// each history another. Grace is left to the caller. Observe and Logger are
// called within [Stepper.Step].
func NewStepper(o Options) (*Stepper, error) {
	if o.Node == "" {
		return nil, daruma.Fail("agent.NewStepper", daruma.KindInvalid, "node is empty; accepted: a name for the process")
	}
	s, err := New(o)
	if err != nil {
		return nil, err
	}
	return &Stepper{s: s, m: s.machine()}, nil
}

// Input is something that happened. The zero Input is nothing.
type Input struct{ in input }

// Due is what has to be done after a step. Until it is told otherwise, the
// stepper takes all of it to be under way.
type Due struct {
	Commits []Commit  // for [Stepper.Commit], with those of later steps or without
	Tasks   []Task    // to be performed
	Cancels []Task    // begun, and not wanted any more: they still must come back
	Claim   bool      // [Stepper.Claim] is wanted
	Give    []Lease   // each for [Stepper.Give]
	Wake    time.Time // step again then at the latest; zero: only when something happens
	Empty   bool      // a drain has ended
	Down    error     // the journal has stopped, and so must the process
}

// Lease is a run and the epoch under which the process holds it.
type Lease struct {
	Run   daruma.RunID
	Epoch int64
}

// Commit is a Tx on its way to the journal.
type Commit struct{ f *flight }

// Tx returns what is to be committed. The caller must not modify it.
func (c Commit) Tx() daruma.Tx { return c.f.tx }

// Task is a command on its way to be performed. Tasks are comparable: one that
// is cancelled is equal to the one that was to be performed.
type Task struct{ t *task }

// Run returns the run that wants the command performed.
func (t Task) Run() daruma.RunID { return t.t.live.id }

// Epoch returns the lease under which it is performed.
func (t Task) Epoch() int64 { return t.t.live.epoch }

// Command returns what is to be performed.
func (t Task) Command() daruma.Command { return t.t.cmd }

// Messages returns the conversation for a call of a model. The caller must not
// modify it.
func (t Task) Messages() []daruma.Message { return t.t.messages }

// Done is the input that says what came of the task: the event that
// [daruma.Command] names for its operation, with what stands beside it.
func (t Task) Done(e daruma.Event, blobs ...daruma.Blob) Input {
	return Input{&done{task: t.t, events: []daruma.Event{e}, blobs: blobs}}
}

// Dropped is the input for a task that was cut short by its own process, after
// the grace of a stop: as if it had never been begun.
func (t Task) Dropped() Input { return Input{&done{task: t.t, dropped: true}} }

// Woken is the input after [daruma.Journal.Wake] has received, and the first
// of a process.
func (s *Stepper) Woken() Input { return Input{woken{}} }

// Drain is the input that begins the end of a process.
func (s *Stepper) Drain() Input { return Input{draining{}} }

// Step takes what happened up to now and returns what is due. The time may be
// before that of the last step, as that of a clock that was set back.
func (s *Stepper) Step(now time.Time, in ...Input) Due {
	batch := make([]input, 0, len(in))
	for _, i := range in {
		if i.in != nil {
			batch = append(batch, i.in)
		}
	}
	out := s.m.step(now, batch)
	s.s.tell(out)
	due := Due{Claim: out.claim != ask{}, Wake: out.wake, Empty: out.empty, Down: out.down}
	if due.Claim {
		s.ask = out.claim
	}
	for _, l := range out.give {
		due.Give = append(due.Give, Lease{l.run, l.epoch})
	}
	for _, f := range out.commit {
		due.Commits = append(due.Commits, Commit{f})
	}
	for _, t := range out.start {
		due.Tasks = append(due.Tasks, Task{t})
	}
	for _, t := range out.cancel {
		due.Cancels = append(due.Cancels, Task{t})
	}
	return due
}

// Start is [Shell.Start] at a time, for a start with an ID. The nonce must
// differ from run to run. The input is to be handed in whether there was an
// error or not: the run, born under this process, may be there all the same. A
// process that is draining must not be given any.
func (s *Stepper) Start(ctx context.Context, now time.Time, start Start, nonce string) (Input, error) {
	p := s.s.agents[start.Agent]
	if p == nil {
		return Input{}, daruma.Fail("agent.Start", daruma.KindInvalid, "agent %q is unknown; accepted: %s", start.Agent, strings.Join(names(s.s.agents), ", "))
	}
	if err := s.s.prepare(ctx, p, &start, now); err != nil {
		return Input{}, err
	}
	tx := p.first(start, now.UTC().Truncate(time.Microsecond), nonce)
	tx.Node = s.s.node
	in, err := s.s.bear(ctx, tx)
	return Input{in}, err
}

// Child starts the sub-run of a task that is to start one, as [Stepper.Start]
// does a run. A process that is draining leaves it to others: mine is false
// then. In is to be handed in whether there was an error or not, and says what
// this process knows of the sub-run; came, without an error, says what came of
// the task. After KindUnavailable, KindTimeout, KindExhausted and KindCancelled
// the caller tries again after a while, with the same nonce, until the command
// times out. Another error is the answer to the task.
func (s *Stepper) Child(ctx context.Context, now time.Time, t Task, nonce string, mine bool) (in, came Input, err error) {
	c := &t.t.cmd
	p := s.s.agents[c.Agent]
	if p == nil {
		return in, came, daruma.Fail("agent.Start", daruma.KindNotFound, "agent %q of the sub-run is unknown here", c.Agent)
	}
	err = s.s.commitChild(ctx, t.t, p, now, nonce, func(ctx context.Context, tx daruma.Tx) error {
		if mine {
			tx.Node = s.s.node
		}
		known, err := s.s.bear(ctx, tx)
		if mine {
			in = Input{known}
		}
		return err
	})
	if err == nil {
		d := childStarted(c)
		d.task = t.t
		came = Input{d}
	}
	return in, came, err
}

// Claim claims runs, as due.Claim asks for, and folds them. The input says
// what came of it, errors of the journal too.
func (s *Stepper) Claim(ctx context.Context, now time.Time) Input {
	return Input{s.s.claim(ctx, now, s.ask)}
}

// Ledger reads what dead processes have held of budgets. With budgets it is an
// input of the first step, without which no call is paid.
func (s *Stepper) Ledger(ctx context.Context) Input { return Input{s.s.ledger(ctx)} }

// Commit asks the journal for its verdicts. The input holds them, errors of
// the journal too.
func (s *Stepper) Commit(ctx context.Context, commits []Commit) Input {
	flights := make([]*flight, len(commits))
	for i, c := range commits {
		flights[i] = c.f
	}
	return Input{s.s.commit(ctx, flights)}
}

// Give gives up a run of which memory and journal disagree. It reports false
// where that must be tried again after a while, and then there is no input.
func (s *Stepper) Give(ctx context.Context, l Lease) (Input, bool) {
	if !s.s.give(ctx, lease{l.Run, l.Epoch}) {
		return Input{}, false
	}
	return Input{gave{}}, true
}
