package daruma_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/daruma-run/daruma"
)

// fork reads "fork AT [id=…] [allow] [models=…] [input=…] [instructions=…]
// [args.CALL=JSON] [limits.…]" and goes on as the fork.
func (s *script) fork(words []string) {
	s.t.Helper()
	f := daruma.Fork{ID: "run_forked", At: words[0], Nonce: "other", By: "user:ann"}
	f.Change.Limits = limits(s.t, words, "limits.")
	for _, w := range words[1:] {
		name, value, _ := strings.Cut(w, "=")
		call, isArgs := strings.CutPrefix(name, "args.")
		switch {
		case isArgs:
			if f.Change.Args == nil {
				f.Change.Args = map[string]string{}
			}
			f.Change.Args[call] = value
		case name == "id":
			f.ID = daruma.RunID(value)
		case name == "allow":
			f.Allow = true
		case name == "models":
			f.Change.Models = strings.Split(value, ",")
		case name == "input":
			f.Change.Input = &daruma.Message{Role: daruma.RoleUser, Text: value}
		case name == "instructions":
			f.Change.Instructions = &value
		}
	}
	events, err := f.Events(s.id, "acme", s.events)
	if err != nil {
		fmt.Fprintf(&s.out, "  refused: %v\n", err)
		return
	}
	s.become(f.ID, events)
	for _, w := range s.run.Record() {
		fmt.Fprintf(&s.out, "    on record: %s %s(%s) in %s of %s: %q\n", w.Outcome, w.Tool, w.Args, w.Step, w.Run, w.Text)
	}
}

// become goes on as a fork that begins with the events.
func (s *shell) become(id daruma.RunID, events []daruma.Event) {
	s.t.Helper()
	last := &events[len(events)-1]
	last.Time = s.now
	run, err := daruma.Fold(id, "acme", events)
	if err != nil {
		s.t.Fatalf("the fork does not fold: %v", err)
	}
	s.id, s.run, s.events = id, run, events
	s.seen(*last)
}

func (s *script) listSteps() {
	steps, err := daruma.Steps(s.id, "acme", s.events)
	noError(s.t, err)
	for _, step := range steps {
		fmt.Fprintf(&s.out, "    %s %s %s, after %d\n", step.ID, step.Name, step.Args, step.Seq)
	}
}

// played returns the events of a run script.
func played(t testing.TB, lines string) *script {
	s := &script{shell: newShell(t, "run_refund"), t: t, keys: map[string]string{}}
	for line := range strings.Lines(lines) {
		if line = strings.TrimSpace(line); line != "" {
			s.do(line)
		}
	}
	return s
}

// TestForkStandsAlone folds a fork without its origin, whose events are as
// they were before.
func TestForkStandsAlone(t *testing.T) {
	s := played(t, `start tools=refund:payment:risk=low,look:read
		reply call refund {"order":1} ; call look {}
		ok 0 "R-1"
		ok 1 found
		reply say done`)
	before := string(payload(s.events))
	events, err := daruma.Fork{ID: "run_forked", At: "1/4", Nonce: "x", By: "user:ann"}.Events(s.id, "acme", s.events)
	noError(t, err)
	if after := string(payload(s.events)); after != before {
		t.Error("forking has changed the events of the origin")
	}
	for i, e := range events {
		if e.Seq != int64(i+1) {
			t.Errorf("event %d of the fork has seq %d", i, e.Seq)
		}
		if i < len(events)-1 && strings.Contains(string(e.Payload), `"run_refund/`) {
			t.Errorf("event %d of the fork is about a command of its origin: %s", e.Seq, e.Payload)
		}
	}
	f := decode[daruma.Forked](t, events[len(events)-1])
	var hash daruma.Digest
	for _, e := range s.events[:f.Seq] {
		hash = daruma.Chain(hash, "acme", s.id, e)
	}
	if f.Hash != hash || f.Run != s.id || f.At != "1/4" {
		t.Errorf("the fork says it begins at %s of %s, event %d, hash %s", f.At, f.Run, f.Seq, f.Hash)
	}
	again, err := daruma.Fork{ID: "run_forked", At: "1/4", Nonce: "x", By: "user:ann"}.Events(s.id, "acme", s.events)
	noError(t, err)
	if string(payload(again)) != string(payload(events)) {
		t.Error("forking the same twice gives different events")
	}
}

