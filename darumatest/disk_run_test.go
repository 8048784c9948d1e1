//go:build linux

package darumatest_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/agent"
	"github.com/daruma-run/daruma/model"
	"github.com/daruma-run/daruma/model/route"
	"github.com/daruma-run/daruma/sqlite"
	"github.com/daruma-run/daruma/tool"
)

// canonical is the run that meets the faults of a disk: 40 calls of tools in
// threes, one that has to wait, one that has to be approved, one with a large
// result, and checkpoints.
const canonical = daruma.RunID("canonical")

// canonicalTools are the tools of each turn.
func canonicalTurn(turn int) []order {
	if turn >= 13 {
		return nil
	}
	name := func(i int) string { return []string{"look", "set", "book", "pay"}[(turn+i)%4] }
	var calls []order
	for i := range 3 {
		calls = append(calls, order{ID: "order-" + string(rune('a'+turn)) + string(rune('a'+i)), tool: name(i)})
	}
	switch turn {
	case 3:
		calls[1].Wait = 2
	case 6:
		calls = append(calls, order{ID: "order-big", tool: "look"}, order{ID: "order-refund", tool: "refund"})
	}
	return calls
}

// canonicalResult is what a call gives.
func canonicalResult(o order) string {
	if o.ID == "order-big" {
		return strings.Repeat("A large result. ", 5_000)
	}
	return resultOf(o.tool, o.ID)
}

// canonicalAnswer is what the run says at its end: a hash over every result.
func canonicalAnswer() string {
	h := sha256.New()
	for turn := range 13 {
		for _, o := range canonicalTurn(turn) {
			fmt.Fprintf(h, "%s\n", canonicalResult(o))
		}
	}
	return "done " + hex.EncodeToString(h.Sum(nil))
}

// stage is one folder with a journal, the world outside of it, and what the
// journal has acknowledged.
type stage struct {
	t    testing.TB
	path string
	v    *volume

	mu      sync.Mutex
	effects map[string]map[string]bool // keys with which each order was carried out
	refused map[string]bool            // orders that were told to wait
	acks    map[int64]string           // content of events by their seq
	acked   map[int64]int              // how many changes the disk had seen then
	changes []change
	index   map[int][]byte // content of SQLite's index of the log, when a log was about to grow
	wrong   []string
	lives   int
	repair  func() // ends a fault that stays; called when the process can do nothing without
}

func newStage(t testing.TB, d *disk, dir string) *stage {
	return &stage{t: t, path: filepath.Join(dir, "runs.db"), v: d.volume(dir),
		effects: map[string]map[string]bool{}, refused: map[string]bool{}, acks: map[int64]string{}, acked: map[int64]int{}}
}

// record keeps every change of the disk from now on.
func (s *stage) record() {
	s.v.disk.mu.Lock()
	defer s.v.disk.mu.Unlock()
	s.index = map[int][]byte{}
	s.v.observe = func(c change) {
		if n := len(s.changes); n > 0 && s.changes[n-1].op == "sync" && c.op == "write" && strings.HasSuffix(c.file, "-wal") {
			b, err := os.ReadFile(s.path + "-shm")
			if err != nil {
				s.t.Error(err)
			}
			s.index[n] = b
		}
		s.changes = append(s.changes, c)
	}
}

// seen returns how many changes the disk has kept.
func (s *stage) seen() int {
	s.v.disk.mu.Lock()
	defer s.v.disk.mu.Unlock()
	return len(s.changes)
}

func (s *stage) wrongly(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wrong = append(s.wrong, fmt.Sprintf(format, args...))
}

// Stream is the model.
func (s *stage) Stream(_ context.Context, r *model.Request) iter.Seq2[model.Chunk, error] {
	return func(yield func(model.Chunk, error) bool) {
		turn, h := 0, sha256.New()
		for _, msg := range r.Messages {
			switch msg.Role {
			case daruma.RoleAssistant:
				turn++
			case daruma.RoleTool:
				fmt.Fprintf(h, "%s\n", msg.Text)
			}
		}
		last := model.Chunk{Finish: daruma.FinishStop, Usage: &daruma.Usage{Input: 7, Output: 3}, End: true}
		calls := canonicalTurn(turn)
		for i, o := range calls {
			c := &model.CallDelta{Index: i, ID: fmt.Sprintf("c%d-%d", turn, i), Name: o.tool, Arguments: o.args()}
			if !yield(model.Chunk{Call: c}, nil) {
				return
			}
			last.Finish = daruma.FinishTools
		}
		if len(calls) == 0 {
			last.Text = "done " + hex.EncodeToString(h.Sum(nil))
		}
		yield(last, nil)
	}
}

