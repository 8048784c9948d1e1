package daruma

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// CallSubject is the subject of signals about the i-th call of a turn.
func CallSubject(i int) string { return "call:" + strconv.Itoa(i) }

// callOf is the reverse of CallSubject.
func callOf(subject string) (int, bool) {
	digits, ok := strings.CutPrefix(subject, "call:")
	i, err := strconv.Atoi(digits)
	return i, ok && err == nil && i >= 0
}

// applyMove carries out what the ladder decided, as far as it is a matter of
// state. A move answers every open signal of its subject; one about the reply
// answers those about its calls too, for none of them will be made.
func (r *Run) applyMove(m Move) error {
	s := &r.s
	if m.Remedy == SwitchModel && !slices.Contains(s.Start.Models, m.Target) {
		return Fail("", KindConflict, "the run has no model %s", m.Target)
	}
	if m.Subject == SubjectReply && s.Reply == nil {
		return Fail("", KindConflict, "there is no reply to move on from")
	}
	if m.Subject == SubjectReply && s.Undo != nil && (m.Remedy == Retry || m.Remedy == SwitchModel) {
		return Fail("", KindConflict, "what undoes the run is not asked of a model again")
	}
	answers := func(sig Signal) bool {
		_, call := callOf(sig.Subject)
		return sig.Subject == m.Subject || call && m.Subject == SubjectReply && !m.Remedy.Ends() && !r.begun()
	}
	for _, sig := range s.Open {
		if !answers(sig) {
			continue
		}
		if f := r.fallOf(sig.Subject, sig.Type); f != nil {
			f.Moves = append(slices.Clone(f.Moves), m)
		}
	}
	s.Open = slices.DeleteFunc(slices.Clone(s.Open), answers)
	switch m.Remedy {
	case Reflect:
		thought := maps.Clone(s.Thought)
		if thought == nil {
			thought = map[SignalType]int{}
		}
		thought[m.Signal]++
		s.Thought = thought
	case SwitchModel:
		s.Level = max(s.Level, OtherModel)
	case SwitchTool:
		s.Level = max(s.Level, OtherTool)
	case Degrade:
		r.lack(m)
	case Compact:
		if err := r.compact(m.Cuts); err != nil {
			return err
		}
	case Abort:
		s.Ending, s.Revert = &Finished{State: Dead, Signal: m.Signal, Text: m.Why}, m.Compensate
		return nil
	}
	if i, ok := callOf(m.Subject); ok && i < len(s.Calls) {
		r.moveCall(i, m)
		return nil
	}
	if m.Remedy == Escalate || m.Remedy == Park { // of a limit, run.parked follows at once, with its own question
		s.Asked = r.question(m)
	}
	switch m.Subject {
	case SubjectModel:
		r.moveModel(m)
	case SubjectReply:
		r.moveReply(m)
	default:
		r.moveRun(m)
	}
	return nil
}

func (r *Run) moveModel(m Move) {
	s := &r.s
	switch m.Remedy {
	case Retry:
		s.Model.Attempt++
		r.again(m)
	case Compact:
		r.again(m)
	case SwitchModel:
		s.Model.Tried = append(slices.Clone(s.Model.Tried), s.Model.Target)
		s.Model.Target = slices.Index(s.Start.Models, m.Target)
		s.Model.Attempt = 1
		r.again(m)
	case Degrade:
		s.Ending = &Finished{State: Degraded, Signal: m.Signal}
	}
}

// again asks the model once more in this turn, after the move's wait.
func (r *Run) again(m Move) {
	s := &r.s
	s.Model.N, s.Model.Failure, s.Model.Until = r.number(), nil, r.after(m.Wait)
}

func (r *Run) after(wait Duration) time.Time {
	if wait <= 0 {
		return time.Time{}
	}
	return r.s.Now.Add(time.Duration(wait))
}

