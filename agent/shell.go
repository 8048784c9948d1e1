package agent

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/model/route"
)

// Options configure a [Shell]. Journal, Agents and Models are needed.
type Options struct {
	// Journal keeps the runs. The shell does not close it. Where it has a
	// method Down() <-chan struct{}, closed when it has stopped, [Shell.Run]
	// ends at once, with work or without.
	Journal daruma.Journal
	// Agents are those this shell works for. Runs of other agents in the
	// journal are held and not worked on.
	Agents []Agent
	// Models are the targets that agents name.
	Models *route.Table
	// Budgets bound what runs spend together: those of agents that name one, and
	// of models in ModelBudgets. Only one shell on a journal may have budgets.
	Budgets []Budget
	// ModelBudgets are names of Budgets by the targets whose calls are paid from
	// them, besides the budget of the agent.
	ModelBudgets map[string]string
	// Node is the name under which this process owns runs. It must differ
	// from that of any other process on the journal. Empty means a random one.
	Node string
	// Grace is how long calls in flight may go on after the context of
	// [Shell.Run] has ended. Zero means 30 s; negative means not at all.
	Grace time.Duration
	// Degrade says how runs begin while something they need does not work.
	Degrade Degrade
	// Workers is how many commands are performed at once. Zero means 256.
	Workers int
	// Observe, where set, is called with the events of a run after they are
	// durable, in their order for each run, by one goroutine at a time. It
	// must not block, and must not call the shell.
	Observe func(run daruma.RunID, events []daruma.Event)
	// Logger gets what an operator should know: runs quarantined or taken by
	// others, commits tried again. Nil means silence.
	Logger *slog.Logger
}

// Shell performs the runs of one process. New makes it, [Shell.Run] works
// until its context ends. All methods may be called from many goroutines.
type Shell struct {
	journal  daruma.Journal
	agents   map[string]*profile
	budgets  []Budget
	models   *route.Table
	node     string
	grace    time.Duration
	workers  int
	degrade  Degrade
	observe  func(daruma.RunID, []daruma.Event)
	log      *slog.Logger
	inputs   chan input
	waiters  waiters
	begun    chan struct{} // closed when Run takes runs on
	finished chan struct{} // closed when the loop reads no more inputs

	mu     sync.Mutex
	state  shellState
	starts sync.WaitGroup // Starts that hand their run to the loop
}

type shellState uint8

const (
	fresh    shellState = iota // Run has not been called
	working                    // runs are taken on
	stopping                   // Run is coming to its end, or has
)

// New checks the options and returns a shell, which does nothing before
// [Shell.Run]. Errors are of KindInvalid and name the field.
func New(o Options) (*Shell, error) {
	const op = "agent.New"
	switch {
	case o.Journal == nil:
		return nil, daruma.Fail(op, daruma.KindInvalid, "journal is nil; accepted: an open journal")
	case o.Models == nil:
		return nil, daruma.Fail(op, daruma.KindInvalid, "models is nil; accepted: a table of targets")
	case o.Workers < 0:
		return nil, daruma.Fail(op, daruma.KindInvalid, "workers is %d; accepted: 0 for the default, or more", o.Workers)
	}
	if o.Degrade.Force > daruma.Static {
		return nil, daruma.Fail(op, daruma.KindInvalid, "degrade.force is %v; accepted: a level", o.Degrade.Force)
	}
	agents, err := profiles(o.Agents, o.Models, o.Degrade.Tools)
	if err != nil {
		return nil, err
	}
	if err := terms(&o, agents); err != nil {
		return nil, err
	}
	s := &Shell{
		journal: o.Journal, agents: agents, models: o.Models, node: o.Node,
		grace: cmp.Or(o.Grace, 30*time.Second), workers: cmp.Or(o.Workers, 256),
		degrade: o.Degrade, observe: o.Observe, log: o.Logger, budgets: slices.Clone(o.Budgets),
		inputs: make(chan input, 1024), begun: make(chan struct{}), finished: make(chan struct{}),
	}
	if s.node == "" {
		s.node = "node-" + nonce(6)
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	return s, nil
}

// nonce returns n random bytes in hexadecimal.
func nonce(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// Node returns the name under which this shell owns runs.
func (s *Shell) Node() string { return s.node }

// Run claims every run there is something to do for, performs them, and goes
// on until ctx ends. Then it begins nothing more, lets the calls in flight end
// for [Options.Grace], cancels what is left, gives up every run so that the
// next process goes on with them at once, and returns nil when all its
// goroutines are done.
//
// Errors: KindDown after the journal has stopped, KindTimeout where a call did
// not end although it was cancelled (its run stays with this process until
// that ends), KindConflict where Run was called before. If the process dies,
// nothing that was acknowledged is lost; calls in flight are in doubt.
func (s *Shell) Run(ctx context.Context) error {
	s.mu.Lock()
	if s.state != fresh {
		s.mu.Unlock()
		return daruma.Fail("agent.Run", daruma.KindConflict, "Run was called before; accepted: once for each shell")
	}
	s.state = working
	close(s.begun)
	s.mu.Unlock()
	return newLoop(ctx, s).run(ctx)
}
