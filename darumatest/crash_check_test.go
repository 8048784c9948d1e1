package darumatest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/daruma-run/daruma"
)

// check compares the journal, the ledger of the witness and what was promised,
// once all runs have ended. It returns how often what happened.
func (c *campaign) check() tally {
	c.t.Helper()
	ctx := context.Background()
	r, err := readStore(ctx, journalIn(c.dir))
	if err != nil {
		c.t.Fatal(err)
	}
	defer r.Close()
	infos, err := r.Runs(ctx, daruma.Query{Limit: 1 << 20})
	if err != nil {
		c.t.Fatal(err)
	}
	sums := tally{}
	for _, info := range infos {
		c.checkRun(ctx, r, info, &sums)
	}
	for run := range c.acks {
		if !slices.ContainsFunc(infos, func(i daruma.RunInfo) bool { return i.ID == run }) {
			c.t.Errorf("run %s was acknowledged and is lost", run)
		}
	}
	c.checkLedger(infos, &sums)
	c.t.Logf("%d runs, %d acknowledged events, %d checkpoints, %d calls in doubt decided, %d effects, %d replays, %d posts",
		len(infos), sums.acked, sums.checkpoints, sums.doubts, sums.effects, sums.replays, len(c.human.posted))
	return sums
}

type tally struct{ acked, checkpoints, doubts, effects, replays int }

// history is a run for people, to understand a failure.
func (c *campaign) history(run daruma.RunID) string {
	r, err := readStore(context.Background(), journalIn(c.dir))
	if err != nil {
		return err.Error()
	}
	defer r.Close()
	var b strings.Builder
	for e, err := range r.Events(context.Background(), run, 0) {
		fmt.Fprintf(&b, "\n%d %s %s %.160s", e.Seq, e.Time.Format("05.000000"), e.Kind, e.Payload)
		if err != nil {
			fmt.Fprint(&b, err)
		}
	}
	return b.String()
}

// told logs the history of a run once.
func (c *campaign) told(run daruma.RunID) {
	if !c.logged {
		c.logged = true
		c.t.Log(c.history(run))
	}
}

// states says where runs stand that have not ended.
func (c *campaign) states() string {
	ctx := context.Background()
	r, err := readStore(ctx, journalIn(c.dir))
	if err != nil {
		return err.Error()
	}
	defer r.Close()
	var b strings.Builder
	infos, _ := r.Runs(ctx, daruma.Query{Limit: 1 << 20})
	for _, i := range infos {
		if i.State != daruma.Completed {
			fmt.Fprintf(&b, "\n%s is %s, held by %q, wakes %s: %s", i.ID, i.State, i.Node, i.WakeAt, i.Note)
		}
	}
	return b.String()
}

func (c *campaign) checkRun(ctx context.Context, r kept, info daruma.RunInfo, sums *tally) {
	c.t.Helper()
	var events []daruma.Event
	for e, err := range r.Events(ctx, info.ID, 0) { // verifies the chain
		if err != nil {
			c.t.Errorf("%s: %v", info.ID, err)
			return
		}
		events = append(events, e)
	}
	for seq, want := range c.acks[info.ID] {
		sums.acked++
		if seq > int64(len(events)) {
			c.t.Errorf("%s: event %d was acknowledged and is lost", info.ID, seq)
		} else if got := sum(events[seq-1]); got != want {
			c.t.Errorf("%s: event %d is not what was acknowledged: %s", info.ID, seq, events[seq-1].Payload)
		}
	}
	run := c.refold(info, events, sums)
	if run == nil {
		return
	}
	end := run.Finished()
	if end == nil || info.State != daruma.Completed || end.State != info.State || end.Answer != answerOf(info.ID) || info.Head != int64(len(events)) || info.Node != "" {
		c.t.Errorf("%s ended as %+v, its row says %+v, its answer should be %s", info.ID, end, info, answerOf(info.ID))
	}
	if want := len(scriptOf(info.ID)) + 1; run.Turn() != want {
		c.t.Errorf("%s took %d turns, want %d", info.ID, run.Turn(), want)
	}
	c.checkCalls(info.ID, events, sums)
	c.checkPosts(info.ID, events)
}

// refold folds the run from its start, and from every checkpoint, which must
// make no difference.
func (c *campaign) refold(info daruma.RunInfo, events []daruma.Event, sums *tally) *daruma.Run {
	run := daruma.NewRun(info.ID, info.Tenant)
	for i, e := range events {
		if err := run.Apply(e); err != nil {
			c.t.Errorf("%s does not fold: %v", info.ID, err)
			return nil
		}
		if e.Kind != daruma.KindCheckpoint {
			continue
		}
		sums.checkpoints++
		again, err := daruma.Fold(info.ID, info.Tenant, events[i:i+1])
		if err != nil {
			c.t.Errorf("%s: checkpoint %d: %v", info.ID, e.Seq, err)
			continue
		}
		if diff := cmp.Diff(view(c.t, run), view(c.t, again)); diff != "" {
			c.t.Errorf("%s: checkpoint %d is not the fold of what was before it:\n%s", info.ID, e.Seq, diff)
		}
	}
	return run
}