// do carries out a call.
func (s *stage) do(name string) func(context.Context, order) (string, error) {
	return func(ctx context.Context, o order) (string, error) {
		call, _ := tool.CallOf(ctx)
		o.tool = name
		s.mu.Lock()
		defer s.mu.Unlock()
		if o.Wait > 0 && !s.refused[o.ID] {
			s.refused[o.ID] = true
			return "", tool.Retry(errors.New("busy"), time.Duration(o.Wait)*time.Millisecond)
		}
		if s.effects[o.ID] == nil {
			s.effects[o.ID] = map[string]bool{}
		}
		s.effects[o.ID][call.Key] = true
		return canonicalResult(o), nil
	}
}

// witness is a journal whose acknowledgements are kept.
type witnessed struct {
	*sqlite.DB
	s *stage
}

func (j witnessed) Commit(ctx context.Context, txs []daruma.Tx) []error {
	_, syncs, _, failed := j.s.v.counts()
	down := j.Err() != nil
	verdicts := j.DB.Commit(ctx, txs)
	_, after, _, _ := j.s.v.counts()
	changes := j.s.seen()
	for i, err := range verdicts {
		if err != nil {
			continue
		}
		if down {
			j.s.wrongly("a commit was acknowledged by a journal that had stopped after %d failed syncs", failed)
		}
		if after == syncs {
			j.s.wrongly("a commit was acknowledged without a sync of the log")
		}
		j.s.mu.Lock()
		for n, e := range txs[i].Events {
			e.Seq = txs[i].Head + int64(n) + 1
			j.s.acks[e.Seq], j.s.acked[e.Seq] = sum(e), changes
		}
		j.s.mu.Unlock()
	}
	return verdicts
}

// live is one life of a process that opens the journal, performs the run and
// closes the journal again. It reports whether the run has ended.
func (s *stage) live(ctx context.Context) (ended bool, err error) {
	s.lives++
	db, err := sqlite.Open(ctx, s.path, nil)
	if err != nil {
		return false, err
	}
	defer db.Close()
	table, err := route.NewTable(route.Target{Name: "mind", Provider: s, Price: daruma.Price{Free: true}})
	if err != nil {
		return false, err
	}
	var tools []tool.Tool
	for _, spec := range specs[:5] {
		tools = append(tools, tool.Func(spec.Name, "Does "+spec.Name+".", s.do(spec.Name), spec))
	}
	ladder := daruma.DefaultLadder()
	ladder.Rungs[daruma.RateLimited] = []daruma.Rung{{Remedy: daruma.Retry, Max: 20, First: daruma.Duration(time.Millisecond), Factor: 1}, {Remedy: daruma.Escalate}}
	ladder.Rungs[daruma.UnknownOutcome] = []daruma.Rung{{Remedy: daruma.Retry, Max: 9, First: daruma.Duration(time.Millisecond), Factor: 1}, {Remedy: daruma.Escalate}}
	asked := make(chan struct{}, 1)
	shell, err := agent.New(agent.Options{
		Journal: witnessed{db, s}, Models: table, Grace: time.Second, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Observe: func(_ daruma.RunID, events []daruma.Event) {
			for _, e := range events {
				if e.Kind == daruma.KindApproval {
					select {
					case asked <- struct{}{}:
					default:
					}
				}
			}
		},
		Agents: []agent.Agent{{Name: "worker", Instructions: "Work.", Tools: tools, Ladder: ladder,
			Limits: daruma.Limits{Steps: 10_000, Time: daruma.Duration(time.Hour), Tokens: 1 << 40, Soft: 1, Claims: 1 << 20}}},
	})
	if err != nil {
		return false, err
	}
	ctx, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	wg.Go(func() { s.approve(ctx, db, asked) })
	down := make(chan error, 1)
	wg.Go(func() { down <- shell.Run(ctx) })
	over := make(chan agent.Result, 1)
	wg.Go(func() {
		for ctx.Err() == nil {
			// Whether it has started is known to the journal alone.
			_, err := shell.Start(ctx, agent.Start{ID: canonical, Agent: "worker", Input: "Work."})
			if kind := daruma.KindOf(err); err != nil && kind != daruma.KindExists {
				s.fix()
			}
			if r, err := shell.WaitFinished(ctx, canonical); err == nil {
				over <- r
				return
			}
		}
	})
	for {
		select {
		case <-over:
			return true, nil
		case err := <-down:
			return false, err
		case <-time.After(20 * time.Millisecond):
			if _, _, failed, _ := s.v.counts(); failed > 0 {
				s.fix()
			}
		}
	}
}

