package darumatest

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/agent"
)

// process is one simulated process: what [agent.Shell.Run] does with
// goroutines, done in the order of the queue.
type process struct {
	w        *world
	node     string
	step     *agent.Stepper
	disk     *disk
	alive    bool
	draining bool
	cutting  bool          // its calls are cut short
	down     time.Duration // before another process takes its place
	until    time.Duration // stands still until then

	inbox   []agent.Input
	labels  []string
	ringing bool // a step is on its way
	alarm   int  // number of the newest timer
	pending []agent.Commit
	writing int     // batches on their way
	flying  []lease // whose Tx has no verdict yet
	works   []*work // tasks begun and not come back
	giving  int     // runs being given up
	starts  int     // not acknowledged yet
}

// lease is the time for which a process owns a run.
type lease struct {
	run   daruma.RunID
	epoch int64
}

func leaseOf(c agent.Commit) lease { return lease{c.Tx().Run, c.Tx().Epoch} }

// spawn begins another process.
func (w *world) spawn() {
	p := &process{w: w, node: fmt.Sprint("n", w.born), alive: true}
	w.born++
	p.disk = &disk{Memory: w.memory, p: p, late: map[daruma.RunID]int64{}}
	var err error
	if p.step, err = agent.NewStepper(w.options(p)); err != nil {
		w.broken("the plan makes no agent: %v", err)
		return
	}
	w.processes = append(w.processes, p)
	w.tell("%s begins", p.node)
	p.tell("woken", p.step.Woken(), 0)
}

// Enabled, Handle, WithAttrs and WithGroup make a process the log of its own
// shell.
func (p *process) Enabled(context.Context, slog.Level) bool { return true }

// Handle writes what an operator would read into the trace.
func (p *process) Handle(_ context.Context, r slog.Record) error {
	var about string
	r.Attrs(func(a slog.Attr) bool {
		about += " " + a.Value.String()
		return true
	})
	p.w.tell("  %s says: %s%s", p.node, r.Message, about)
	if strings.Contains(r.Message, "quarantined") {
		p.w.broken("a run is quarantined:%s", about)
	}
	return nil
}

// WithAttrs is not used.
func (p *process) WithAttrs([]slog.Attr) slog.Handler { return p }

// WithGroup is not used.
func (p *process) WithGroup(string) slog.Handler { return p }

func (p *process) stalled() bool { return p.w.now < p.until }

// tell hands something to the process after a while.
func (p *process) tell(label string, in agent.Input, d time.Duration) {
	p.w.after(d, func() {
		if p.alive {
			p.inbox, p.labels = append(p.inbox, in), append(p.labels, label)
			p.ring()
		}
	})
}

// ring has the process take a step soon; what comes until then rides along.
func (p *process) ring() {
	if p.ringing || !p.alive {
		return
	}
	p.ringing = true
	p.w.after(max(50*time.Microsecond+p.w.some(2*time.Millisecond, p.node, "step", fmt.Sprint(p.w.now)), p.until-p.w.now), p.turn)
}

// turn takes one step and does what it asks for. The process may die between
// any two things.
func (p *process) turn() {
	p.ringing = false
	if !p.alive {
		return
	}
	if p.stalled() {
		p.ring()
		return
	}
	w := p.w
	w.steps++
	if w.steps > mostSteps {
		w.broken("%d steps, and no end: %s", w.steps, w.oracle.unfinished())
		return
	}
	in, labels := p.inbox, p.labels
	p.inbox, p.labels = nil, nil
	w.tell("%s step %d: %s", p.node, w.steps, strings.Join(labels, ", "))
	due := p.step.Step(w.clock(), in...)
	end := w.plan.fault(fmt.Sprint("die ", w.steps))
	if end.has("drain") {
		p.drain(end.duration("grace"), end.duration("down"))
		end = nil
	}
	n := 0
	dies := func() bool { // before the next thing is done
		if end != nil && n == end.count("part") {
			p.killed(end)
		}
		n++
		return !p.alive
	}
	for _, c := range due.Commits {
		if dies() {
			return
		}
		p.sent(c)
	}
	p.write()
	for _, t := range due.Cancels {
		if dies() {
			return
		}
		p.cancel(t)
	}
	for _, t := range due.Tasks {
		if dies() {
			return
		}
		p.begin(t)
	}
	if !p.alive || due.Claim && dies() {
		return
	}
	if due.Claim {
		p.claim()
	}
	for _, l := range due.Give {
		if dies() {
			return
		}
		p.giving++
		p.give(l)
	}
	switch {
	case end != nil && p.alive:
		p.killed(end)
	case due.Down != nil:
		p.die(due.Down.Error())
	case due.Empty && len(p.pending) == 0 && len(p.inbox) == 0:
		p.empty()
	default:
		p.wake(due.Wake)
	}
}

