package daruma

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// raise turns typed facts of the run into signals: a failed model call, a
// failed or doubtful tool call, an action proposed again after it failed.
func (r *Run) raise() []Event {
	s := &r.s
	var events []Event
	add := func(sig Signal) {
		sig.Severity, sig.Recoverable = sig.Type.Severity(), sig.Type.Recoverable()
		sig.Message = excerpt(sig.Message, MaxSignalText)
		if slices.ContainsFunc(s.Open, func(o Signal) bool { return o.Subject == sig.Subject }) {
			return
		}
		events = append(events, NewEvent(KindSignal, ActorCore, sig))
	}
	if f := s.Model.Failure; f != nil && s.Asked == nil {
		add(Signal{Type: modelSignal(f.Kind), Subject: SubjectModel, Detector: "model/1", Kind: f.Kind, Cause: f.Kind.Cause(),
			RetryAfter: f.RetryAfter, Evidence: []string{f.Command.Step()}, Message: f.Target + ": " + f.Text})
	}
	for i := range s.Calls {
		c := &s.Calls[i]
		if c.Phase != callFailed && c.Phase != callDoubt {
			continue
		}
		sig := Signal{Type: UnknownOutcome, Subject: CallSubject(i), Detector: "tool/1", Kind: c.Result.Kind, Cause: CauseUnknown,
			Evidence: []string{c.Result.Command.Step()}, Message: c.Tool + ": " + c.Result.Text}
		if c.Phase == callFailed {
			sig.Type, sig.Cause = toolSignal(c.Result.Kind), c.Result.Kind.Cause()
			sig.RetryAfter, sig.Path = c.Result.Retry, c.Result.Path
		}
		add(sig)
	}
	if len(s.Failed) > 0 && s.Reply != nil && s.Judged == JudgeReply && !s.Closed && !r.begun() && len(events) == 0 && len(s.Open) == 0 && s.Asked == nil {
		for i := range s.Calls {
			c := &s.Calls[i]
			t, failed := s.Failed[action(c.Name, c.Args)]
			if failed && c.Phase == callProposed && c.Attempt == 1 && len(c.Tried) == 0 && !c.Approved {
				add(Signal{Type: t, Subject: SubjectReply, Detector: "again/1", Evidence: []string{r.step(c.N)}, Cause: CausePermanent,
					Message: c.Name + " was proposed again with the arguments that failed"})
			}
		}
	}
	return events
}

// modelSignal says which signal a failed model call is.
func modelSignal(k Kind) SignalType {
	switch k {
	case KindRateLimited:
		return RateLimited
	case KindTimeout:
		return TimeoutSignal
	case KindRefused:
		return Refusal
	case KindBroken:
		return OutputTruncated
	}
	return ProviderUnavailable
}

// toolSignal says which signal a failed tool call is.
func toolSignal(k Kind) SignalType {
	switch k {
	case KindRateLimited:
		return RateLimited
	case KindTimeout:
		return TimeoutSignal
	case KindDenied:
		return PolicyDenied
	case KindExhausted:
		return ResourceExhausted
	}
	return ToolFailed
}

// climb makes the move for the worst open signal.
func (r *Run) climb() []Event {
	sig := slices.MaxFunc(r.s.Open, func(a, b Signal) int { return cmp.Compare(a.Severity, b.Severity) })
	h := History{Signal: sig, Can: r.can(sig), Seed: r.s.Start.Nonce + r.step(r.s.N)}
	fall := r.fallOf(sig.Subject, sig.Type)
	if fall != nil {
		h.Tried = fall.Moves
	}
	move := r.s.Start.ladder().Next(h)
	if r.s.Undo != nil && move.Remedy.Ends() {
		move.Remedy, move.Compensate = Escalate, false // what is half undone is never left without a word
	}
	if i, isCall := callOf(sig.Subject); isCall && i < len(r.s.Calls) && move.Remedy == SwitchModel {
		move.Subject = SubjectReply // another model answers in the place of this reply
	}
	r.complete(&move, sig)
	return []Event{NewEvent(KindMove, ActorCore, move)}
}

