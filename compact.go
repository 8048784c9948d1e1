package daruma

import (
	"cmp"
	"fmt"
	"slices"
	"unicode/utf8"
)

// Compaction is what a run may leave out of its conversation when a model has
// no room for it. The journal keeps everything; only what is sent gets shorter.
// The zero Compaction is [CompactUnset].
type Compaction uint8

// Compactions are stored in journals: append only, never reorder.
const (
	CompactUnset   Compaction = iota // of an agent: CompactResults; of a run: CompactOff, as in runs that began before there was a choice
	CompactOff                       // nothing is left out
	CompactResults                   // results of tools: old ones whole, recent ones their middle
)

var compactionNames = [...]string{"unset", "off", "results"}

// String returns the stored name, such as "results".
func (c Compaction) String() string { return nameOf(compactionNames[:], c) }

// MarshalText writes the stored name.
func (c Compaction) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads a stored name; an unknown one is an error of [KindInvalid].
func (c *Compaction) UnmarshalText(b []byte) error {
	return parseName("compaction", compactionNames[:], b, c)
}

// Cut says how much of the result of a tool is sent to models: its first Head
// and its last Tail bytes, or nothing where both are zero.
type Cut struct {
	Message int   `json:"message,omitzero"` // in a [Move]: its index in [Run.Messages]
	Size    int64 `json:"size"`             // bytes of the whole
	Head    int   `json:"head,omitzero"`
	Tail    int   `json:"tail,omitzero"`
}

// Apply returns what is sent of the whole text: head and tail, with a mark
// between them that says how much is missing. A cut that leaves nothing, or
// leaves nothing out, returns the text.
func (c Cut) Apply(text string) string {
	if c.Head < 0 || c.Tail < 0 || c.Head == 0 && c.Tail == 0 || c.Head >= len(text) || c.Tail >= len(text)-c.Head {
		return text
	}
	head, tail := c.Head, len(text)-c.Tail
	for head > 0 && !utf8.RuneStart(text[head]) {
		head--
	}
	for tail < len(text) && !utf8.RuneStart(text[tail]) {
		tail++
	}
	return text[:head] + cutMark(tail-head) + text[tail:]
}

func cutMark(n int) string { return fmt.Sprintf("[… %d bytes left out …]", n) }

// How a conversation is made to fit.
const (
	keepTurns   = 2   // results of the last turns stay as long as older ones do
	softWindow  = 0.8 // share of a window at which old results are left out
	roomyWindow = 0.6 // share of a window that is aimed at
	leastCut    = 16  // bytes that a cut keeps at least
	perToken    = 4   // bytes
)

// measured is a conversation whose tokens a model has counted.
type measured struct {
	Tokens int64 `json:"tokens"`
	Bytes  int64 `json:"bytes"` // of the messages it was sent
}

// compacts reports whether the run may leave results out.
func (r *Run) compacts() bool { return r.s.Start.Compact == CompactResults }

// window returns the context window of the model that is to be called, in
// tokens; 0 where it is not known.
func (r *Run) window() int64 { return r.s.Start.Windows[r.target()] }

// measure notes what the last conversation came to, by the model's own count.
func (r *Run) measure(u Usage) {
	if r.compacts() && len(r.s.Start.Windows) > 0 && u.Input > 0 {
		r.s.Measured = &measured{u.Input, r.bytes()}
	}
}

// bytes is the size of the conversation.
func (r *Run) bytes() int64 {
	var n int64
	for i := range r.s.Messages {
		n += r.s.Messages[i].bytes()
	}
	return n
}

// bytes is about what a message takes in a request.
func (m *Message) bytes() int64 {
	n := m.textBytes() + 16
	for _, c := range m.Calls {
		n += int64(len(c.Name) + len(c.Arguments))
	}
	if m.Native != nil {
		n += int64(len(m.Native.Content))
		if !m.Native.Ref.IsZero() {
			n += MaxInline
		}
	}
	return n
}

func (m *Message) textBytes() int64 {
	switch {
	case m.Ref.IsZero():
		return int64(len(m.Text))
	case m.Cut != nil:
		return int64(m.Cut.Head + m.Cut.Tail)
	}
	return cmp.Or(m.Size, MaxInline)
}

// tokens estimates what the conversation comes to now: what the last reply's
// usage said of it, and four bytes a token for what came or went since.
func (r *Run) tokens() int64 {
	now := r.bytes()
	if m := r.s.Measured; m != nil {
		return max(m.Tokens+(now-m.Bytes)/perToken, 1)
	}
	return now / perToken
}

// nearWindow leaves old results out before a call that would come close to the
// model's window.
func (r *Run) nearWindow() []Event {
	window := r.window()
	if window <= 0 || !r.compacts() {
		return nil
	}
	tokens := r.tokens()
	if float64(tokens) < softWindow*float64(window) {
		return nil
	}
	cuts := r.cuts(tokens, int64(roomyWindow*float64(window)), tokens >= window)
	if len(cuts) == 0 {
		return nil
	}
	sig := Signal{Type: ResourceExhausted, Severity: Warning, Recoverable: true, Subject: SubjectModel, Detector: "window/1", Cause: CauseResource,
		Path: "window", Message: fmt.Sprintf("close to the context window of %s: about %d of %d tokens", r.target(), tokens, window)}
	move := Move{Remedy: Compact, Signal: sig.Type, Subject: sig.Subject, Try: 1, Why: sig.Message, Cuts: cuts}
	return []Event{NewEvent(KindSignal, ActorCore, sig), NewEvent(KindMove, ActorCore, move)}
}

