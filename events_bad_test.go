package daruma_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/daruma-run/daruma"
)

// TestEventsThatDoNotFit folds in what a shell or a journal must not bring at
// some point of a run: it is an error of its kind, and says what does not fit.
func TestEventsThatDoNotFit(t *testing.T) {
	const (
		begun   = "start tools=look:read,mail:keyed,research:keyed:agent=researcher"
		calling = begun + "\n" + `reply call mail {"to":"ann"} ; call look {} ; call research {"input":"a"}`
		between = begun + "\n" + `reply call look {}` + "\n" + "ok 0 found"
		undoing = "start tools=car:keyed:undo=uncar,uncar:keyed\nreply call car {}\nok 0 booked\ncancel compensate"
		budget  = begun + "\n" + `met budget=team spent=1 limit=1 need=0.2`
	)
	turn1 := func(n int) daruma.CommandID { return daruma.NewCommandID("run_refund", 1, n) }
	for name, c := range map[string]struct {
		story   string
		kind    daruma.EventKind
		payload any
		want    daruma.Kind
		says    string
	}{
		"a kind of a newer version":      {begun, "run.dreamt", struct{}{}, daruma.KindConflict, "unknown to this version"},
		"a payload of another kind":      {begun, daruma.KindReplied, "text", daruma.KindCorrupt, "cannot unmarshal"},
		"a second start":                 {begun, daruma.KindStarted, daruma.Started{Models: []string{"m"}}, daruma.KindConflict, "cannot come here"},
		"an event after the end":         {begun + "\nreply say done", daruma.KindTimer, daruma.TimerFired{}, daruma.KindConflict, "is finished"},
		"a reply to another question":    {begun, daruma.KindReplied, daruma.Replied{Command: turn1(7)}, daruma.KindConflict, "waits for run_refund/1/7"},
		"a second reply":                 {calling, daruma.KindReplied, daruma.Replied{Command: turn1(1)}, daruma.KindConflict, "waits for run_refund/1/1"},
		"a failure of another question":  {begun, daruma.KindModelFailed, daruma.ModelFailed{Command: turn1(7)}, daruma.KindConflict, "waits for run_refund/1/7"},
		"a failure after the reply":      {calling, daruma.KindModelFailed, daruma.ModelFailed{Command: turn1(1)}, daruma.KindConflict, "waits for run_refund/1/1"},
		"a signal without a type":        {begun, daruma.KindSignal, map[string]any{"subject": "run"}, daruma.KindInvalid, "without a type"},
		"a signal about no reply":        {begun, daruma.KindSignal, daruma.Signal{Type: daruma.Loop, Subject: daruma.SubjectReply}, daruma.KindConflict, "there is no reply"},
		"a judgement of nothing":         {begun, daruma.KindJudged, daruma.Judged{Of: daruma.JudgeReply}, daruma.KindConflict, "waits for"},
		"a judgement that is over":       {calling, daruma.KindJudged, daruma.Judged{Command: turn1(2), Of: daruma.JudgeReply}, daruma.KindConflict, "waits for run_refund/1/2"},
		"a move to no model":             {begun, daruma.KindMove, daruma.Move{Signal: daruma.Loop, Remedy: daruma.SwitchModel, Subject: daruma.SubjectModel, Target: "m9"}, daruma.KindConflict, "no model m9"},
		"a move on from no reply":        {begun, daruma.KindMove, daruma.Move{Signal: daruma.Loop, Remedy: daruma.Degrade, Subject: daruma.SubjectReply}, daruma.KindConflict, "no reply"},
		"a cut of no message":            {between, daruma.KindMove, daruma.Move{Signal: daruma.Loop, Remedy: daruma.Compact, Subject: daruma.SubjectModel, Cuts: []daruma.Cut{{Message: 4}}}, daruma.KindConflict, "message 4"},
		"a cut before the first message": {between, daruma.KindMove, daruma.Move{Signal: daruma.Loop, Remedy: daruma.Compact, Subject: daruma.SubjectModel, Cuts: []daruma.Cut{{Message: -1}}}, daruma.KindConflict, "message -1"},
		"a cut of what a user wrote":     {between, daruma.KindMove, daruma.Move{Signal: daruma.Loop, Remedy: daruma.Compact, Subject: daruma.SubjectModel, Cuts: []daruma.Cut{{Message: 1}}}, daruma.KindConflict, "message 1"},
		"an intent of no call":           {calling, daruma.KindToolCalled, daruma.ToolCalled{Command: turn1(4), Call: 9}, daruma.KindConflict, "waits for run_refund/1/4"},
		"an intent twice":                {calling, daruma.KindToolCalled, daruma.ToolCalled{Command: turn1(3), Tool: "mail"}, daruma.KindConflict, "waits for run_refund/1/3"},
		"an intent of another tool":      {calling, daruma.KindToolCalled, daruma.ToolCalled{Command: turn1(4), Call: 1, Tool: "mail"}, daruma.KindConflict, "waits for run_refund/1/4"},
		"a result before any reply":      {begun, daruma.KindToolReplied, daruma.ToolReplied{Command: turn1(3)}, daruma.KindConflict, "waits for run_refund/1/3"},
		"a result of a call below none":  {calling, daruma.KindToolReplied, daruma.ToolReplied{Command: turn1(3), Call: -1}, daruma.KindConflict, "waits for run_refund/1/3"},
		"a result of another call":       {calling, daruma.KindToolReplied, daruma.ToolReplied{Command: turn1(3), Call: 1}, daruma.KindConflict, "waits for run_refund/1/3"},
		"a result twice":                 {calling + "\nok 1 found", daruma.KindToolReplied, daruma.ToolReplied{Command: turn1(4), Call: 1, Outcome: daruma.Succeeded}, daruma.KindConflict, "waits for run_refund/1/4"},
		"an approval of no call":         {calling, daruma.KindApproval, daruma.Approval{ID: "a1", Call: 3}, daruma.KindConflict, "waits for a1"},
		"an approval of call -1":         {calling, daruma.KindApproval, daruma.Approval{ID: "a1", Call: -1}, daruma.KindConflict, "waits for a1"},
		"the end of another turn":        {calling, daruma.KindTurnEnded, daruma.TurnEnded{Turn: 2}, daruma.KindConflict, "turn 2 cannot end"},
		"the end of no turn":             {begun, daruma.KindTurnEnded, daruma.TurnEnded{Turn: 1}, daruma.KindConflict, "turn 1 cannot end"},
		"the end of an undoing":          {undoing, daruma.KindTurnEnded, daruma.TurnEnded{Turn: 3}, daruma.KindConflict, "turn 3 cannot end"},
		"a sub-run of no call":           {calling, daruma.KindChild, daruma.ChildStarted{Command: turn1(3), Call: 7}, daruma.KindConflict, "waits for run_refund/1/3"},
		"a sub-run of a function":        {calling, daruma.KindChild, daruma.ChildStarted{Command: turn1(3)}, daruma.KindConflict, "waits for run_refund/1/3"},
		"a sub-run twice":                {calling + "\nstarted 2", daruma.KindChild, daruma.ChildStarted{Command: turn1(5), Call: 2}, daruma.KindConflict, "waits for run_refund/1/5"},
		"a budget while calls are out":   {calling, daruma.KindBudget, daruma.BudgetMet{Command: turn1(1)}, daruma.KindConflict, "waits for run_refund/1/1"},
		"a budget of another question":   {begun, daruma.KindBudget, daruma.BudgetMet{Command: turn1(9)}, daruma.KindConflict, "waits for run_refund/1/9"},
		"a budget of a parked run":       {budget, daruma.KindBudget, daruma.BudgetMet{Command: turn1(1)}, daruma.KindConflict, "waits for run_refund/1/1"},
		"an undoing of nothing":          {begun, daruma.KindUndo, daruma.Undo{}, daruma.KindConflict, "nothing can be undone"},
		"an undoing while calls are out": {calling, daruma.KindUndo, daruma.Undo{Calls: []daruma.UndoCall{{Tool: "mail"}}}, daruma.KindConflict, "nothing can be undone"},
		"a fork of an undoing":           {undoing, daruma.KindForked, daruma.Forked{Run: "run_refund"}, daruma.KindConflict, "cannot be forked there"},
		"an undoing of an undoing":       {undoing, daruma.KindUndo, daruma.Undo{Calls: []daruma.UndoCall{{Tool: "car"}}}, daruma.KindConflict, "nothing can be undone"},
	} {
		s := played(t, c.story)
		b, err := json.Marshal(c.payload)
		noError(t, err)
		err = s.run.Apply(daruma.Event{Kind: c.kind, Time: s.now, Actor: daruma.ActorShell, Payload: b})
		if daruma.KindOf(err) != c.want || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "run_refund") {
			t.Errorf("%s: %v, want %s, %q", name, err, c.want, c.says)
		}
	}
}

