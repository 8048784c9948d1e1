package daruma_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/daruma-run/daruma"
)

// TestForkChanges holds what a change may be, and that it is what counts.
func TestForkChanges(t *testing.T) {
	s := played(t, `start tools=mail:keyed:approve,look:read
		reply call mail {"to":"ann"} ; call look {}`)
	fork := func(c daruma.Change) ([]daruma.Event, error) {
		return daruma.Fork{ID: "run_forked", At: "last", Nonce: "n", By: "user:ann", Change: c}.Events(s.id, "acme", s.events)
	}
	for name, c := range map[string]struct {
		change daruma.Change
		says   string
	}{
		"a ladder without an end": {daruma.Change{Ladder: &daruma.Ladder{Default: []daruma.Rung{{Remedy: daruma.Retry, Max: -1}}}}, "ladder"},
		"no input":                {daruma.Change{Input: &daruma.Message{Role: daruma.RoleUser}}, "input is empty"},
		"one call named twice":    {daruma.Change{Args: map[string]string{"mail": "{}", "1/3": "{}"}}, "both name one call"},
	} {
		if _, err := fork(c.change); daruma.KindOf(err) != daruma.KindInvalid || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ladder := daruma.DefaultLadder().Without(daruma.Reflect)
	none := ""
	events, err := fork(daruma.Change{Ladder: &ladder, Instructions: &none, Args: map[string]string{"1/3": ` {"to" : "bob"}`}})
	noError(t, err)
	r, err := daruma.Fold("run_forked", "acme", events)
	noError(t, err)
	if len(r.Started().Ladder.Rungs) == 0 || len(r.Messages()) != 1 || r.Results()[0].Args != ` {"to" : "bob"}` || r.Reply().Message.Calls[0].Arguments != ` {"to" : "bob"}` {
		t.Errorf("the fork goes on with %+v, %v, %v", r.Started().Ladder, r.Messages(), r.Results())
	}
	decided, _ := r.Next()
	if a := decode[daruma.Approval](t, decided[0]); a.Args != `{"to":"bob"}` {
		t.Errorf("the approval is about %s", a.Args)
	}
}

// TestForkOfBroken refuses an origin that does not fold, or took no step.
func TestForkOfBroken(t *testing.T) {
	s := played(t, `start tools=mail:keyed
		post cancel {}`)
	f := daruma.Fork{ID: "run_forked", At: "1", Nonce: "n", By: "user:ann"}
	if _, err := f.Events(s.id, "acme", s.events); daruma.KindOf(err) != daruma.KindInvalid || !strings.Contains(err.Error(), "no step") {
		t.Errorf("a run without a step: %v", err)
	}
	if _, err := f.Events(s.id, "acme", s.events[1:]); daruma.KindOf(err) != daruma.KindCorrupt {
		t.Errorf("a run without its start: %v", err)
	}
	if _, err := daruma.Steps(s.id, "acme", s.events[1:]); daruma.KindOf(err) != daruma.KindCorrupt {
		t.Errorf("steps of a run without its start: %v", err)
	}
}

// TestReplayOfAnother compares what another version wrote only as far as it
// wrote it, and the checkpoints of this version wholly.
func TestReplayOfAnother(t *testing.T) {
	change := func(kind daruma.EventKind, old, new string) *daruma.Recording {
		c := playGolden(t, goldenRuns["reflect"])
		e := kindOf(t, c, kind)
		if !bytes.Contains(e.Payload, []byte(old)) {
			t.Fatalf("%s has no %s: %s", kind, old, e.Payload)
		}
		e.Payload = bytes.Replace(e.Payload, []byte(old), []byte(new), 1)
		return c
	}
	older := func(c *daruma.Recording) *daruma.Recording { c.Fold--; return c }
	for name, c := range map[string]struct {
		recording *daruma.Recording
		want      string // of the divergence; empty: none
	}{
		"a field that was not known then": {older(change(daruma.KindMove, `"try":1,`, ``)), ""},
		"the same, of this version":       {change(daruma.KindMove, `"try":1,`, ``), "try: nothing → 1"},
		"another field":                   {older(change(daruma.KindMove, `"try":1,`, `"try":2,`)), "try: 2 → 1"},
		"another list":                    {change(daruma.KindSignal, `"evidence":["1/1"]`, `"evidence":["1/1","1/2"]`), `evidence: ["1/1","1/2"] → ["1/1"]`},
		"another entry of a list":         {change(daruma.KindSignal, `"evidence":["1/1"]`, `"evidence":["1/2"]`), `evidence[0]: "1/2" → "1/1"`},
		"an object for a text":            {change(daruma.KindSignal, `"subject":"model"`, `"subject":{"a":1}`), `subject: {"a":1} → "model"`},
		"another state in a checkpoint":   {change(daruma.KindCheckpoint, `"turn":2`, `"turn":3`), "turn: 3 → 2"},
		"a checkpoint of another version": {change(daruma.KindCheckpoint, fmt.Sprintf(`"version":%d`, daruma.FoldVersion), fmt.Sprintf(`"version":%d`, daruma.FoldVersion+1)), ""},
		"more than ten differences":       {change(daruma.KindCheckpoint, `"start":{`, `"start":{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"j":1,"k":1,`), "and 1 more"},
	} {
		err := c.recording.Replay()
		if d, ok := errors.AsType[*daruma.Divergence](err); c.want == "" && err != nil || c.want != "" && (!ok || !strings.Contains(d.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
	if err := (&daruma.Recording{Run: "r", Fold: daruma.FoldVersion, Events: []daruma.Event{{Kind: daruma.KindCheckpoint, Payload: []byte(`{}`)}}}).Replay(); daruma.KindOf(err) != daruma.KindConflict {
		t.Errorf("an empty checkpoint: %v", err)
	}
	if err := (&daruma.Recording{Run: "r", Fold: daruma.FoldVersion}).Replay(); err != nil {
		t.Errorf("nothing: %v", err)
	}
	c := playGolden(t, goldenRuns["plain"])
	c.Events = append(c.Events[:3:3], c.Events[4:]...)
	if err := c.Replay(); err == nil {
		t.Error("a recording without one of its events replays")
	}
}

// failing refuses every byte.
type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("full") }

func TestRecordingIsNotWritten(t *testing.T) {
	c := playGolden(t, goldenRuns["plain"])
	if err := c.Write(failing{}); err == nil {
		t.Error("nothing was written, and nothing is said")
	}
	c.Events[1].Payload = []byte("{")
	if err := c.Write(&bytes.Buffer{}); daruma.KindOf(err) != daruma.KindInvalid {
		t.Errorf("an event that is no JSON: %v", err)
	}
}

// TestStepsOfBroken: events that do not fit end the walk with an error, whatever
// call they name.
func TestStepsOfBroken(t *testing.T) {
	good := played(t, "start tools=mail:keyed,look:read\nreply call mail {} ; call look {}").events
	for _, e := range []daruma.Event{
		daruma.NewEvent(daruma.KindToolCalled, daruma.ActorCore, daruma.ToolCalled{Call: 9}),
		daruma.NewEvent(daruma.KindToolReplied, daruma.ActorShell, daruma.ToolReplied{Call: -1}),
		daruma.NewEvent(daruma.KindApproval, daruma.ActorCore, daruma.Approval{ID: "a", Call: 2}),
		daruma.NewEvent(daruma.KindReplied, daruma.ActorShell, daruma.Replied{Command: "run_refund/1/1"}),
	} {
		if _, err := daruma.Steps("run_refund", "acme", append(good[:len(good):len(good)], e)); daruma.KindOf(err) != daruma.KindConflict {
			t.Errorf("%s: %v", e.Kind, err)
		}
		if _, err := daruma.Steps("run_refund", "acme", []daruma.Event{e}); daruma.KindOf(err) != daruma.KindConflict {
			t.Errorf("%s at the beginning: %v", e.Kind, err)
		}
	}
}

// TestForkInput: a fork is asked something else, which may be large; notes of
// the runtime and answers of the model stay.
func TestForkInput(t *testing.T) {
	s := played(t, "start\nreply say done")
	ref := daruma.DigestOf([]byte("a long text"))
	events, err := daruma.Fork{ID: "run_forked", At: "last", Nonce: "n", By: "user:ann", Change: daruma.Change{Input: &daruma.Message{Role: daruma.RoleUser, Ref: ref}}}.Events(s.id, "acme", s.events)
	noError(t, err)
	r, err := daruma.Fold("run_forked", "acme", events)
	noError(t, err)
	if m := r.Messages(); len(m) != 2 || m[1].Ref != ref || r.Started().Input.Ref != ref {
		t.Errorf("the fork is asked %+v", m)
	}
}