// TestForkKeys holds that a new write of a fork has a key of its own.
func TestForkKeys(t *testing.T) {
	s := played(t, `start tools=mail:keyed
		reply call mail {"to":"ann"}`)
	c, _ := find(s.commands, daruma.OpCallTool, 0)
	f := played(t, `start tools=mail:keyed
		reply call mail {"to":"ann"}
		failed 0 invalid "no such person"
		fork 1/3 allow`)
	g, ok := find(f.commands, daruma.OpCallTool, 0)
	if !ok || g.Key == c.Key {
		t.Errorf("the origin called under %s, the fork under %s", c.Key, g.Key)
	}
}

// TestForkOfQuiet holds what cannot be forked.
func TestForkOfNothing(t *testing.T) {
	if _, err := (daruma.Fork{ID: "f", At: "1"}).Events("r", "acme", nil); daruma.KindOf(err) != daruma.KindInvalid {
		t.Errorf("a run without events: %v", err)
	}
	e := daruma.NewEvent(daruma.KindForked, "user:ann", daruma.Forked{Run: "r"})
	e.Time = time.Now()
	if err := daruma.NewRun("f", "acme").Apply(e); daruma.KindOf(err) != daruma.KindConflict {
		t.Errorf("a run that begins with run.forked: %v", err)
	}
}

// fork goes on as a fork of the run, from any of its steps.
func (w *world) fork() {
	steps, err := daruma.Steps(w.id, "acme", w.events)
	if err != nil {
		w.t.Fatalf("steps: %v", err)
	}
	if len(steps) == 0 {
		return
	}
	past := map[string]bool{}
	for wish := range w.past {
		past[wish] = true
	}
	for wish, did := range w.did {
		past[wish] = past[wish] || did
	}
	for key := range w.doubtful {
		past[w.wishes[key]] = true
	}
	for key := range w.flying {
		past[w.wishes[key]] = true
	}
	for _, e := range w.run.Effects() { // which may be done again
		if e.State == daruma.EffectUndone || e.State == daruma.EffectFailed {
			delete(past, w.wishes[e.Key])
		}
	}
	f := daruma.Fork{ID: daruma.RunID(fmt.Sprintf("run_fork%d", w.hits["forks of this"])), At: steps[w.one(len(steps))].ID, Nonce: "f", By: "user:ann", Allow: w.one(2) == 0}
	w.hits["forks of this"]++
	if w.one(3) == 0 {
		f.Change.Models = []string{"m2", "m0"}
	}
	if w.one(3) == 0 {
		f.Change.Input = &daruma.Message{Role: daruma.RoleUser, Text: "do something else"}
	}
	events, err := f.Events(w.id, "acme", w.events)
	if err != nil {
		w.t.Fatalf("fork at %s: %v", f.At, err)
	}
	w.hits["fork"]++
	w.past, w.keys, w.calls, w.doubtful, w.flying = past, map[string]string{}, map[string]string{}, map[string]bool{}, map[string]daruma.ToolCalled{}
	w.did, w.approved, w.thought, w.said = map[string]bool{}, map[string]bool{}, map[daruma.SignalType]int{}, map[string][]daruma.Outcome{}
	w.open, w.knew, w.wishes, w.undid = nil, nil, map[string]string{}, 0
	w.become(f.ID, events)
}

// forked checks that a call of a fork may go out.
func (w *world) forked(c daruma.ToolCalled, spec daruma.ToolSpec) {
	f := w.run.Forked()
	switch {
	case f == nil:
	case c.Undoes == "" && w.past[w.wish(c.Tool, c.Call)]:
		w.t.Fatalf("%s goes out although %s has made it, or may have", c.Command, f.Run)
	case !f.Allow && spec.Name != "" && !w.approved[w.action(c.Tool, c.Call)]:
		w.t.Fatalf("%s is a write of a fork and goes out without a yes", c.Command)
	}
}

// fromThePast notes what was answered from the record of the origin.
func (w *world) fromThePast(e daruma.Event) {
	if p := decode[daruma.ToolReplied](w.t, e); e.Actor == daruma.ActorCore && p.Replayed && p.Of == "" {
		w.hits["from the past"]++
		if p.Outcome == daruma.Doubtful {
			w.hits["doubt of the past"]++
		}
	}
}

// replay writes the history down and plays it again: the core decides the same.
func (w *world) replay() {
	if err := recorded(w.shell).Replay(); err != nil {
		w.t.Fatal(err)
	}
}
