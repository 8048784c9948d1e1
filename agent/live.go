package agent

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/model"
)

// live is a run in memory.
type live struct {
	run    *daruma.Run
	id     daruma.RunID
	tenant daruma.Tenant
	epoch  int64
	agent  *profile // nil: not an agent of this shell

	head    int64            // the last Seq known to be durable
	last    time.Time        // of the newest event
	want    []daruma.Command // what Next asked for last
	tasks   []*task          // handed out, or waiting for a worker
	results []*done          // not yet folded in
	posts   []daruma.Post    // not yet folded in
	folding []daruma.PostID  // in the Tx in flight
	open    []string         // approvals that are open in the journal
	offer   []model.Tool     // of its tools those that this process has
	flight  *flight          // not yet acknowledged
	again   *flight          // to be committed again
	alarm   time.Time        // the earliest timer set
	hold    *hold            // reserved for a model call that is not handed out yet
	needs   daruma.Money     // for the model call that waits for money
	warned  map[string]bool  // budgets whose soft edge the run was told of
	sizes   map[daruma.Digest]int64
	counted counted
	dirty   bool
	gone    bool // not in memory any more
}

// task is a command handed out.
type task struct {
	live      *live
	agent     *profile
	cmd       daruma.Command
	limits    daruma.Limits
	pin       string           // of the tool, as the run has frozen it
	messages  []daruma.Message // of a model call
	tools     []model.Tool     // of a model call
	hold      *hold            // of a model call that money bounds
	started   bool
	cancelled bool // its result is not wanted any more
}

// maxDecisions bounds how often a run may be asked what to do within one step;
// a run that wants more has a fold that goes in circles.
const maxDecisions = 1000

// draft is what becomes the next Tx of a run.
type draft struct {
	spends []daruma.Spend
	events []daruma.Event
	blobs  []daruma.Blob
	folded []daruma.PostID
}

// advance folds in what happened to the run, asks it what to do, and sends off
// the Tx. Where nothing has to be made durable it hands out the commands.
func (m *machine) advance(r *live) {
	if r.gone || r.flight != nil {
		return
	}
	if r.again != nil {
		m.send(r, r.again)
		r.again = nil
		return
	}
	d := draft{}
	if err := m.fold(r, &d); err != nil {
		m.unsaid(r.tenant, d.spends)
		m.quarantine(r, err)
		return
	}
	if m.draining {
		m.launch(r) // calls whose intent is on disk already
	}
	// A run that is over takes no further Tx: it is given up at once, and calls
	// not wanted any more end as ghosts.
	release := r.run.State().Finished() ||
		len(r.tasks) == 0 && len(r.results) == 0 && (m.draining && !m.awaits(r) || !m.draining && len(r.posts) == 0 && m.restful(r))
	if len(d.events) == 0 && !release {
		m.launch(r)
		return
	}
	r.withdraw()
	m.send(r, r.flightOf(&d, release))
}

// restful reports whether the run has nothing to do for a good while.
func (m *machine) restful(r *live) bool {
	if r.agent == nil || !r.run.Idle() {
		return false
	}
	at := r.run.WakeAt()
	return at.IsZero() || at.Sub(m.now) >= shortWait
}

// fold applies results and posts, then decides until only commands for the
// world outside are left. A panic below is the run's failure, not the shell's.
func (m *machine) fold(r *live, d *draft) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = daruma.Fail("agent.fold", daruma.KindInternal, "panic: %v", p)
		}
	}()
	for _, done := range r.results {
		if err := m.foldResult(r, d, done); err != nil {
			return err
		}
	}
	clear(r.results)
	r.results = r.results[:0]
	if m.draining || r.agent == nil {
		return nil
	}
	for i := range r.posts {
		if err := m.foldPost(r, d, &r.posts[i]); err != nil {
			return err
		}
	}
	clear(r.posts)
	r.posts = r.posts[:0]
	return m.decide(r, d)
}

func (m *machine) foldResult(r *live, d *draft, done *done) error {
	if done.poisoned != nil {
		return done.poisoned
	}
	id, h := done.task.cmd.ID, done.task.hold
	cost, used := done.paid()
	if !r.unwant(id) {
		m.settle(h, cost)
		return nil
	}
	if h != nil {
		d.spends = append(d.spends, h.settle(cost)...)
		m.wake(h.from)
		r.count(done.task, used)
	}
	r.keep(done.blobs)
	d.blobs = append(d.blobs, done.blobs...)
	return m.apply(r, d, done.events...)
}