// wake sets the one timer of the process, as the loop of a shell does: by the
// clock at the time of setting.
func (p *process) wake(at time.Time) {
	p.alarm++
	if at.IsZero() {
		return
	}
	n := p.alarm
	p.w.after(at.Sub(p.w.clock()), func() {
		if n == p.alarm {
			p.ring()
		}
	})
}

// sent takes a Tx to be written.
func (p *process) sent(c agent.Commit) {
	if slices.Contains(p.flying, leaseOf(c)) {
		p.w.broken("%s sends a Tx of %s while another is on its way", p.node, c.Tx().Run)
	}
	p.flying = append(p.flying, leaseOf(c))
	p.pending = append(p.pending, c)
}

// write sends what is pending to the disk, two batches at once at most.
func (p *process) write() {
	const committers = 2
	if len(p.pending) == 0 || p.writing == committers {
		return
	}
	p.writing++
	p.w.after(p.w.some(time.Millisecond, p.node, "write", fmt.Sprint(p.w.now)), func() {
		batch := p.pending
		p.pending = nil
		if !p.alive || len(batch) == 0 {
			p.writing--
			return
		}
		in := p.step.Commit(ctx, batch)
		p.w.bell()
		p.w.sync(func(ok bool) {
			p.writing--
			if !ok || !p.alive {
				return
			}
			for _, c := range batch {
				p.flying = slices.DeleteFunc(p.flying, func(l lease) bool { return l == leaseOf(c) })
			}
			p.tell(fmt.Sprintf("%d verdicts", len(batch)), in, 0)
			p.write()
		}, p.node)
	})
}

func (p *process) claim() {
	p.w.after(p.w.some(3*time.Millisecond, p.node, "claim", fmt.Sprint(p.w.now)), func() {
		if !p.alive {
			return
		}
		in := p.step.Claim(ctx, p.w.clock())
		p.w.sync(func(ok bool) {
			if ok {
				p.tell("claimed", in, 0)
			}
		}, p.node)
	})
}

func (p *process) give(l agent.Lease) {
	p.w.after(p.w.some(3*time.Millisecond, p.node, "give", string(l.Run), fmt.Sprint(p.w.now)), func() {
		if !p.alive {
			return
		}
		p.w.tell("%s gives %s up", p.node, l.Run)
		in, over := p.step.Give(ctx, l)
		p.w.bell()
		p.w.sync(func(ok bool) {
			switch {
			case !ok || !p.alive:
			case !over:
				p.w.after(time.Second, func() { p.give(l) })
			default:
				p.giving--
				p.tell("given up", in, 0)
			}
		}, p.node)
	})
}

// bell wakes the processes where the journal has something to say.
func (w *world) bell() {
	select {
	case <-w.memory.Wake():
	default:
		return
	}
	for _, p := range w.processes {
		p.tell("woken", p.step.Woken(), w.some(3*time.Millisecond, p.node, "bell", fmt.Sprint(w.now)))
	}
}

// drain is SIGTERM: calls in flight may end for the grace, then they are cut.
func (p *process) drain(grace, down time.Duration) {
	if !p.alive || p.draining {
		return
	}
	p.w.tell("%s drains, grace %s", p.node, grace)
	p.draining, p.down = true, down
	p.end()
	p.w.after(grace, func() {
		p.cutting = true
		for _, k := range slices.Clone(p.works) {
			if p.alive {
				k.cut()
			}
		}
	})
	p.w.after(grace+max(0, p.until-p.w.now)+5*time.Second, func() {
		if p.alive && len(p.works) > 0 {
			p.die("its calls do not end")
		}
	})
}

// end tells the machine of the drain, once the starts that are under way have
// come to it.
func (p *process) end() {
	if p.starts > 0 {
		p.w.after(time.Millisecond, p.end)
		return
	}
	p.tell("draining", p.step.Drain(), 0)
}

// empty is the end of a drain: nothing may be held any more.
func (p *process) empty() {
	if !p.disk.stopped {
		infos, _ := p.w.memory.Runs(ctx, daruma.Query{})
		for _, info := range infos {
			if info.Node == p.node && !info.State.Finished() && p.disk.late[info.ID] != info.Epoch {
				p.w.broken("%s has drained and still holds %s", p.node, info.ID)
			}
		}
	}
	p.w.hit("drained")
	p.gone("drained", p.down)
	p.lose()
}
