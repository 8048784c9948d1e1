package daruma

import (
	"fmt"
	"slices"
	"strings"
)

// TopicResult is the topic of posts that say from outside what became of one
// call: a webhook of the other side, a clerk who has looked. Key: free, best
// the call's key and the outcome; payload: [Settlement].
const TopicResult = "result"

// Settlement is the late result of one call, bound to that call by its
// idempotency key.
//
// It counts while the call is in doubt, whether it is being verified, waits to
// be asked about again or waits for a human. While the call is still in flight
// it is kept, and counts if the call itself brings no certainty. Once the call
// is settled it is refused, visibly; if it contradicts what was settled, a
// signal asks a human who is right.
type Settlement struct {
	Key     string  `json:"key"`            // of the call: [EffectRecord].Key
	Outcome Outcome `json:"outcome"`        // Succeeded; Failed: it ran and had no effect; Absent: it never ran, and is called again
	Text    string  `json:"text,omitempty"` // the result, or why it failed
}

// late is a settlement that waits for its call to come back.
type late struct {
	Settlement
	By Actor `json:"by"`
}

// contradiction is a settlement that says the opposite of what was settled.
type contradiction struct {
	Key   string `json:"key"`
	Says  late   `json:"says"`
	Asked bool   `json:"asked,omitempty"` // the signal has been raised
}

// settled takes a settlement in and says why it counts for nothing, "" where
// it counts.
func (r *Run) settled(p Post, st Settlement) (refused string) {
	if st.Outcome == Doubtful {
		return "outcome " + st.Outcome.String() + " settles nothing; accepted: success, failure, absent"
	}
	i := r.effectKeyed(st.Key)
	if i < 0 {
		return "no call with an effect has the key " + excerpt(st.Key, 100)
	}
	e := &r.s.Effects[i]
	says := late{st, p.By}
	c := r.stepOfEffect(e)
	switch {
	case e.State.Settled():
		text := fmt.Sprintf("call %s of %s was settled before as %s", e.Step, e.Tool, e.State)
		if (e.State == EffectFailed) == (st.Outcome != Succeeded) {
			return text
		}
		r.s.Contra = append(slices.Clone(r.s.Contra), contradiction{Key: e.Key, Says: says})
		return text + "; this contradicts it"
	case e.State == EffectPending && c != nil && c.Phase != callChild:
		if c.Late != nil {
			return fmt.Sprintf("call %s of %s is in flight, and %s has said before what became of it", e.Step, e.Tool, c.Late.By)
		}
		c.Late = &says
	case c == nil || c.Phase == callDone: // given up by a human: for the record
		r.effectIs(i, effectOf(st.Outcome))
		if e = &r.s.Effects[i]; e.State == EffectConfirmed && r.undoable(e.Tool) {
			e.Text = st.Text
		}
	default:
		r.resolve(e.Call, says)
	}
	return ""
}

func effectOf(o Outcome) EffectState {
	if o == Succeeded {
		return EffectConfirmed
	}
	return EffectFailed
}

// stepOfEffect returns the call of this turn that a record is about, nil where
// its turn is over or another tool has taken its place.
func (r *Run) stepOfEffect(e *EffectRecord) *callStep {
	if e.Turn != r.s.Turn || e.Call < 0 || e.Call >= len(r.s.Calls) || r.s.Calls[e.Call].Tool != e.Tool {
		return nil
	}
	return &r.s.Calls[e.Call]
}

// resolve settles a call of this turn that is in doubt, with everything that
// was under way to find out.
func (r *Run) resolve(i int, says late) {
	s := &r.s
	c := &s.Calls[i]
	subject := CallSubject(i)
	s.Open = slices.DeleteFunc(slices.Clone(s.Open), func(sig Signal) bool { return sig.Subject == subject })
	if s.Park != nil && s.Park.Subject == subject && s.Park.Reason == ParkQuestion {
		s.Park = nil
	}
	c.Late, c.Ask, c.Share, c.Text, c.Failed = nil, nil, nil, "", false
	c.Result = &ToolReplied{Command: r.command(c.N), Call: i, Tool: c.Tool, Outcome: says.Outcome, Text: says.Text}
	switch says.Outcome {
	case Succeeded:
		r.known(i, EffectConfirmed)
		r.done(i)
		r.met(c.Tool)
		r.meant(c.Tool, c.canonical())
		s.Failed = nil
		r.caught(subject)
	case Absent:
		r.absent(i)
		c.Phase, c.N, c.Result = callProposed, r.number(), nil
		c.Attempt++
	default:
		r.absent(i)
		c.Phase = callFailed
		if c.Result.Text == "" {
			c.Result.Text = "failed without effect, says " + string(says.By)
		}
	}
}