// view is everything that a run shows of itself.
func view(t testing.TB, r *daruma.Run) string {
	events, commands := r.Next()
	b, err := json.MarshalIndent([]any{r.Head(), r.State(), r.Turn(), r.Steps(), r.Usage(), r.Cost(), r.Active(), r.Marks(), r.Withheld(), r.Falls(),
		r.Approvals(), r.Parked(), r.Reply(), r.Results(), r.Started(), r.Messages(), r.WakeAt(), events, commands}, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(bytes.ReplaceAll(b, []byte("null"), []byte("[]")))
}

// checkCalls: every intent has a result or a decision about its doubt, a call
// has one key, and after its result it is not made again.
func (c *campaign) checkCalls(run daruma.RunID, events []daruma.Event, sums *tally) {
	type callState struct {
		key     string
		intents map[daruma.CommandID]bool // without a result, and nobody has decided what that means
		done    bool
	}
	turn := map[int]*callState{}
	at := func(i int) *callState {
		if turn[i] == nil {
			turn[i] = &callState{intents: map[daruma.CommandID]bool{}}
		}
		return turn[i]
	}
	for _, e := range events {
		switch e.Kind {
		case daruma.KindToolCalled:
			p := payload[daruma.ToolCalled](c.t, e)
			s := at(p.Call)
			if s.key != "" && s.key != p.Key {
				c.t.Errorf("%s: event %d calls %s again with another key", run, e.Seq, p.Tool)
			}
			if s.done {
				c.t.Errorf("%s: event %d calls %s again after its result", run, e.Seq, p.Tool)
			}
			s.key = p.Key
			s.intents[p.Command] = true
		case daruma.KindToolReplied:
			p := payload[daruma.ToolReplied](c.t, e)
			s := at(p.Call)
			delete(s.intents, p.Command)
			if p.Outcome == daruma.Succeeded && s.done {
				c.t.Errorf("%s: event %d is a second result of call %d", run, e.Seq, p.Call)
			}
			s.done = s.done || p.Outcome == daruma.Succeeded
		case daruma.KindMove:
			p := payload[daruma.Move](c.t, e)
			for i, s := range turn {
				if p.Subject == daruma.CallSubject(i) && p.Signal == daruma.UnknownOutcome {
					sums.doubts += len(s.intents)
					clear(s.intents)
				}
			}
		case daruma.KindTurnEnded, daruma.KindFinished:
			for i, s := range turn {
				if len(s.intents) > 0 {
					c.t.Errorf("%s: call %d of the turn that ends with event %d was in doubt and nobody decided: %v", run, i, e.Seq, slices.Collect(maps.Keys(s.intents)))
				}
			}
			clear(turn)
		}
	}
}

func payload[T any](t testing.TB, e daruma.Event) (p T) {
	if err := json.Unmarshal(e.Payload, &p); err != nil {
		t.Errorf("event %d: %v", e.Seq, err)
	}
	return p
}

// checkPosts: what the human was told is durable was folded in once.
func (c *campaign) checkPosts(run daruma.RunID, events []daruma.Event) {
	folded := map[posted]int{}
	for _, e := range events {
		if e.Kind == daruma.KindReceived {
			p := payload[daruma.Post](c.t, e)
			folded[posted{run, p.Topic, p.Key}]++
		}
	}
	for p, n := range folded {
		if n != 1 {
			c.t.Errorf("%s: post %s %s was folded in %d times", run, p.topic, p.key, n)
		}
	}
	for p := range c.human.posted {
		if p.run == run && folded[p] == 0 {
			c.t.Errorf("%s: post %s %s was acknowledged and never folded in", run, p.topic, p.key)
		}
	}
}

// checkLedger looks at the effects from outside.
func (c *campaign) checkLedger(infos []daruma.RunInfo, sums *tally) {
	ledger, err := readLedger(c.dir)
	if err != nil {
		c.t.Fatal(err)
	}
	type record struct {
		effects int
		keys    map[string]bool
		gens    map[int]int
	}
	seen := map[string]*record{}
	for _, e := range ledger {
		s := seen[e.order()]
		if s == nil {
			s = &record{keys: map[string]bool{}, gens: map[int]int{}}
			seen[e.order()] = s
		}
		s.keys[e.Key] = true
		switch e.What {
		case "effect":
			s.effects++
			sums.effects++
		case "replay":
			sums.replays++
		default:
			continue
		}
		if s.gens[e.Gen]++; s.gens[e.Gen] > 1 {
			c.t.Errorf("%s: process %d made the call %d times", e.order(), e.Gen, s.gens[e.Gen])
			c.told(e.Run)
		}
		if gen, ok := c.done[e.order()]; ok && e.Gen > gen {
			c.t.Errorf("%s: its result was acknowledged in process %d, and process %d made it again", e.order(), gen, e.Gen)
		}
		if e.Tool == "refund" && !e.Approved {
			c.t.Errorf("%s: a refund without an approval", e.order())
		}
	}
	for _, info := range infos {
		for _, turn := range scriptOf(info.ID) {
			for _, o := range turn {
				e := entry{Run: info.ID, Call: o.ID}
				s := seen[e.order()]
				delete(seen, e.order())
				if s == nil {
					c.t.Errorf("%s of %s never happened", o.tool, e.order())
					continue
				}
				if s.effects < 1 || s.effects > 1 && once(classOf[o.tool]) {
					c.t.Errorf("%s of %s has happened %d times", o.tool, e.order(), s.effects)
				}
				if len(s.keys) != 1 {
					c.t.Errorf("%s of %s was asked for with %d keys", o.tool, e.order(), len(s.keys))
				}
			}
		}
	}
	for id := range seen {
		c.t.Errorf("nobody ordered %s", id)
	}
}