// fix repairs the disk, once.
func (s *stage) fix() {
	if s.repair != nil {
		s.repair()
		s.repair = nil
	}
}

// approve says yes to what is asked, until it has been heard.
func (s *stage) approve(ctx context.Context, db *sqlite.DB, asked chan struct{}) {
	for again := time.Duration(0); ; {
		open, err := db.Approvals(ctx, canonical)
		for _, a := range open {
			err = errors.Join(err, agent.Decide(ctx, db, a.ID, true, "user:ann", ""))
		}
		if again = time.Hour; err != nil {
			again = 5 * time.Millisecond
		}
		select {
		case <-ctx.Done():
			return
		case <-asked:
		case <-time.After(again):
		}
	}
}

// perform lives again and again until the run has ended, as a process that
// comes back by itself.
func (s *stage) perform(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	for failures := 0; ; {
		ended, err := s.live(ctx)
		switch {
		case ended:
			return
		case ctx.Err() != nil:
			s.wrongly("the run has not ended after %d lives: %v", s.lives, err)
			return
		case err == nil:
			s.wrongly("the process ended without a reason")
			return
		}
		switch daruma.KindOf(err) {
		case daruma.KindDown, daruma.KindUnavailable, daruma.KindExhausted:
		default:
			s.wrongly("life %d ended with %v (%v)", s.lives, err, daruma.KindOf(err))
		}
		if failures++; failures >= 2 {
			s.fix()
		}
		if failures > 20 {
			s.wrongly("no life goes on: %v", err)
			return
		}
	}
}

// check reads the journal as a process would that had no part in it, and
// compares it with what was acknowledged and with the world.
func (s *stage) check() {
	ctx := context.Background()
	r, err := sqlite.OpenReader(ctx, s.path)
	if err != nil {
		s.wrongly("at the end: %v", err)
		return
	}
	defer r.Close()
	info, err := r.Run(ctx, canonical)
	if err != nil {
		s.wrongly("at the end: %v", err)
		return
	}
	run := daruma.NewRun(canonical, info.Tenant)
	have := map[int64]string{}
	for e, err := range r.Events(ctx, canonical, 0) {
		if err == nil {
			err = run.Apply(e)
		}
		if err != nil {
			s.wrongly("at the end: %v", err)
			return
		}
		have[e.Seq] = sum(e)
	}
	s.mu.Lock()
	for seq, want := range s.acks {
		if have[seq] != want {
			s.wrong = append(s.wrong, fmt.Sprintf("event %d was acknowledged and is another or lost", seq))
		}
	}
	for turn := range 13 {
		for _, o := range canonicalTurn(turn) {
			n := len(s.effects[o.ID])
			if n == 0 || n > 1 && once(classOf[o.tool]) {
				s.wrong = append(s.wrong, fmt.Sprintf("%s %s was carried out under %d keys", o.tool, o.ID, n))
			}
		}
	}
	s.mu.Unlock()
	if end := run.Finished(); end == nil || info.State != daruma.Completed || end.Answer != canonicalAnswer() {
		s.wrongly("the run ended as %+v, its row is %+v", end, info)
	}
}
