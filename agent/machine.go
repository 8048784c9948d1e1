package agent

import (
	"cmp"
	"slices"
	"time"

	"github.com/daruma-run/daruma"
)

const (
	// shortWait is how long a run may wait in memory; a longer wait gives the
	// run up to the journal, which wakes it.
	shortWait = 2 * time.Second
	// pause comes before a failed claim or an unsure commit is tried again.
	pause = time.Second
	// claimEvery is the safety net below [daruma.Journal.Wake].
	claimEvery = 10 * time.Second
	// maxMoved is how often a run is read anew because it is not as the shell
	// knew it. What the journal refuses again and again is no accident.
	maxMoved = 5
)

// machine decides everything a shell does. It has no clock, no goroutine and
// does no I/O: step takes what happened and returns what has to be done, the
// same for the same inputs. One goroutine uses it.
//
// Each live run has at most one Tx in flight; what happens to the run
// meanwhile waits and rides the next one. Commands are handed out after the Tx
// that carries their events was acknowledged.
type machine struct {
	agents  map[string]*profile
	workers int

	now      time.Time
	runs     map[daruma.RunID]*live
	ghosts   []*task // performed still, for runs dropped from memory
	dirty    []*live // to be advanced in this step
	timers   timers
	ready    []*task // wait for a worker
	running  int     // handed out and not come back
	flights  int     // Txs not yet acknowledged
	claiming bool
	lately   map[runPost]bool       // folded in durably since the claim under way began: its answer may hold them still
	moved    map[daruma.RunID]int   // Txs refused since the last that was not, because the run had moved
	claimAt  time.Time              // when to claim next
	looks    int                    // still due at what the node holds, since a claim has failed
	lookAt   time.Time              // the last of them, not before
	asked    ask                    // for the claim under way
	giving   int                    // runs being given up
	given    map[daruma.RunID]int64 // epochs given up that the node did not know it had: as many as claims were lost
	draining bool
	purse    *purse    // nil: no budgets
	idle     []*live   // wait until it is known what dead nodes have spent
	alarm    time.Time // when money can be moved again
	out      output
}

// runPost names a post.
type runPost struct {
	run daruma.RunID
	id  daruma.PostID
}

func newMachine(agents map[string]*profile, workers int) *machine {
	return &machine{agents: agents, workers: workers, runs: map[daruma.RunID]*live{}, lately: map[runPost]bool{}, moved: map[daruma.RunID]int{}, given: map[daruma.RunID]int64{}}
}

// step takes the inputs and the time and returns what has to be done.
func (m *machine) step(now time.Time, in []input) *output {
	if now = now.UTC().Truncate(time.Microsecond); now.After(m.now) {
		m.now = now
	}
	o := &m.out
	*o = output{commit: o.commit[:0], start: o.start[:0], cancel: o.cancel[:0], give: o.give[:0], gone: o.gone[:0], seen: o.seen[:0], notes: o.notes[:0]}
	for _, i := range in {
		m.take(i)
	}
	for r := m.timers.due(m.now); r != nil; r = m.timers.due(m.now) {
		m.touch(r)
	}
	if m.alarm = (time.Time{}); m.purse != nil {
		m.giveBack()
	}
	for len(m.dirty) > 0 {
		for i := 0; i < len(m.dirty); i++ { // money that comes back makes runs dirty that wait for it
			r := m.dirty[i]
			r.dirty = false
			m.advance(r)
		}
		clear(m.dirty)
		m.dirty = m.dirty[:0]
		m.handOut()
	}
	m.handOut()
	if m.purse != nil {
		m.spend()
	}
	if !m.claiming && !m.claimAt.After(m.now) {
		if o.claim = m.ask(); o.claim != (ask{}) {
			m.claiming, m.claimAt = true, m.now.Add(claimEvery)
		}
	}
	if o.wake = m.timers.next(); !m.alarm.IsZero() {
		o.wake = earlier(o.wake, m.alarm)
	}
	if (!m.draining || m.looks > 0) && !m.claiming && (o.wake.IsZero() || m.claimAt.Before(o.wake)) {
		o.wake = m.claimAt
	}
	o.empty = m.draining && !m.claiming && m.looks == 0 && m.giving == 0 && m.running == 0 && m.flights == 0 && len(m.runs) == 0 &&
		(m.purse == nil || m.purse.closed || !m.purse.dead.done)
	return o
}

func (m *machine) take(in input) {
	switch in := in.(type) {
	case *done:
		m.takeDone(in)
	case verdicts:
		for i, f := range in.flights {
			m.takeVerdict(f, in.errs[i])
		}
	case taken:
		m.takeRun(in)
	case claimed:
		m.takeClaimed(in)
	case ledger:
		m.takeLedger(in)
	case unborn:
		if id := daruma.RunID(in); m.runs[id] == nil {
			m.giveUp(lease{id, 1})
		}
	case gave:
		m.giving--
		m.claimBy(m.now)
	case woken:
		m.claimBy(m.now)
	case draining:
		m.drain()
	}
}

// touch has the run advanced in this step.
func (m *machine) touch(r *live) {
	if !r.dirty && !r.gone {
		r.dirty = true
		m.dirty = append(m.dirty, r)
	}
}

func (m *machine) claimBy(t time.Time) {
	if t.Before(m.claimAt) {
		m.claimAt = t
	}
}