// unwant takes a command off the list of those wanted, and reports whether it
// was on it.
func (r *live) unwant(id daruma.CommandID) bool {
	i := slices.IndexFunc(r.want, func(c daruma.Command) bool { return c.ID == id })
	if i >= 0 {
		r.want = slices.Delete(r.want, i, i+1)
	}
	return i >= 0
}

func (m *machine) foldPost(r *live, d *draft, p *daruma.Post) error {
	d.folded = append(d.folded, daruma.PostID{Topic: p.Topic, Key: p.Key})
	if len(p.Payload) > 0 && !json.Valid(p.Payload) {
		p.Payload = nil // nobody can have meant it; the core ignores what it cannot read
	}
	return m.apply(r, d, daruma.NewEvent(daruma.KindReceived, p.By, p))
}

// decide asks the run what to do until nothing is left that can be done in
// memory: judging, and timers that are due.
func (m *machine) decide(r *live, d *draft) error {
	for range maxDecisions {
		events, commands := r.run.Next()
		if err := m.apply(r, d, events...); err != nil {
			return err
		}
		if len(events) > 0 && slices.ContainsFunc(commands, func(c daruma.Command) bool { return c.Op == daruma.OpWait }) {
			_, commands = r.run.Next() // waits count from the time that the events have got now
		}
		r.want = commands
		again := false
		for i := range commands {
			c := &commands[i]
			switch {
			case c.Op == daruma.OpJudge:
				if err := m.apply(r, d, m.judge(r, c)...); err != nil {
					return err
				}
				again = true
			case c.Op == daruma.OpCallModel && m.bound(r):
				met := m.afford(r, c)
				if met == nil {
					break
				}
				if err := m.apply(r, d, daruma.NewEvent(daruma.KindBudget, daruma.ActorShell, *met)); err != nil {
					return err
				}
				again = true
			case c.Op == daruma.OpWait && !c.Until.IsZero() && !c.Until.After(m.now):
				if err := m.apply(r, d, daruma.NewEvent(daruma.KindTimer, daruma.ActorShell, daruma.TimerFired{Command: c.ID})); err != nil {
					return err
				}
				again = true
			}
			if again {
				break // what else was asked may have changed
			}
		}
		if !again {
			return nil
		}
	}
	return daruma.Fail("agent.decide", daruma.KindInternal, "the run asked for %d decisions without an end", maxDecisions)
}

// apply stamps events, folds them and adds them to the draft. No event is
// older than the one before it.
func (m *machine) apply(r *live, d *draft, events ...daruma.Event) error {
	if m.now.After(r.last) {
		r.last = m.now
	}
	if len(events) > 0 && d.events == nil {
		d.events = make([]daruma.Event, 0, 4) // what a step mostly brings
	}
	for _, e := range events {
		e.Time = r.last
		e.Seq = r.run.Head() + 1
		if err := r.run.Apply(e); err != nil {
			return err
		}
		d.events = append(d.events, e)
	}
	return nil
}

// flightOf builds the Tx.
func (r *live) flightOf(d *draft, release bool) *flight {
	tx := daruma.Tx{
		Tenant: r.tenant, Run: r.id, Head: r.head, Epoch: r.epoch,
		Events: d.events, Blobs: d.blobs, Spends: d.spends, Folded: d.folded, Release: release,
		State: r.run.State(), WakeAt: r.run.WakeAt(), Note: r.run.Note(), Posts: r.run.Posts(),
	}
	r.folding = append(r.folding[:0], d.folded...)
	open := r.run.Approvals()
	if len(open) > 0 || len(r.open) > 0 {
		for _, a := range open {
			if !slices.Contains(r.open, a.ID) {
				tx.Approvals = append(tx.Approvals, a)
			}
		}
		for _, id := range r.open {
			if !slices.ContainsFunc(open, func(a daruma.Approval) bool { return a.ID == id }) {
				tx.Closed = append(tx.Closed, id)
			}
		}
		r.open = r.open[:0]
		for _, a := range open {
			r.open = append(r.open, a.ID)
		}
	}
	return &flight{live: r, tx: tx, head: r.head + int64(len(d.events)), lessons: r.learned()}
}

