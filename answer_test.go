package daruma_test

import (
	"testing"
	"time"

	"github.com/daruma-run/daruma"
)

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