// moveReply answers a bad reply: it is thrown away and asked for again, or
// kept in the conversation with a note and none of its calls made. A reply
// whose calls have begun is never thrown away: they would be made twice.
func (r *Run) moveReply(m Move) {
	s := &r.s
	switch m.Remedy {
	case Retry, SwitchModel:
		if m.Remedy == SwitchModel {
			s.Model.Tried = append(slices.Clone(s.Model.Tried), s.Model.Target)
			s.Model.Target = slices.Index(s.Start.Models, m.Target)
		}
		if r.begun() {
			return // the other model takes the next turn
		}
		r.discard()
		r.again(m)
	case Degrade:
		s.Ending = &Finished{State: Degraded, Signal: m.Signal, Answer: s.Reply.Message.Text, Ref: s.Reply.Message.Ref}
	case Reflect, WrapUp:
		r.close()
		s.Notes = append(slices.Clone(s.Notes), m.Text)
	}
}

// discard throws the reply away; the next one is an attempt of the same step.
func (r *Run) discard() {
	s := &r.s
	s.Reply, s.Calls, s.Notes, s.Judged, s.Judge = nil, nil, nil, "", 0
	s.Open = slices.DeleteFunc(slices.Clone(s.Open), func(sig Signal) bool {
		_, call := callOf(sig.Subject)
		return call || sig.Subject == SubjectReply
	})
	s.Steps--
}

// begun reports whether a call of this turn was made, or may have been.
func (r *Run) begun() bool {
	for i := range r.s.Calls {
		switch c := &r.s.Calls[i]; c.Phase {
		case callIntent, callWaiting, callVerifying, callDoubt, callReconciling, callChild:
			return true
		default:
			if c.Result != nil {
				return true
			}
		}
	}
	return false
}

// notExecuted is what the model is told of a call that was never made.
const notExecuted = "Not executed: see the note that follows."

// close ends the calls of the turn that are not out and not in doubt.
func (r *Run) close() {
	r.s.Closed = true
	for i := range r.s.Calls {
		switch c := &r.s.Calls[i]; c.Phase {
		case callProposed, callGated, callWaiting, callFailed:
			c.Phase, c.Failed, c.Text = callDone, true, notExecuted
		}
	}
}

// moveCall moves one call on. What is done stays done: its result can be
// doubted, thought about and replaced by words, but it is never made again.
func (r *Run) moveCall(i int, m Move) {
	s := &r.s
	c := &s.Calls[i]
	if c.Phase == callDone && m.Remedy != Reflect && m.Remedy != Degrade {
		if m.Remedy == Escalate {
			s.Asked = r.question(m)
		}
		return
	}
	switch m.Remedy {
	case Retry:
		c.Attempt++
		c.N, c.Phase = r.number(), callProposed
		if until := r.after(m.Wait); !until.IsZero() {
			c.Phase, c.Until = callWaiting, until
		}
	case Repair:
		c.Args, c.Canon = m.Args, ""
		if canon := canonicalArgs(c.Args); canon != c.Args {
			c.Canon = canon
		}
		s.Notes = append(slices.Clone(s.Notes), "Note from the runtime: the arguments of "+c.Name+" were mended in shape before the call: they must be strict JSON that fits the schema.")
		r.caught(m.Subject)
	case Verify:
		c.N, c.Phase = r.number(), callVerifying
		if until := r.after(m.Wait); !until.IsZero() {
			c.Phase, c.Until = callReconciling, until
		}
	case SwitchTool:
		c.Tried = append(slices.Clone(c.Tried), c.Tool)
		c.Tool, c.Attempt, c.N, c.Phase, c.Approved, c.Gate = m.Target, 1, r.number(), callProposed, false, false
	case Reflect:
		failed := maps.Clone(s.Failed)
		if failed == nil {
			failed = map[string]SignalType{}
		}
		failed[action(c.Name, c.Args)] = m.Signal
		s.Failed = failed
		c.Failed = true
		if c.Result == nil {
			c.Text = notExecuted
		} else if c.Result.Outcome == Failed && (outage(c.Result.Kind) || r.delegates(c)) {
			s.Unmet = append(slices.Clone(s.Unmet), unmet{c.Name, c.missing(c.Result.Text), s.Turn})
		}
		r.done(i)
		s.Notes = append(slices.Clone(s.Notes), m.Text)
	case Degrade:
		c.Failed, c.Text = true, m.Text
		r.done(i)
		if m.Signal != PolicyDenied && !slices.Contains(s.Withheld, c.Name) {
			s.Withheld = append(slices.Clone(s.Withheld), c.Name)
		}
		r.caught(m.Subject)
	case Escalate:
		c.Ask, c.Phase = r.question(m), callAsked
	}
}