// can says which remedies are possible for a signal now.
func (r *Run) can(sig Signal) RemedySet {
	s := &r.s
	can := Of(Abort, Escalate)
	l := s.Start.Limits
	total := 0
	for _, n := range s.Thought {
		total += n
	}
	think := total < l.Reflections && s.Thought[sig.Type] < l.ReflectionsPerSignal
	other := r.otherModel() != ""
	allow := func(remedy Remedy, if_ bool) {
		if if_ {
			can |= Of(remedy)
		}
	}
	if i, ok := callOf(sig.Subject); ok && i < len(s.Calls) {
		c := &s.Calls[i]
		spec, _ := r.spec(c.Tool)
		doubt, done := c.Phase == callDoubt, c.Phase == callDone
		if doubt && spec.Effect == Unsafe && spec.OnDoubt == DoubtAbort {
			return Of(Abort)
		}
		if doubt && c.Result.Replayed {
			return can // the key of the origin is not known here: neither asked nor sent again
		}
		allow(Retry, !doubt && !done && retryable(sig.Kind) && spec.Agent == "" || doubt && (spec.Effect.Repeatable() || spec.OnDoubt == DoubtRetry))
		allow(Verify, doubt && spec.Verify && spec.OnDoubt == DoubtVerify)
		if s.Undo != nil {
			return can
		}
		allow(SwitchTool, !doubt && !done && !r.unknown(i) && sig.Kind != KindDenied && r.alternative(c, spec) != "")
		allow(Repair, c.Phase == callProposed && sig.Fix != "" && canonicalArgs(sig.Fix) != c.canonical())
		allow(Reflect, !doubt && think)
		allow(SwitchModel, c.Phase == callProposed && other && !r.begun()) // what is wrong is the model's
		allow(Degrade, !doubt)
		return can
	}
	if _, ok := r.effectSubjectOf(sig.Subject); ok {
		return can // a human must say who is right
	}
	if s.Undo != nil && sig.Subject == SubjectReply {
		return can // what undoes the run is not a model's
	}
	switch sig.Subject {
	case SubjectModel:
		allow(Retry, retryable(sig.Kind))
		allow(Compact, sig.Kind == KindOverflow && len(r.overflowCuts()) > 0)
		allow(SwitchModel, other && sig.Kind != KindInvalid)
		allow(Degrade, true)
	case SubjectReply:
		allow(Retry, !r.begun())
		allow(Reflect, think)
		allow(SwitchModel, other)
		allow(Degrade, true)
	default:
		allow(Reflect, think)
		allow(SwitchModel, other)
		allow(WrapUp, sig.Type == ResourceExhausted && sig.Severity == Warning)
		allow(Park, sig.Severity == Critical || sig.Type == MaxRetriesExceeded)
		allow(Degrade, s.Reply != nil)
	}
	return can
}

// retryable reports whether the same request could fare better.
func retryable(k Kind) bool {
	switch k.Cause() {
	case CausePermanent, CauseConfiguration:
		return false
	}
	return true
}

// otherModel returns the next target not tried in this turn, "" for none. What
// was too large for one is not sent to another that is known to hold no more.
func (r *Run) otherModel() string {
	overflow := r.s.Model.Failure != nil && r.s.Model.Failure.Kind == KindOverflow
	for i, name := range r.s.Start.Models {
		if i != r.s.Model.Target && !slices.Contains(r.s.Model.Tried, i) && (!overflow || r.roomier(name)) {
			return name
		}
	}
	return ""
}

// alternative returns the best tool that may stand in for a failed one, ""
// for none: see [StandIns].
func (r *Run) alternative(c *callStep, spec ToolSpec) string {
	for _, name := range StandIns(r.s.Start.Tools, spec.Name) {
		if name != c.Tool && !slices.Contains(c.Tried, name) {
			return name
		}
	}
	return ""
}

