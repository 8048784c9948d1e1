package daruma_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/daruma-run/daruma"
)

// TestChildLimits: a sub-run has what its agent has, and never more than its
// share; a limit on money of either holds.
func TestChildLimits(t *testing.T) {
	share := daruma.Limits{Steps: 4, Tokens: 500, Time: daruma.Duration(time.Minute), Depth: 2}
	paid := share
	paid.Money = daruma.Dollar
	for name, c := range map[string]struct {
		own, share daruma.Limits
		want       daruma.Limits // the fields that a share bounds
	}{
		"the share is less":     {daruma.Limits{}, share, share},
		"the agent has less":    {daruma.Limits{Steps: 2, Tokens: 50, Time: 5, Depth: 1}, share, daruma.Limits{Steps: 2, Tokens: 50, Time: 5, Depth: 1}},
		"no depth in the share": {daruma.Limits{}, daruma.Limits{Steps: 4, Tokens: 500, Time: 5}, daruma.Limits{Steps: 4, Tokens: 500, Time: 5, Depth: 3}},
		"money of the agent":    {daruma.Limits{Money: 7}, share, daruma.Limits{Steps: 4, Tokens: 500, Time: share.Time, Depth: 2, Money: 7}},
		"money of the share":    {daruma.Limits{}, paid, paid},
		"money of both, less":   {daruma.Limits{Money: 7}, paid, daruma.Limits{Steps: 4, Tokens: 500, Time: share.Time, Depth: 2, Money: 7}},
		"money of both, more":   {daruma.Limits{Money: 2 * daruma.Dollar}, paid, paid},
	} {
		want := c.want.Over(daruma.Limits{}.Filled())
		if got := daruma.ChildLimits(c.own, c.share); got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
}

func TestChildInput(t *testing.T) {
	for args, want := range map[string]string{
		`{"input":"find it"}`: "find it", `{"input":"find it","where":"here"}`: `{"input":"find it","where":"here"}`,
		`{"input":" "}`: `{"input":" "}`, `{"input":7}`: `{"input":7}`, `{"what":"find it"}`: `{"what":"find it"}`, `find it`: "find it", `{}`: `{}`,
	} {
		if got := daruma.ChildInput(args); got != want {
			t.Errorf("%s asks %q, want %q", args, got, want)
		}
	}
}

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

// TestNativeCounts: what a provider remembers of its answers takes room too.
func TestNativeCounts(t *testing.T) {
	for name, c := range map[string]struct {
		native *daruma.Native
		near   bool
	}{
		"nothing":  {nil, false},
		"a little": {&daruma.Native{Content: []byte(`"x"`)}, false},
		"much":     {&daruma.Native{Content: payload(strings.Repeat("x", 3000))}, true},
	} {
		s := newShell(t, "run_refund")
		s.commit(daruma.NewEvent(daruma.KindStarted, "user:ann", daruma.Started{Agent: "a", Models: []string{"m"}, Nonce: "n", Compact: daruma.CompactResults,
			Windows: map[string]int64{"m": 1000}, Tools: []daruma.ToolSpec{{Name: "look", Effect: daruma.Read}}}))
		for _, text := range []string{strings.Repeat("y", 2500), "a", "b"} {
			model, _ := find(s.settle(), daruma.OpCallModel, -1)
			s.commit(daruma.NewEvent(daruma.KindReplied, daruma.ActorShell, daruma.Replied{Command: model.ID,
				Message: daruma.Message{Role: daruma.RoleAssistant, Native: c.native, Calls: []daruma.ToolCall{{ID: "1", Name: "look", Arguments: "{}"}}}}))
			call, _ := find(s.settle(), daruma.OpCallTool, 0)
			s.commit(daruma.NewEvent(daruma.KindToolReplied, daruma.ActorShell, daruma.ToolReplied{Command: call.ID, Tool: "look", Outcome: daruma.Succeeded, Text: text}))
		}
		s.settle()
		if near := len(s.run.Falls()) > 0; near != c.near {
			t.Errorf("%s: close to the window: %v", name, near)
		}
	}
}

// TestLost: the parent of a run that will never end by itself is told so, with
// what stands of it; nobody is told of a run that ended, or that has no parent.
func TestLost(t *testing.T) {
	s := played(t, "start depth=1 tools=mail:keyed\nreply call mail {}\nok 0 sent")
	posts := s.run.Lost("its record is damaged")
	if len(posts) != 1 || posts[0].Run != "run_parent" || posts[0].Topic != daruma.TopicChild || posts[0].Key != "key of the parent" || posts[0].By != daruma.ActorRun(s.id) {
		t.Fatalf("told: %+v", posts)
	}
	end := decode[daruma.ChildResult](t, daruma.Event{Payload: posts[0].Payload})
	if end.State != daruma.Quarantined || end.Text != "its record is damaged" || !slices.Equal(end.Standing, []string{"mail (1/3)"}) {
		t.Errorf("told: %+v", end)
	}
	for story, want := range map[string]int{"start": 0, "start depth=1\nreply say done": 0, "start depth=1": 1} {
		if got := played(t, story).run.Lost("why"); len(got) != want {
			t.Errorf("%s: told %v", story, got)
		}
	}
}

// TestLongID: the sub-run of a run with the longest id has one that is an id,
// and its own.
func TestLongID(t *testing.T) {
	seen := map[daruma.RunID]bool{}
	for _, id := range []string{strings.Repeat("a", 124), strings.Repeat("a", 125), strings.Repeat("b", 128)} {
		s := &script{shell: newShell(t, daruma.RunID(id)), t: t, keys: map[string]string{}}
		s.do("start tools=research:keyed:agent=researcher")
		s.do(`reply call research {"input":"a"} ; call research {"input":"b"}`)
		for i := range 2 {
			c, ok := find(s.commands, daruma.OpStartRun, i)
			if !ok || c.Child.Check() != nil || seen[c.Child] || strings.HasPrefix(string(c.Child), id) != (len(id) == 124) {
				t.Errorf("sub-run %d of %s is %s", i, id, c.Child)
			}
			seen[c.Child] = true
		}
	}
}

// TestCut: head and tail of a text, at the edges of characters.
func TestCut(t *testing.T) {
	const text = "äöü0123456789äöü" // 22 bytes
	mark := func(n int) string { return fmt.Sprintf("[… %d bytes left out …]", n) }
	for _, c := range []struct {
		head, tail int
		want       string
	}{
		{2, 2, "ä" + mark(18) + "ü"}, {3, 3, "ä" + mark(18) + "ü"}, {4, 0, "äö" + mark(18)}, {0, 5, mark(18) + "öü"},
		{1, 1, mark(22)}, {0, 0, text}, {-1, 5, text}, {5, -1, text}, {-2, -3, text}, {11, 11, text}, {30, 0, text}, {10, 11, "äöü0123" + mark(1) + "56789äöü"},
	} {
		if got := (daruma.Cut{Head: c.head, Tail: c.tail}).Apply(text); got != c.want {
			t.Errorf("%d and %d of it: %q, want %q", c.head, c.tail, got, c.want)
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

// TestApprovalTimes: a yes counts for when it was given, not for when it was
// read; a clock that runs ahead gains nothing.
func TestApprovalTimes(t *testing.T) {
	for name, c := range map[string]struct {
		given, read time.Duration // after the approval was asked; it is open for an hour
		yes         bool
	}{
		"given and read in time":   {time.Minute, 2 * time.Minute, true},
		"given in time, read late": {59 * time.Minute, 3 * time.Hour, true},
		"given late":               {time.Hour, 3 * time.Hour, false},
		"by a clock ahead":         {5 * time.Hour, time.Minute, true},
		"without a time, late":     {-1, 2 * time.Hour, false},
	} {
		s := played(t, "start limits.approval_time=1h tools=pay:payment\nreply call pay {}")
		a := s.run.Approvals()[0]
		p := daruma.Post{Tenant: "acme", Run: s.id, Topic: daruma.TopicApproval, Key: a.ID, By: "user:bob", Time: s.now.Add(c.given),
			Payload: payload(daruma.Decision{Approve: true, Hash: a.Hash})}
		if c.given < 0 {
			p.Time = time.Time{}
		}
		s.now = s.now.Add(c.read)
		s.commit(daruma.NewEvent(daruma.KindReceived, daruma.ActorShell, p))
		if _, yes := find(s.settle(), daruma.OpCallTool, 0); yes != c.yes {
			t.Errorf("%s: the call goes out: %v", name, yes)
		}
	}
}

// TestOldQuestion: a question of a version that gave it no id is answered by
// an answer that names none.
func TestOldQuestion(t *testing.T) {
	for name, a := range map[string]daruma.Answer{"none": {Choice: daruma.AnswerSkip}, "another": {Question: "x.q1", Choice: daruma.AnswerSkip}} {
		s := played(t, "start")
		s.commit(daruma.NewEvent(daruma.KindParked, daruma.ActorCore, daruma.Parked{Reason: daruma.ParkQuestion, Text: "what now?", Options: []string{daruma.AnswerSkip}}))
		s.receive(daruma.Post{Topic: daruma.TopicAnswer, Key: "1", By: "user:bob", Payload: payload(a)})
		if s.settle(); s.run.State() != daruma.Degraded {
			t.Errorf("an answer that names %s: the run is %s", name, s.run.State())
		}
	}
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

// TestOldDegrade: a move of a version that did not say what is missing ends the
// run below the full service all the same.
func TestOldDegrade(t *testing.T) {
	s := played(t, "start")
	s.commit(daruma.NewEvent(daruma.KindMove, daruma.ActorCore, daruma.Move{Remedy: daruma.Degrade, Signal: daruma.Loop, Subject: daruma.SubjectRun}))
	s.settle()
	if f := s.run.Finished(); f == nil || f.State != daruma.Degraded || f.Level != daruma.Static || len(f.Missing) != 0 {
		t.Errorf("ended as %+v", f)
	}
}

// TestPolicyLadder: a policy brings another ladder, if it is one.
func TestPolicyLadder(t *testing.T) {
	stop := daruma.Ladder{Default: []daruma.Rung{{Remedy: daruma.Abort}}}
	endless := daruma.Ladder{Default: []daruma.Rung{{Remedy: daruma.Retry}}}
	for want, ladder := range map[daruma.RunState]*daruma.Ladder{daruma.Dead: &stop, daruma.Waiting: &endless} {
		s := played(t, "start")
		s.post(daruma.TopicPolicy, "", payload(daruma.Policy{Ladder: ladder}))
		s.commands = s.settle()
		s.fail([]string{"unavailable"})
		if s.settle(); s.run.State() != want {
			t.Errorf("with %+v the run is %s, want %s", ladder, s.run.State(), want)
		}
	}
}
