package daruma

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// edge is one limit and how much of it is used.
type edge struct {
	reason string
	used   float64
	limit  float64
}

func (r *Run) edges() [4]edge {
	s, l := &r.s, r.s.Start.Limits
	money := float64(l.Money)
	if l.Money == 0 {
		money = math.Inf(1)
	}
	return [...]edge{
		{ParkSteps, float64(s.Steps), float64(l.Steps)},
		{ParkTime, float64(s.Active), float64(l.Time)},
		{ParkTokens, float64(s.Usage.Total()), float64(l.Tokens)},
		{ParkMoney, float64(s.Cost), money},
	}
}

// edgeText says how much of a limit is used: "8 of 10 steps".
func (r *Run) edgeText(reason string) string {
	s, l := &r.s, r.s.Start.Limits
	round := func(d Duration) time.Duration { return time.Duration(d).Round(time.Millisecond) }
	switch reason {
	case ParkSteps:
		return fmt.Sprintf("%d of %d steps", s.Steps, l.Steps)
	case ParkTime:
		return fmt.Sprintf("%s of %s", round(s.Active), round(l.Time))
	case ParkTokens:
		return fmt.Sprintf("%d of %d tokens", s.Usage.Total(), l.Tokens)
	}
	return fmt.Sprintf("%s of %s", s.Cost, l.Money)
}

// hardEdge parks the run at a limit that is used up, or too close for the steps
// that come next.
func (r *Run) hardEdge(steps int) []Event {
	for _, e := range r.edges() {
		if e.used < e.limit && (e.reason != ParkSteps || e.used+float64(steps) <= e.limit) {
			continue
		}
		sig := Signal{Type: ResourceExhausted, Severity: Critical, Subject: SubjectRun, Detector: "limits/1",
			Cause: CauseResource, Kind: KindExhausted, Path: e.reason, Message: "limit reached: " + r.edgeText(e.reason)}
		move := Move{Remedy: Park, Signal: sig.Type, Subject: sig.Subject, Try: 1, Why: sig.Message}
		return []Event{
			NewEvent(KindSignal, ActorCore, sig),
			NewEvent(KindMove, ActorCore, move),
			r.park(Parked{Reason: e.reason, Text: sig.Message, Subject: SubjectRun,
				Signal: sig.Type, Limit: r.edgeText(e.reason), Options: []string{AnswerSkip, AnswerAbort}}, 2),
		}
	}
	return nil
}

// softEdge tells the agent once per limit to wrap up.
func (r *Run) softEdge() []Event {
	soft := r.s.Start.Limits.Soft
	if soft >= 1 {
		return nil
	}
	for _, e := range r.edges() {
		// One more turn takes two steps at least: after it, it would be too late.
		late := e.reason == ParkSteps && e.used > 0 && e.limit-e.used <= 2
		if e.used < soft*e.limit && !late || r.s.Soft[e.reason] {
			continue
		}
		sig := Signal{Type: ResourceExhausted, Severity: Warning, Recoverable: true, Subject: SubjectRun, Detector: "limits/1",
			Cause: CauseResource, Path: e.reason, Message: "close to a limit: " + r.edgeText(e.reason)}
		move := Move{Remedy: WrapUp, Signal: sig.Type, Subject: sig.Subject, Try: 1}
		r.complete(&move, sig)
		return []Event{NewEvent(KindSignal, ActorCore, sig), NewEvent(KindMove, ActorCore, move)}
	}
	return nil
}

// parkClaims stops a run that seems to kill every process that takes it.
func (r *Run) parkClaims() []Event {
	text := fmt.Sprintf("claimed %d times without getting on: it seems to end the process that works on it", r.s.Claims)
	sig := Signal{Type: MaxRetriesExceeded, Severity: Error, Subject: SubjectRun, Detector: "limits/1", Message: text}
	return []Event{
		NewEvent(KindSignal, ActorCore, sig),
		NewEvent(KindMove, ActorCore, Move{Remedy: Park, Signal: sig.Type, Subject: SubjectRun, Try: 1, Why: text}),
		r.park(Parked{Reason: ParkClaims, Text: text, Subject: SubjectRun, Signal: sig.Type,
			Options: []string{AnswerRetry, AnswerAbort}}, 2),
	}
}

// finish ends the run, with what is missing and how much of the service it got.
func (r *Run) finish(f Finished) []Event {
	s := &r.s
	f.Level = s.Level
	if f.State == Degraded {
		f.Level = max(f.Level, Partial)
	}
	f.Missing = append(f.Missing, s.Missing...)
	if len(s.Missing) > 0 {
		f.Level = max(f.Level, Partial)
	}
	if f.State == Degraded && f.Answer == "" && f.Ref.IsZero() {
		f.Answer, f.Level = r.partial()
	}
	if f.State == Degraded && f.Text == "" {
		f.Text = "missing: " + strings.Join(f.Missing, "; ")
	}
	return []Event{NewEvent(KindFinished, ActorCore, f)}
}

// partial is the answer of a run that could not be finished: what was done,
// and what is missing, in words nobody can take for a full answer.
func (r *Run) partial() (string, Level) {
	var b strings.Builder
	b.WriteString("This answer is incomplete.")
	level := Static
	if last := r.lastText(); last != "" {
		level = Partial
		b.WriteString("\nSo far: " + last)
	}
	if done := r.doneCalls(); len(done) > 0 {
		level = Partial
		b.WriteString("\nDone: " + strings.Join(done, "; "))
	}
	b.WriteString("\nMissing: " + strings.Join(r.s.Missing, "; "))
	return b.String(), level
}

// lastText returns the last thing the model said in words.
func (r *Run) lastText() string {
	for i := len(r.s.Messages) - 1; i >= 0; i-- {
		if m := r.s.Messages[i]; m.Role == RoleAssistant && m.Text != "" {
			return excerpt(m.Text, 500)
		}
	}
	return ""
}

// doneCalls lists the calls that gave a result, with the beginning of it.
func (r *Run) doneCalls() []string {
	var done []string
	names := map[string]string{}
	for _, m := range r.s.Messages {
		for _, c := range m.Calls {
			names[c.ID] = c.Name
		}
		if m.Role == RoleTool && !m.Error {
			done = append(done, names[m.CallID]+" → "+excerpt(m.Text, 160))
		}
	}
	for i := range r.s.Calls {
		if c := &r.s.Calls[i]; c.Phase == callDone && !c.Failed {
			done = append(done, c.Name+" → "+excerpt(c.message().Text, 160))
		}
	}
	return done
}

// cancelled ends a run because somebody asked, and names what is in doubt.
func (r *Run) cancelled() Finished {
	var reason Reason
	folded(Event{Payload: r.s.Cancel.Payload}, func(p Reason) error { reason = p; return nil }) // without a reason: cancelled all the same
	f := Finished{State: Cancelled, Text: "cancelled by " + string(r.s.Cancel.By) + because(reason.Text)}
	for _, e := range r.s.Effects {
		if e.State == EffectUnknown { // while it waits to be sent again, too
			f.Missing = append(f.Missing, fmt.Sprintf("%s: its outcome is unknown (key %s)", e.Tool, e.Key))
		}
	}
	return f
}