func (m *machine) takeClaimed(in claimed) {
	m.claiming = false
	defer clear(m.lately)
	if in.err != nil {
		if daruma.KindOf(in.err) == daruma.KindDown {
			m.out.down = in.err
		} else {
			m.note("", "runs could not be claimed", in.err)
			m.missed()
		}
		if m.claimAt = m.now; !m.draining {
			m.claimAt = m.now.Add(pause)
		}
		return
	}
	m.looked(in.held)
	if in.more {
		m.claimAt = m.now
	} else if m.purse != nil {
		m.purse.dead.claimed = true
	}
	if !in.next.IsZero() {
		m.claimBy(in.next)
	}
	for _, t := range in.runs {
		m.takeRun(t)
	}
	for _, p := range in.posts {
		if r := m.runs[p.Run]; r != nil {
			m.takePost(r, p)
		} else {
			m.claimBy(m.now.Add(shortWait)) // it was given up meanwhile
		}
	}
}

func (m *machine) takeRun(t taken) {
	old := m.runs[t.info.ID]
	if old != nil && t.info.Epoch <= old.epoch || t.info.Epoch <= m.given[t.info.ID] {
		return // it began while the journal was looked at, and was given up
	}
	if old != nil {
		m.drop(old)
	}
	r := &live{run: t.run, id: t.info.ID, tenant: t.info.Tenant, epoch: t.info.Epoch, head: t.info.Head, last: t.last, agent: m.agents[t.info.Name]}
	m.runs[r.id], r.sizes = r, t.sizes
	switch daruma.KindOf(t.err) {
	case daruma.KindUnavailable, daruma.KindTimeout, daruma.KindDown: // its events could not be read now
		m.note(r.id, "the run could not be read", t.err)
		m.drop(r)
		m.giveUp(lease{r.id, r.epoch})
		return
	}
	if t.err != nil {
		m.quarantine(r, t.err)
		return
	}
	m.lostCall(&t, r)
	for _, a := range t.run.Approvals() {
		r.open = append(r.open, a.ID)
	}
	if r.agent != nil {
		r.offer = r.agent.offerTo(t.run.Started().Tools)
	} else {
		m.note(r.id, "agent "+t.info.Name+" is not one of this shell's: the run is held and not worked on", nil)
	}
	m.out.seen = append(m.out.seen, seen{run: r.id, events: t.fresh})
	for _, p := range t.posts {
		m.takePost(r, p)
	}
	m.touch(r)
}

func (m *machine) takePost(r *live, p daruma.Post) {
	id := daruma.PostID{Topic: p.Topic, Key: p.Key}
	same := func(q daruma.Post) bool { return q.Topic == id.Topic && q.Key == id.Key }
	if m.lately[runPost{r.id, id}] || slices.Contains(r.folding, id) || slices.ContainsFunc(r.posts, same) {
		return
	}
	r.posts = append(r.posts, p)
	m.touch(r)
}

// takeDone queues what came of a command for the run's next Tx.
func (m *machine) takeDone(d *done) {
	m.running--
	t := d.task
	if i := slices.Index(m.ghosts, t); i >= 0 {
		cost, _ := d.paid()
		m.settle(t.hold, cost)
		m.ghosts = slices.Delete(m.ghosts, i, i+1)
		if r := m.runs[t.live.id]; r != nil {
			m.touch(r)
		}
		return
	}
	r := t.live
	if r.gone {
		return
	}
	if daruma.KindOf(d.poisoned) == daruma.KindDown {
		m.out.down = d.poisoned
		return
	}
	r.tasks = slices.DeleteFunc(r.tasks, func(o *task) bool { return o == t })
	switch {
	case d.dropped:
		r.unwant(t.cmd.ID) // the shell is stopping: left to the next
		fallthrough
	case t.cancelled:
		cost, _ := d.paid()
		m.settle(t.hold, cost)
	default:
		r.results = append(r.results, d)
	}
	m.touch(r)
}

// drop takes a run out of memory. What it still has running goes on as a
// ghost, so that the same command is not begun a second time beside it.
func (m *machine) drop(r *live) {
	if r.gone {
		return
	}
	r.gone = true
	m.out.gone = append(m.out.gone, r.id)
	m.letGo(r)
	for _, t := range r.tasks {
		if t.started {
			m.ghosts = append(m.ghosts, t)
			if !t.cancelled {
				m.out.cancel = append(m.out.cancel, t)
			}
		}
		t.cancelled = true
	}
	r.tasks = nil
	if m.runs[r.id] == r {
		delete(m.runs, r.id)
	}
}

// handOut starts commands as long as there are workers.
func (m *machine) handOut() {
	n := 0
	for _, t := range m.ready {
		switch {
		case t.cancelled:
			m.free(t.hold)
		case m.running < m.workers:
			t.started = true
			m.running++
			m.out.start = append(m.out.start, t)
		default:
			m.ready[n] = t
			n++
		}
	}
	clear(m.ready[n:])
	m.ready = m.ready[:n]
}

// drain has every run brought to where it can be given up: nothing new begins,
// and what is in flight may end.
func (m *machine) drain() {
	m.draining = true
	switch m.looks {
	case 1:
		m.looks = 0 // not waited for
	case 2:
		m.claimAt = m.now
	}
	for _, t := range m.ready {
		if t.live.intent(&t.cmd) {
			continue
		}
		t.cancelled = true
		t.live.tasks = slices.DeleteFunc(t.live.tasks, func(o *task) bool { return o == t })
	}
	runs := make([]*live, 0, len(m.runs))
	for _, r := range m.runs {
		runs = append(runs, r)
	}
	slices.SortFunc(runs, func(a, b *live) int { return cmp.Compare(a.id, b.id) })
	for _, r := range runs {
		m.touch(r)
	}
}

func (m *machine) note(run daruma.RunID, text string, err error) {
	m.out.notes = append(m.out.notes, note{run, text, err})
}
