package darumatest_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/agent"
	"github.com/daruma-run/daruma/sqlite"
)

// job says what a child process of the test is to do.
type job struct {
	Role    string // "worker" or "witness"
	Dir     string // of the ledger
	Journal string // where it lies
	Witness string // its address
	Gen     int    // which worker process this is, from 1
	Kinds   []string
	Alive   int // so many runs are kept going
	Most    int // so many runs are started in all
	Target  target
}

// target is where a worker kills itself. Phases are those of a call, "write"
// for the Nth write of the journal whatever it holds.
type target struct {
	Phase, Class string
	How          string // the exact point; empty: one of those of the phase, by Seed
	N            int    // the Nth time, from 1; 0: never
	Seed         int
}

// report is a line that a worker writes for the test.
type report struct {
	K      string       `json:"k"` // ready, ack, command, kill, idle, down, end
	Gen    int          `json:"gen"`
	Run    daruma.RunID `json:"run,omitempty"`
	Seq    int64        `json:"seq,omitempty"`  // ack: of the first event
	Sums   []string     `json:"sums,omitempty"` // ack: of each event
	Done   []string     `json:"done,omitempty"` // ack: calls whose result is durable
	Phase  string       `json:"phase,omitempty"`
	Class  string       `json:"class,omitempty"`
	How    string       `json:"how,omitempty"`
	Writes int          `json:"writes,omitempty"`
	Err    string       `json:"err,omitempty"`
}

// sum is the content of an event.
func sum(e daruma.Event) string {
	d := daruma.Chain(daruma.Digest{}, "", "", e)
	return hex.EncodeToString(d[:8])
}

type worker struct {
	job     job
	out     line
	aim     *aim
	db      crashed
	journal *spy
	witness *caller
	over    chan struct{}
}

func (w *worker) say(r report) {
	r.Gen = w.job.Gen
	if w.out.put(r) != nil {
		os.Exit(4) // the test is gone
	}
}

// die is a kill that comes from the process itself, at an exact point.
func (w *worker) die(phase, class, how string) {
	w.say(report{K: "kill", Phase: phase, Class: class, How: how})
	p, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = p.Kill()
	}
	if err != nil {
		panic(err)
	}
	select {}
}