// overflowCuts are those after a call that was too large: down to what the
// window is known to hold, and in any case to half.
func (r *Run) overflowCuts() []Cut {
	if !r.compacts() {
		return nil
	}
	tokens := r.tokens()
	goal := tokens / 2
	if w := int64(roomyWindow * float64(r.window())); w > 0 {
		goal = min(goal, w)
	}
	return r.cuts(tokens, goal, true)
}

// cuts says what to leave out so that the conversation comes down to a goal, in
// tokens: the oldest results first, those of the last turns not. Where that is
// not enough and it is hard, the largest results of the last turns lose their
// middle, and what had lost it already is left out. Nothing is cut for a gain
// of less than a tenth. Errors, the system prompt, the input, notes and what
// the model said stay.
func (r *Run) cuts(tokens, goal int64, hard bool) []Cut {
	need, freed := (tokens-goal)*perToken, int64(0)
	var cuts []Cut
	recent := r.lastTurns()
	for i := range r.s.Messages {
		m := &r.s.Messages[i]
		if i >= recent || freed >= need {
			break
		}
		if gain := m.textBytes() - int64(len(r.leftOut(i))); m.mayBeCut() && gain > 0 {
			cuts, freed = append(cuts, Cut{Message: i, Size: m.whole()}), freed+gain
		}
	}
	var large []int
	for i := recent; i < len(r.s.Messages) && hard; i++ {
		if r.s.Messages[i].mayBeCut() {
			large = append(large, i)
		}
	}
	slices.SortStableFunc(large, func(a, b int) int {
		return cmp.Compare(r.s.Messages[b].textBytes(), r.s.Messages[a].textBytes())
	})
	for _, i := range large {
		if freed >= need {
			break
		}
		m := &r.s.Messages[i]
		size := m.textBytes()
		cut := Cut{Message: i, Size: m.whole()}
		gain := size - int64(len(r.leftOut(i)))
		if m.Cut == nil {
			mark := int64(len(cutMark(int(size))))
			keep := max(size-(need-freed)-mark, leastCut, size/16)
			cut.Head, cut.Tail = int(keep-keep/2), int(keep/2)
			gain = size - keep - mark
		}
		if gain > 0 {
			cuts, freed = append(cuts, cut), freed+gain
		}
	}
	if freed*10 < tokens*perToken {
		return nil
	}
	return cuts
}

// mayBeCut reports whether a message is a result that is sent, or its rest.
func (m *Message) mayBeCut() bool {
	return m.Role == RoleTool && !m.Error && (m.Cut == nil || m.Cut.Head+m.Cut.Tail > 0)
}

// whole is the size of a result before it was cut.
func (m *Message) whole() int64 {
	if m.Cut != nil {
		return m.Cut.Size
	}
	return m.textBytes()
}

// lastTurns returns the index of the first message of the last [keepTurns] turns.
func (r *Run) lastTurns() int {
	turns := 0
	for i := len(r.s.Messages) - 1; i >= 0; i-- {
		if r.s.Messages[i].Role == RoleAssistant {
			if turns++; turns == keepTurns {
				return i
			}
		}
	}
	return 0
}

// compact carries out the cuts of a move.
func (r *Run) compact(cuts []Cut) error {
	s := &r.s
	messages := slices.Clone(s.Messages)
	for _, c := range cuts {
		if c.Message < 0 || c.Message >= len(messages) || messages[c.Message].Role != RoleTool {
			return Fail("", KindConflict, "message %d is no result of a tool", c.Message)
		}
		m := &messages[c.Message]
		rest := c
		rest.Message = 0
		switch {
		case c.Head == 0 && c.Tail == 0:
			m.Text, m.Ref, m.Size = r.leftOut(c.Message), Digest{}, 0
		case m.Ref.IsZero():
			m.Text = c.Apply(m.Text)
		}
		m.Cut = &rest
	}
	s.Messages = messages
	return nil
}

// leftOut is what stands in the place of a result.
func (r *Run) leftOut(i int) string {
	m := &r.s.Messages[i]
	tool, again := "a tool", "nothing is lost, it is in the journal"
	if name, _ := r.callOf(i); name != "" {
		tool = name
		spec, known := r.spec(name)
		switch {
		case !known:
		case spec.Effect == Read:
			again = "call " + name + " again if you need it"
		case spec.Repeats() == RepeatReplay:
			again = "it was done; the same call again is answered from the record and does nothing"
		default:
			again = "it was done; do not call it again to read the result"
		}
	}
	step := ""
	if m.Step != "" {
		step = " of step " + m.Step
	}
	return fmt.Sprintf("[result%s (%s) left out to make room, %d bytes: %s]", step, tool, m.whole(), again)
}

// roomier reports whether another model may have room for what was too large
// for this one.
func (r *Run) roomier(name string) bool {
	w := r.s.Start.Windows[name]
	return w == 0 || r.window() == 0 || w > r.window()
}