// TestStartsThatDoNotFit refuses the start of a run that could ask nobody.
func TestStartsThatDoNotFit(t *testing.T) {
	for says, st := range map[string]daruma.Started{
		"has no model":             {Agent: "a"},
		"no model m2 to begin":     {Agent: "a", Models: []string{"m1"}, Lowered: &daruma.Lowered{Target: "m2"}},
		"event 2 follows 0":        {},
		"run.checkpoint is no run": {},
	} {
		e := daruma.NewEvent(daruma.KindStarted, "user:ann", st)
		e.Time = epoch
		if strings.HasPrefix(says, "event") {
			e.Seq = 2
		}
		if strings.HasPrefix(says, "run.") {
			e, says = daruma.NewEvent(daruma.KindCheckpoint, daruma.ActorCore, daruma.Checkpoint{}), "cannot come here"
		}
		if err := daruma.NewRun("r", "acme").Apply(e); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
	events, commands := daruma.NewRun("r", "acme").Next()
	if len(events)+len(commands) > 0 {
		t.Errorf("a run that has not begun decides %v and wants %v", events, commands)
	}
}

// TestCheckpointsThatDoNotFit reads checkpoints that are damaged, of another
// place, or of a run that is not between two turns: none is believed.
func TestCheckpointsThatDoNotFit(t *testing.T) {
	good := *kindOf(t, playGolden(t, goldenRuns["reflect"]), daruma.KindCheckpoint)
	state := func() map[string]any {
		var c struct{ State map[string]any }
		noError(t, json.Unmarshal(good.Payload, &c))
		return c.State
	}
	fold := func(e daruma.Event) error {
		_, err := daruma.Fold("run_refund", "acme", []daruma.Event{e})
		return err
	}
	with := func(s map[string]any) daruma.Event {
		e := good
		e.Payload = payload(map[string]any{"version": daruma.FoldVersion, "state": s})
		return e
	}
	noError(t, fold(with(state())))
	at := epoch.Format(time.RFC3339)
	for field, value := range map[string]any{
		"turn": 1, "n": 0, "model": map[string]any{"n": 0}, "reply": map[string]any{"command": "c"}, "calls": []any{map[string]any{"id": "c"}},
		"open": []any{map[string]any{"type": "loop"}}, "approve": []any{map[string]any{"id": "a"}}, "refused": []any{map[string]any{"topic": "t"}},
		"contradicted": []any{map[string]any{"key": "k"}}, "park": map[string]any{"reason": "r"}, "asked": map[string]any{"reason": "r"},
		"cancel": map[string]any{"topic": "cancel", "time": at}, "ending": map[string]any{"state": "failed"}, "end": map[string]any{"state": "failed"},
		"undo": map[string]any{"calls": nil, "end": map[string]any{"state": "failed"}}, "head": 1, "start": map[string]any{"agent": "a"},
		"usage": "none",
	} {
		s := state()
		s[field] = value
		if err := fold(with(s)); daruma.KindOf(err) != daruma.KindCorrupt {
			t.Errorf("%s is %v: %v", field, value, err)
		}
	}
	for _, model := range []map[string]any{{"n": 1, "target": -1}, {"n": 1, "target": 2}, {"n": 1, "failure": map[string]any{"kind": "down"}}} {
		s := state()
		s["model"] = model
		if err := fold(with(s)); daruma.KindOf(err) != daruma.KindCorrupt {
			t.Errorf("the model is %v: %v", model, err)
		}
	}
	torn := good
	torn.Payload = good.Payload[:len(good.Payload)/2]
	if err := fold(torn); daruma.KindOf(err) != daruma.KindCorrupt {
		t.Errorf("half a checkpoint: %v", err)
	}
}

// TestCheckpointClock: a checkpoint from before the last event does not set the
// clock of the run back, and one from after it counts as time of the run.
func TestCheckpointClock(t *testing.T) {
	c := playGolden(t, goldenRuns["reflect"])
	e := *kindOf(t, c, daruma.KindCheckpoint)
	active := func(moved time.Duration) time.Duration {
		e := e
		e.Time = e.Time.Add(moved)
		r, err := daruma.Fold("run_refund", "acme", []daruma.Event{e})
		noError(t, err)
		return r.Active()
	}
	if before, now, after := active(-time.Hour), active(0), active(time.Minute); before > now || after-now != time.Minute {
		t.Errorf("active for %s, %s with a clock set back, %s a minute later", now, before, after)
	}
}

// TestPostsAfterTheEnd change nothing, and nothing is said of them.
func TestPostsAfterTheEnd(t *testing.T) {
	s := played(t, "start\nreply say done")
	s.receive(daruma.Post{Topic: daruma.TopicCancel, Key: "1", By: "user:bob"})
	s.receive(daruma.Post{Topic: daruma.TopicAnswer, Key: "2", By: "user:bob", Payload: []byte(`"x"`)})
	if events, commands := s.run.Next(); len(events)+len(commands) > 0 || s.run.State() != daruma.Completed {
		t.Errorf("the run is %s, decides %v and wants %v", s.run.State(), events, commands)
	}
}