// complete fills in what the ladder does not know: targets and texts.
func (r *Run) complete(m *Move, sig Signal) {
	s := &r.s
	what := sig.Message
	m.Why = fmt.Sprintf("%s: %s", sig.Type, what)
	i, isCall := callOf(sig.Subject)
	isCall = isCall && i < len(s.Calls)
	switch m.Remedy {
	case SwitchModel:
		m.Target = r.otherModel()
	case SwitchTool:
		spec, _ := r.spec(s.Calls[i].Tool)
		m.Target = r.alternative(&s.Calls[i], spec)
	case Repair:
		m.Args = sig.Fix
	case Compact:
		m.Cuts = r.overflowCuts()
	case Reflect:
		m.Text = r.reflection(sig)
	case WrapUp:
		m.Target, m.Text = sig.Path, "Note from the runtime: "+what+". Finish now: give your final answer with what you have, and say what is missing."
	case Degrade:
		m.Missing = excerpt(cmp.Or(what, sig.Type.String()), 300)
		if isCall {
			m.Missing, m.Near = s.Calls[i].missing(what), sig.Near
			m.Text = "Not available (" + sig.Type.String() + "). Go on without it, do not try it again, and say in your answer what is missing."
			if sig.Type == PolicyDenied {
				m.Text = "Denied: " + strings.TrimPrefix(excerpt(what, 300), s.Calls[i].Tool+": ") + ". It was not done. Go on without it and say so in your answer."
			}
		}
	}
}

// needsApproval reports whether a human must say yes to a call first.
func (r *Run) needsApproval(c *callStep, spec ToolSpec) bool {
	if c.Approved {
		return false
	}
	_, repeat := r.repeated(c, spec)
	return c.Gate || spec.Approve || spec.Danger() >= r.s.Start.Limits.Approve || r.forkAsks(spec) || repeat == RepeatAsk
}

// forkAsks reports whether a call needs a yes because this run is a fork. What
// the sub-runs of its origin wrote is not on its record, so that a sub-run is
// asked about whatever the fork was allowed.
func (r *Run) forkAsks(spec ToolSpec) bool {
	return r.s.Fork != nil && spec.Name != "" && spec.Effect != Read && (!r.s.Fork.Allow || spec.Agent != "")
}

// approval mints the question about a call, bound to exactly what it would do.
func (r *Run) approval(i int, spec ToolSpec) Approval {
	c := &r.s.Calls[i]
	a := Approval{Run: r.id, Call: i, Tool: c.Tool, Args: c.canonical(), Risk: spec.Danger(),
		Expires: r.after(r.s.Start.Limits.ApprovalTime)}
	a.ID = fmt.Sprintf("%s.%d.%d", r.suffix(), r.s.Turn, c.N)
	a.Why = fmt.Sprintf("risk %s, effect %s", a.Risk, spec.Effect)
	if r.forkAsks(spec) {
		a.Why += ", not written by the run it was forked from"
	}
	if before, repeat := r.repeated(c, spec); repeat != RepeatAllow {
		a.Why += whyAgain(before)
	}
	var b []byte
	for _, part := range []string{strconv.Itoa(CanonicalVersion), string(r.tenant), string(r.id), r.step(c.N), a.Tool, a.Args} {
		b = appendSized(b, part)
	}
	a.Hash = DigestOf(b)
	return a
}

const (
	// suffixLength is how much of the id of a run, in characters of five random
	// bits, tells approvals of a tenant apart: with six, two of a few thousand runs
	// met.
	suffixLength = 12
	// suffixWhole is how long an id may be that was not drawn, and stands in ids
	// for people as it is: the ends of such ids are often the same.
	suffixWhole = 40
)

// suffix is the part of the run's id with which ids for people begin, another
// for each run: of an id that was drawn the end, and where it leads down to a
// sub-run.
func (r *Run) suffix() string {
	id, drawn := strings.CutPrefix(string(r.id), "run_")
	root, way, below := strings.Cut(id, ".")
	switch {
	case drawn && below:
		return root[max(0, len(root)-suffixLength):] + "." + way
	case drawn:
		return id[max(0, len(id)-suffixLength):]
	case len(id) > suffixWhole:
		return DigestOf([]byte(id)).String()[:suffixLength+4] // four bits each
	}
	return id
}

func (r *Run) approvalText() string {
	var parts []string
	for _, a := range r.s.Approve {
		parts = append(parts, fmt.Sprintf("%s(%s) [%s]", a.Tool, excerpt(a.Args, 120), a.ID))
	}
	return "needs approval: " + strings.Join(parts, "; ")
}
