package daruma_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/daruma-run/daruma"
)

// TestDeadlines: a call has the time its tool says, half a minute where it says
// nothing, and never more than the run has left.
func TestDeadlines(t *testing.T) {
	for tool, want := range map[daruma.Duration]time.Duration{0: 30 * time.Second, daruma.Duration(5 * time.Second): 5 * time.Second, daruma.Duration(time.Hour): time.Minute} {
		s := newShell(t, "run_refund")
		s.commit(daruma.NewEvent(daruma.KindStarted, "user:ann", daruma.Started{Agent: "a", Models: []string{"m"}, Nonce: "n", Limits: daruma.Limits{Time: daruma.Duration(time.Minute)},
			Tools: []daruma.ToolSpec{{Name: "look", Effect: daruma.Read, Timeout: tool}}}))
		model := s.settle()[0]
		if model.Timeout != time.Minute {
			t.Errorf("the model has %s", model.Timeout)
		}
		s.commit(daruma.NewEvent(daruma.KindReplied, daruma.ActorShell, daruma.Replied{Command: model.ID,
			Message: daruma.Message{Role: daruma.RoleAssistant, Calls: []daruma.ToolCall{{ID: "1", Name: "look", Arguments: "{}"}}}}))
		if c, _ := find(s.settle(), daruma.OpCallTool, 0); c.Timeout != want {
			t.Errorf("a tool that says %s has %s, want %s", tool, c.Timeout, want)
		}
	}
}

// TestStandIns: the alternatives in their order, then tools of the capability;
// none that writes, or for one that writes, unless its policy says so; never
// itself or a tool that is not there.
func TestStandIns(t *testing.T) {
	read := func(name, capability string) daruma.ToolSpec {
		return daruma.ToolSpec{Name: name, Effect: daruma.Read, Capability: capability}
	}
	write := daruma.ToolSpec{Name: "w", Effect: daruma.Keyed, Capability: "find"}
	alt := read("a", "find")
	alt.Alternatives = []string{"d", "gone", "w", "a"}
	asked := write
	asked.Name, asked.ReplaceWrite = "x", true
	tools := []daruma.ToolSpec{alt, read("b", "find"), read("c", ""), read("d", "find"), write, asked, read("e", "")}
	for name, want := range map[string][]string{"a": {"d", "b"}, "b": {"a", "d"}, "c": nil, "w": nil, "x": {"a", "b", "d", "w"}, "gone": nil} {
		if got := daruma.StandIns(tools, name); !slices.Equal(got, want) {
			t.Errorf("%s is replaced by %v, want %v", name, got, want)
		}
	}
}

// TestLevel: how much of the service there is so far, and how much there was.
func TestLevel(t *testing.T) {
	const two = "start models=primary,backup\nfail unauthorized"
	for story, want := range map[string]daruma.Level{"start": daruma.Full, two: daruma.OtherModel, two + "\nreply say done": daruma.OtherModel,
		"start models=a,b lower=other_model:target=a": daruma.Full, "start models=a,b lower=other_model:target=b": daruma.OtherModel,
		"start lower=static": daruma.Static, "start\nreply say done": daruma.Full} {
		if got := played(t, story).run.Level(); got != want {
			t.Errorf("%q: level %s, want %s", story, got, want)
		}
	}
}

// TestBudgetInfo adds up what the rows of a journal say: grants hold what is
// not settled, raises are what was settled below nothing.
func TestBudgetInfo(t *testing.T) {
	b := daruma.BudgetInfo{Spent: 70}
	b.Add(daruma.GrantInfo{ID: "a", Drawn: 50, Settled: 20}, false)
	b.Add(daruma.GrantInfo{ID: "b", Drawn: 10, Settled: 15}, false) // it cost more than was drawn
	b.Add(daruma.GrantInfo{Settled: -25}, true)
	if b.Held != 30 || b.Spent != 65 || b.Raised != 25 || len(b.Grants) != 2 || b.Grants[0].ID != "a" {
		t.Errorf("%+v", b)
	}
	if left := (&daruma.Overdrawn{Spent: 11, Limit: 10}).Left(); left != 0 {
		t.Errorf("%s are left of a budget that is passed", left)
	}
}

// TestKeyTaken says who holds the key, and whether for the same.
func TestKeyTaken(t *testing.T) {
	for same, want := range map[bool]string{true: "key k belongs to run r", false: "key k belongs to run r with other content"} {
		if got := (&daruma.KeyTaken{Key: "k", Run: "r", Same: same}).Error(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// TestDamagedDigest shows no half characters of what is no digest, whatever it is.
func TestDamagedDigest(t *testing.T) {
	var d daruma.Digest
	if err := d.UnmarshalText([]byte(strings.Repeat("\x80", 300))); daruma.KindOf(err) != daruma.KindInvalid || strings.Contains(err.Error(), `\x80`) {
		t.Errorf("%v", err)
	}
	for s := daruma.Running; s <= daruma.Quarantined; s++ {
		if got, want := s.Finished(), slices.Contains([]daruma.RunState{daruma.Completed, daruma.Degraded, daruma.Cancelled, daruma.Dead}, s); got != want {
			t.Errorf("%s is finished: %v", s, got)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a payload that does not encode is an event")
		}
	}()
	daruma.NewEvent(daruma.KindStarted, "user:ann", make(chan int))
}

// TestNote is the line that lists show of a run.
func TestNote(t *testing.T) {
	for story, want := range map[string]string{
		"start": "", "start\nreply say done": "done", "start\nfail invalid": "provider_unavailable: primary: it failed",
		"start\nfail unavailable": "waits until 2026-01-02T03:00:00Z", "start\npost cancel {}": "cancelled by user:bob",
		"start tools=a:keyed:agent=b\nreply call a {} ; call a {\"n\":1}\nstarted 0\nstarted 1": "waits for run_refund.1.1, run_refund.1.2",
		"start tools=mail:keyed:verify\nreply call mail {}\ndoubt 0":                            "",
	} {
		if got := played(t, story).run.Note(); got != want {
			t.Errorf("%s: %q, want %q", story, got, want)
		}
	}
}

// TestResults is what judges see of the calls of a turn.
func TestResults(t *testing.T) {
	s := played(t, "start tools=look:read\nreply call look {\"at\":\"a\"} ; call look {} ; call gone {}\nok 0 \"it begins\" ref=40000\nfailed 2 not_found \"no such tool\"")
	want := []daruma.Call{
		{Index: 0, ID: "c0", Name: "look", Tool: "look", Args: `{"at":"a"}`, Step: "1/3", Done: true, Outcome: daruma.Succeeded, Text: "it begins", Ref: daruma.DigestOf([]byte("40000"))},
		{Index: 1, ID: "c1", Name: "look", Tool: "look", Args: `{}`, Step: "1/4"},
		{Index: 2, ID: "c2", Name: "gone", Tool: "gone", Args: `{}`, Step: "1/5", Done: true, Failed: true, Outcome: daruma.Failed, Text: "no such tool"},
	}
	if got := s.run.Results(); !slices.Equal(got, want) {
		t.Errorf("got\n%+v, want\n%+v", got, want)
	}
}