func (r *Run) moveRun(m Move) {
	s := &r.s
	switch m.Remedy {
	case Reflect, WrapUp:
		if s.Reply == nil {
			s.Messages = append(s.Messages[:len(s.Messages):len(s.Messages)], Message{Role: RoleUser, Text: m.Text, Note: true})
		} else {
			s.Notes = append(slices.Clone(s.Notes), m.Text)
		}
		if m.Remedy == WrapUp {
			soft := maps.Clone(s.Soft)
			if soft == nil {
				soft = map[string]bool{}
			}
			soft[m.Target] = true
			s.Soft, s.Met = soft, nil
		}
	case SwitchModel:
		s.Model.Target = slices.Index(s.Start.Models, m.Target)
	case Degrade:
		s.Ending = &Finished{State: Degraded, Signal: m.Signal}
	}
}

// outage reports whether a failure says that the tool does not work, and not
// that the request was wrong: an answer without its result lacks something.
func outage(k Kind) bool {
	switch k.Cause() {
	case CauseTransient, CauseResource, CauseDependency, CauseUnknown:
		return true
	}
	return k == KindUnauthorized || k == KindQuota
}

// missing says what a run goes on without that goes on without this call.
func (c *callStep) missing(why string) string {
	return c.Name + ": " + strings.TrimPrefix(excerpt(why, 300), c.Tool+": ")
}

// met takes the outages off the list that a success of the tool makes up for:
// its own, and those of tools it can stand in for.
func (r *Run) met(tool string) {
	if len(r.s.Unmet) == 0 {
		return
	}
	works, _ := r.spec(tool)
	r.s.Unmet = slices.DeleteFunc(slices.Clone(r.s.Unmet), func(u unmet) bool {
		if u.Turn == r.s.Turn {
			return false // another branch of the same turn does not stand in for it
		}
		failed, _ := r.spec(u.Tool)
		return u.Tool == tool || works.Capability != "" && works.Capability == failed.Capability || slices.Contains(failed.Alternatives, tool)
	})
}

// action names what a call does, for "the failed action again".
func action(tool, args string) string {
	return DigestOf([]byte(tool + "\x00" + canonicalArgs(args))).String()[:16]
}

// fallOf returns the fall that is being recovered from, nil if there is none.
func (r *Run) fallOf(subject string, t SignalType) *Fall {
	for i := len(r.s.Falls) - 1; i >= 0; i-- {
		f := &r.s.Falls[i]
		if f.Over || f.Type != t || f.Subject != subject {
			continue
		}
		if _, ok := callOf(subject); ok && f.Turn != r.s.Turn {
			continue
		}
		return f
	}
	return nil
}

// caught closes the falls of a subject: what was tried last has worked.
func (r *Run) caught(subject string) {
	for i := range r.s.Falls {
		f := &r.s.Falls[i]
		if !f.Over && f.Subject == subject && len(f.Moves) > 0 {
			f.Over, f.Caught = true, true
		}
	}
}

// calm closes the falls that did not come back: made to think again in an
// earlier turn, and in this one nothing of the kind was found. At a good end
// that is all of them.
func (r *Run) calm(end bool) {
	for i := range r.s.Falls {
		f := &r.s.Falls[i]
		by, ok := f.By()
		if f.Over || !ok || by.Ends() || (f.Last >= r.s.Turn && !end) {
			continue
		}
		f.Over, f.Caught = true, !r.cameBack(*f)
	}
}

// cameBack reports whether the same trouble with the same tool came back this turn.
func (r *Run) cameBack(f Fall) bool {
	for _, g := range r.s.Falls {
		if f.Tool != "" && g.Tool == f.Tool && g.Type == f.Type && g.Turn == r.s.Turn && f.Turn < g.Turn {
			return true
		}
	}
	return false
}

// stepOf returns the step a subject is about, and its tool.
func (r *Run) stepOf(subject string) (step, tool string) {
	if i, ok := callOf(subject); ok && i < len(r.s.Calls) {
		return r.step(r.s.Calls[i].N), r.s.Calls[i].Tool
	}
	return r.step(r.s.Model.N), ""
}