func (m *machine) send(r *live, f *flight) {
	r.flight = f
	m.flights++
	m.out.commit = append(m.out.commit, f)
}

// withdraw takes back the commands that the run does not want any more and that
// nobody has begun. It does so before what ends the wish is on disk, so that
// none begins meanwhile; should that be lost, the run is folded anew.
func (r *live) withdraw() {
	for _, t := range r.tasks {
		t.cancelled = t.cancelled || !t.started && !r.wants(t)
	}
	r.tasks = slices.DeleteFunc(r.tasks, func(t *task) bool { return t.cancelled && !t.started })
}

func (r *live) wants(t *task) bool {
	return slices.ContainsFunc(r.want, func(c daruma.Command) bool { return c.ID == t.cmd.ID })
}

// launch hands out the commands the run wants and has not been given, and
// takes back those it does not want any more.
func (m *machine) launch(r *live) {
	r.withdraw()
	for _, t := range r.tasks {
		if !t.cancelled && !r.wants(t) {
			t.cancelled = true
			m.out.cancel = append(m.out.cancel, t)
		}
	}
	for i := range r.want {
		if c := &r.want[i]; !m.draining || r.intent(c) {
			m.offer(r, c)
		}
	}
}

// intent reports whether the intent of the command is on disk, so that leaving
// it out would leave it in doubt.
func (r *live) intent(c *daruma.Command) bool {
	if c.Op != daruma.OpCallTool {
		return false
	}
	return !slices.ContainsFunc(r.run.Started().Tools, func(s daruma.ToolSpec) bool {
		return s.Name == c.Tool && s.Effect == daruma.Read
	})
}

// awaits reports whether a call whose intent is on disk will be made as soon as
// an earlier one is over.
func (m *machine) awaits(r *live) bool {
	return slices.ContainsFunc(r.want, func(c daruma.Command) bool { return r.intent(&c) && m.haunted(r, &c) })
}

// haunted reports whether a call that was begun for this run before it was
// dropped from memory is still under way, and the command would make it twice
// at once.
func (m *machine) haunted(r *live, c *daruma.Command) bool {
	for _, t := range m.ghosts {
		if t.live.id == r.id && (t.cmd.ID == c.ID || c.Key != "" && t.cmd.Key == c.Key) {
			return true
		}
	}
	return false
}

// offer hands out one command, unless it has been.
func (m *machine) offer(r *live, c *daruma.Command) {
	if c.Op == daruma.OpWait {
		if !c.Until.IsZero() {
			m.timers.add(c.Until, r)
		}
		return
	}
	// One that was cancelled and is wanted again comes back first.
	if m.haunted(r, c) || slices.ContainsFunc(r.tasks, func(t *task) bool { return t.cmd.ID == c.ID }) {
		return
	}
	t := &task{live: r, agent: r.agent, cmd: *c}
	switch c.Op {
	case daruma.OpCallModel:
		if m.bound(r) {
			if r.hold == nil || r.hold.cmd != c.ID {
				return // it waits for money
			}
			t.hold, r.hold = r.hold, nil
		}
		messages := r.run.Messages()
		t.messages, t.tools = messages[:len(messages):len(messages)], r.tools()
	default:
		started := r.run.Started()
		t.limits = started.Limits
		if i := slices.IndexFunc(started.Tools, func(s daruma.ToolSpec) bool { return s.Name == c.Tool }); i >= 0 {
			t.pin = started.Tools[i].Pin
		}
	}
	r.tasks = append(r.tasks, t)
	m.ready = append(m.ready, t)
}

// lost is what the parent of a run is told that is being quarantined.
func (r *live) lost(err error) []daruma.Post {
	if r.run == nil {
		return nil
	}
	return r.run.Lost(err.Error())
}

// quarantine gives up a run that cannot be folded. Its events stay as they
// are; nothing is done with it any more.
func (m *machine) quarantine(r *live, err error) {
	m.note(r.id, "the run is quarantined", err)
	m.letGo(r)
	r.results, r.posts, r.again = nil, nil, nil
	m.send(r, &flight{live: r, head: r.head, tx: daruma.Tx{
		Tenant: r.tenant, Run: r.id, Head: r.head, Epoch: r.epoch,
		State: daruma.Quarantined, Note: fmt.Sprintf("quarantined: %v", err), Closed: r.open, Release: true, Posts: r.lost(err),
	}})
}