// inDoubt makes a call one whose outcome is unknown, unless somebody has said
// already what became of it.
func (r *Run) inDoubt(i int, result *ToolReplied) {
	c := &r.s.Calls[i]
	c.Phase, c.Result = callDoubt, result
	r.known(i, EffectUnknown)
	if c.Late != nil {
		r.resolve(i, *c.Late)
	}
}

// checkLate compares what a call itself has brought with what was said of it.
func (r *Run) checkLate(i int) {
	c := &r.s.Calls[i]
	if c.Late == nil {
		return
	}
	says := *c.Late
	c.Late = nil
	if at := r.effectAt(i); at >= 0 && (r.s.Effects[at].State == EffectFailed) != (says.Outcome != Succeeded) {
		r.s.Contra = append(slices.Clone(r.s.Contra), contradiction{Key: r.s.Effects[at].Key, Says: says})
	}
}

// effectSubject is the subject of signals about an effect whose call is over.
func effectSubject(key string) string { return "effect:" + key }

// effectSubjectOf is the reverse.
func (r *Run) effectSubjectOf(subject string) (int, bool) {
	key, ok := strings.CutPrefix(subject, "effect:")
	if !ok {
		return 0, false
	}
	i := r.effectKeyed(key)
	return i, i >= 0
}

// contradictions raises one signal at a time for each contradiction, when
// nothing is under way that a question would interrupt.
func (r *Run) contradictions() []Event {
	s := &r.s
	if len(s.Contra) == 0 || s.Contra[0].Asked || s.Asked != nil || len(s.Open) > 0 || s.Reply != nil && (!r.allDone() || r.judging() != "") {
		return nil
	}
	x := s.Contra[0]
	e := s.Effects[r.effectKeyed(x.Key)]
	sig := Signal{Type: Contradiction, Severity: Critical, Subject: effectSubject(x.Key), Detector: "settle/1", Evidence: []string{e.Step},
		Cause: CausePermanent, Message: fmt.Sprintf("%s was settled as %s, and %s says %s%s", e.Tool, e.State, x.Says.By, x.Says.Outcome, because(excerpt(x.Says.Text, 200)))}
	return []Event{NewEvent(KindSignal, ActorCore, sig)}
}

// contradictionAsked notes that the signal of a contradiction has been raised.
func (r *Run) contradictionAsked(subject string) {
	if len(r.s.Contra) > 0 && effectSubject(r.s.Contra[0].Key) == subject {
		r.s.Contra = slices.Clone(r.s.Contra)
		r.s.Contra[0].Asked = true
	}
}

// judgedEffect is the word of a human on a contradiction: it is what counts,
// and the model is told where that changes what it knows.
func (r *Run) judgedEffect(i int, a Answer, by Actor) {
	s := &r.s
	s.Contra = slices.Clone(s.Contra[1:])
	s.Effects = slices.Clone(s.Effects)
	e := &s.Effects[i]
	before := e.State
	e.Doubted = false
	switch {
	case a.Choice == AnswerAbsent:
		e.State = EffectFailed
	case e.State != EffectUndone:
		e.State, e.Done = EffectConfirmed, s.Head
	}
	if e.State == before {
		return
	}
	text := "Note from the runtime: the call of " + e.Tool + " in step " + e.Step + " did happen after all."
	if e.State == EffectFailed {
		text = "Note from the runtime: the call of " + e.Tool + " in step " + e.Step + " did not happen after all."
	}
	text += " " + string(by) + " has checked" + because(a.Text) + "."
	if s.Reply != nil {
		s.Notes = append(slices.Clone(s.Notes), text)
		return
	}
	s.Messages = append(s.Messages[:len(s.Messages):len(s.Messages)], Message{Role: RoleUser, Text: text, Note: true})
	r.afresh()
}

// elsewhere reports whether the run only waits for somebody else's work to be
// over, which is not its own time.
func (r *Run) elsewhere() bool {
	for i := range r.s.Calls {
		if p := r.s.Calls[i].Phase; p == callReconciling || p == callChild {
			return r.waiting()
		}
	}
	return false
}

// processing says which call is in doubt and will be asked about again, for
// people; "" where none is.
func (r *Run) processing() string {
	if r.s.Park != nil {
		return ""
	}
	for i := range r.s.Calls {
		if c := &r.s.Calls[i]; c.Phase == callReconciling {
			return "processing: it is not known yet whether " + c.Tool + " happened; asked again at " + timeText(c.Until)
		}
	}
	return ""
}