func workerMain(j job) error {
	w := &worker{job: j, out: line{w: os.Stdout}, over: make(chan struct{}, 1<<16)}
	w.aim = &aim{target: j.Target, seen: map[daruma.RunID]map[string]bool{}}
	w.journal = &spy{w: w}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go func() { // the end of the input is the polite way to stop
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	var err error
	w.db, err = ownStore(context.Background(), j.Journal, w.journal.fault)
	if err != nil {
		return err
	}
	w.journal.crashed = w.db
	if w.witness, err = call(j.Witness, j.Gen); err != nil {
		return err
	}
	options, err := w.options()
	if err != nil {
		return err
	}
	shell, err := agent.New(options)
	if err != nil {
		return err
	}
	w.say(report{K: "ready"})
	ended := make(chan error, 1)
	go func() { ended <- shell.Run(ctx) }()
	if err := w.feed(ctx, shell); err != nil && ctx.Err() == nil && w.db.Err() == nil {
		return err
	}
	if w.db.Err() != nil {
		stop() // a shell without work would not notice
	}
	if err = <-ended; w.db.Err() != nil {
		// Nothing may be acknowledged from now on.
		verdict := w.db.Commit(context.Background(), []daruma.Tx{{Keys: []daruma.KeyClaim{{Key: "after"}}}})[0]
		_, post := w.db.Post(context.Background(), daruma.Post{Run: "after", Topic: "after", Key: "after", By: "user:ada"})
		if daruma.KindOf(verdict) != daruma.KindDown || daruma.KindOf(post) != daruma.KindDown {
			return fmt.Errorf("after it stopped the journal answered %v and %v", verdict, post)
		}
		w.say(report{K: "down", Err: verdict.Error()})
		_ = w.db.Close() // what it says is of the disk
		return nil
	}
	if err != nil {
		return err
	}
	if err := w.db.Close(); err != nil {
		return err
	}
	w.say(report{K: "end", Writes: w.journal.writes})
	return nil
}

// feed keeps so many runs going as the job says, until all have been started
// and have ended, or ctx ends.
func (w *worker) feed(ctx context.Context, shell *agent.Shell) error {
	infos, err := w.db.Runs(ctx, daruma.Query{Limit: 1 << 20})
	if err != nil {
		return err
	}
	total, alive := len(infos), 0
	for _, i := range infos {
		if !i.State.Finished() {
			alive++
		}
	}
	for {
		for ; alive < w.job.Alive && total < w.job.Most; alive, total = alive+1, total+1 {
			id := daruma.RunID(fmt.Sprintf("%s-%05d", w.job.Kinds[total%len(w.job.Kinds)], total))
			if _, err := shell.Start(ctx, agent.Start{ID: id, Agent: "worker", Input: "Do run " + string(id) + "."}); err != nil {
				return err
			}
		}
		if alive == 0 {
			w.say(report{K: "idle"})
			return nil
		}
		select {
		case <-w.over:
			alive--
		case <-w.db.Down():
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

func (w *worker) observe(_ daruma.RunID, events []daruma.Event) {
	for _, e := range events {
		if e.Kind == daruma.KindFinished {
			w.over <- struct{}{}
		}
	}
}

// aim decides whether a point that the process has come to is the one where it
// dies.
type aim struct {
	target target

	mu    sync.Mutex
	n     int
	armed string                           // a fault point of the commit under way
	seen  map[daruma.RunID]map[string]bool // classes called in the current turn
}

// at reports which of the ways to die at this point is due, "" for none.
func (a *aim) at(phase, class string, ways ...string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := a.target
	if t.N == 0 || t.Phase != phase || t.Class != class {
		return ""
	}
	how := ways[0]
	if t.How == "" {
		all := waysOf[phase]
		t.How = all[t.Seed%len(all)]
	}
	due := false
	for _, way := range ways {
		if way == t.How {
			how, due = way, true
		}
	}
	if !due {
		return ""
	}
	if a.n++; a.n != t.N {
		return ""
	}
	return how
}

// waysOf lists the exact points of a phase. Those of a commit are before it is
// handed to the journal, the points of [sqlite.Options].Fault, and after it was
// acknowledged.
var waysOf = map[string][]string{
	"before_intent": {"before", sqlite.FaultBegin, sqlite.FaultStatement, sqlite.FaultCommit},
	"after_intent":  {sqlite.FaultCommitted, "after"},
	"in_call":       {"unsent", "sent"},
	"effect_done":   {"answered", "before", sqlite.FaultStatement, sqlite.FaultCommit},
	"after_result":  {sqlite.FaultCommitted, "after"},
	"in_checkpoint": {"before", sqlite.FaultBegin, sqlite.FaultStatement, sqlite.FaultCommit, sqlite.FaultCommitted},
}

// phases in the order of a call.
var phases = []string{"before_intent", "after_intent", "in_call", "effect_done", "after_result", "in_checkpoint"}

// spy is the journal of a worker. It reports every acknowledgement before the
// shell learns of it, and kills the process at commits.
type spy struct {
	crashed
	w      *worker
	alone  sync.RWMutex // held for writing by the commit in which the process dies
	writes int          // counted by fault
}

// Commit is [daruma.Journal.Commit].
func (s *spy) Commit(ctx context.Context, txs []daruma.Tx) []error {
	phase, class, how := s.aimAt(txs)
	if how == "" {
		s.alone.RLock()
		defer s.alone.RUnlock()
	} else {
		s.alone.Lock()
		defer s.alone.Unlock()
		if how == "before" {
			s.w.die(phase, class, how)
		}
		s.w.aim.arm(how)
	}
	verdicts := s.crashed.Commit(ctx, txs)
	for i, err := range verdicts {
		if tx := &txs[i]; err == nil && tx.Run != "" {
			s.acknowledge(tx.Run, tx.Head+1, tx.Events)
		}
	}
	if how == "after" {
		s.w.die(phase, class, how)
	}
	return verdicts
}

func (s *spy) acknowledge(run daruma.RunID, seq int64, events []daruma.Event) {
	r := report{K: "ack", Run: run, Seq: seq}
	for i, e := range events {
		e.Seq = seq + int64(i)
		r.Sums = append(r.Sums, sum(e))
		var reply daruma.ToolReplied
		if e.Kind == daruma.KindToolReplied && json.Unmarshal(e.Payload, &reply) == nil && reply.Outcome == daruma.Succeeded {
			r.Done = append(r.Done, idOf(reply.Text))
		}
	}
	s.w.say(r)
}

// idOf reads the order's id from a result.
func idOf(text string) string {
	_, rest, _ := strings.Cut(text, " did ")
	id, _, _ := strings.Cut(rest, ".")
	return id
}

// Claim is [daruma.Journal.Claim].
func (s *spy) Claim(ctx context.Context, c daruma.Claim) (daruma.Claims, error) {
	s.alone.RLock()
	defer s.alone.RUnlock()
	claims, err := s.crashed.Claim(ctx, c)
	for _, r := range claims.Runs {
		e := r.Events[len(r.Events)-1]
		s.acknowledge(r.Run.ID, e.Seq, []daruma.Event{e})
	}
	return claims, err
}

// aimAt looks what the Txs mean for calls.
func (s *spy) aimAt(txs []daruma.Tx) (phase, class, how string) {
	a := s.w.aim
	try := func(p, c string, ways ...string) {
		if how == "" {
			phase, class, how = p, c, a.at(p, c, ways...)
		}
	}
	intent := func(class string) {
		try("before_intent", class, waysOf["before_intent"]...)
		try("after_intent", class, waysOf["after_intent"]...)
	}
	for i := range txs {
		for _, e := range txs[i].Events {
			switch e.Kind {
			case daruma.KindReplied:
				var p daruma.Replied
				if json.Unmarshal(e.Payload, &p) != nil {
					continue
				}
				for _, c := range p.Message.Calls {
					a.met(txs[i].Run, classOf[c.Name])
					if c.Name == "look" { // a read has no intent: this commit decides it
						intent("read")
					}
				}
			case daruma.KindToolCalled:
				var p daruma.ToolCalled
				if json.Unmarshal(e.Payload, &p) == nil {
					a.met(txs[i].Run, classOf[p.Tool])
					intent(classOf[p.Tool])
				}
			case daruma.KindToolReplied:
				var p daruma.ToolReplied
				if json.Unmarshal(e.Payload, &p) == nil && p.Outcome == daruma.Succeeded {
					a.met(txs[i].Run, classOf[p.Tool])
					try("effect_done", classOf[p.Tool], waysOf["effect_done"][1:]...)
					try("after_result", classOf[p.Tool], waysOf["after_result"]...)
				}
			case daruma.KindCheckpoint:
				for _, class := range a.turn(txs[i].Run) {
					try("in_checkpoint", class, waysOf["in_checkpoint"]...)
				}
			}
		}
	}
	return phase, class, how
}

func (a *aim) met(run daruma.RunID, class string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.seen[run] == nil {
		a.seen[run] = map[string]bool{}
	}
	a.seen[run][class] = true
}

// turn returns the classes called in the turn that has just ended.
func (a *aim) turn(run daruma.RunID) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []string
	for class := range a.seen[run] {
		all = append(all, class)
	}
	delete(a.seen, run)
	return all
}

func (a *aim) arm(point string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.armed = point
}

// fault is asked by the journal at every write.
func (s *spy) fault(point string) error {
	a := s.w.aim
	if point == sqlite.FaultCommit {
		s.writes++
	}
	a.mu.Lock()
	t, armed := a.target, a.armed
	a.mu.Unlock()
	switch {
	case t.Phase == "write" && t.How == point && t.N == s.writes:
		s.w.die("write", "", point)
	case armed == point && armed != "":
		s.w.die(t.Phase, t.Class, point)
	}
	return nil
}
