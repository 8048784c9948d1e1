package daruma

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// TopicChild is the topic of the post with which a sub-run tells its parent
// how it ended. Key: the idempotency key of the parent's call; payload:
// [ChildResult]. It is written by the commit that ends the sub-run.
const TopicChild = "child"

// Parent says whose sub-run a run is, and by which call.
type Parent struct {
	Run   RunID  `json:"run"`
	Key   string `json:"key"`   // idempotency key of the call
	Depth int    `json:"depth"` // of the sub-run: 1 below a run that somebody started
}

// ChildStarted says that the sub-run of a call is on disk: from then on the
// call waits for it, and costs nothing.
type ChildStarted struct {
	Command CommandID `json:"command"`
	Call    int       `json:"call"`
	Run     RunID     `json:"run"`
}

// ChildResult is how a sub-run ended.
type ChildResult struct {
	Run     RunID    `json:"run"`
	Key     string   `json:"key"` // of the parent's call
	State   RunState `json:"state"`
	Level   Level    `json:"level,omitempty"`
	Text    string   `json:"text,omitempty"`    // its answer, or why there is none
	Ref     Digest   `json:"ref,omitzero"`      // of a large answer
	Missing []string `json:"missing,omitempty"` // of a degraded one

	// What it and its own sub-runs have used; it counts on the parent.
	Steps  int      `json:"steps,omitzero"`
	Usage  Usage    `json:"usage,omitzero"`
	Cost   Money    `json:"cost,omitzero"`
	Active Duration `json:"active,omitzero"`

	Standing []string `json:"standing,omitempty"` // effects that were not undone, in words
}

// ActorRun is the actor of what a run does to another.
func ActorRun(id RunID) Actor { return "run:" + Actor(id) }

// Children returns the sub-runs the run waits for, in the order of their calls.
func (r *Run) Children() []RunID {
	var out []RunID
	for i := range r.s.Calls {
		if r.s.Calls[i].Phase == callChild {
			out = append(out, r.s.Calls[i].Child)
		}
	}
	return out
}

// Posts returns what the run has to tell other runs now: its sub-runs that they
// are to stop, its parent how it ended. They belong into the Tx with the events
// that led to them. Each is unique, so that telling twice is telling once.
func (r *Run) Posts() []Post {
	s := &r.s
	if s.End != nil && s.Start.Parent != nil {
		return []Post{r.toParent(r.childResult())}
	}
	if s.End != nil || s.Cancel == nil && s.Ending == nil {
		return nil
	}
	var out []Post
	for i := range s.Calls {
		c := &s.Calls[i]
		if c.Phase != callChild && (c.Phase != callIntent || !r.delegates(c)) {
			continue
		}
		reason, key := Reason{Text: "its parent " + string(r.id) + " is ending", Compensate: s.Revert}, "parent"
		if s.Revert {
			key = "parent, compensate"
		}
		b, err := json.Marshal(reason)
		if err != nil {
			panic("daruma: " + err.Error()) // a text and a bool always encode
		}
		out = append(out, Post{Tenant: r.tenant, Run: r.childID(i), Topic: TopicCancel, Key: key, Payload: b, By: ActorRun(r.id), Time: s.Now})
	}
	return out
}

// Lost returns what the parent of a run is told that has been set aside and
// will never end by itself; none for a run without a parent.
func (r *Run) Lost(why string) []Post {
	if r.s.Start.Parent == nil || r.s.End != nil {
		return nil
	}
	c := r.childResult()
	c.State, c.Text = Quarantined, why
	return []Post{r.toParent(c)}
}

func (r *Run) toParent(c ChildResult) Post {
	b, err := json.Marshal(c)
	if err != nil {
		panic("daruma: " + err.Error()) // plain data
	}
	p := r.s.Start.Parent
	return Post{Tenant: r.tenant, Run: p.Run, Topic: TopicChild, Key: p.Key, Payload: b, By: ActorRun(r.id), Time: r.s.Now}
}

func (r *Run) childResult() ChildResult {
	s := &r.s
	c := ChildResult{Run: r.id, Key: s.Start.Parent.Key, Steps: s.Steps, Usage: s.Usage, Cost: s.Cost, Active: s.Active}
	for i := range s.Effects {
		e := &s.Effects[i]
		switch {
		case len(e.Within) > 0:
			c.Standing = append(c.Standing, e.Within...)
		case e.State == EffectConfirmed && e.Undoes == "" && !r.delegated(e.Tool):
			c.Standing = append(c.Standing, e.words())
		case !e.State.Settled():
			c.Standing = append(c.Standing, e.words()+": its outcome is unknown, key "+e.Key)
		}
	}
	if f := s.End; f != nil {
		c.State, c.Level, c.Missing, c.Ref = f.State, f.Level, f.Missing, f.Ref
		if c.Text = f.Answer; f.State != Completed && f.State != Degraded {
			c.Text = f.Text
		}
	}
	return c
}

// childrenOnly reports whether sub-runs are all that a run which is ending
// waits for.
func (r *Run) childrenOnly() bool {
	waits := false
	for i := range r.s.Calls {
		switch r.s.Calls[i].Phase {
		case callChild:
			waits = true
		case callIntent:
			return false
		}
	}
	return waits
}

// waitNote says what a waiting run waits for, in one line.
func (r *Run) waitNote() string {
	if children := r.Children(); len(children) > 0 {
		names := make([]string, len(children))
		for i, id := range children {
			names[i] = string(id)
		}
		return "waits for " + strings.Join(names, ", ")
	}
	return "waits until " + timeText(r.WakeAt())
}

// delegates reports whether a call is a sub-run.
func (r *Run) delegates(c *callStep) bool { return r.delegated(c.Tool) }

func (r *Run) delegated(tool string) bool {
	spec, _ := r.spec(tool)
	return spec.Agent != ""
}

// childID names the sub-run of a call: the same for every attempt, so that it
// is started once.
func (r *Run) childID(i int) RunID {
	c := &r.s.Calls[i]
	id := string(r.id) + "." + strconv.Itoa(r.s.Turn) + "." + strconv.Itoa(i+1)
	if n := len(c.Tried); n > 0 {
		id += "." + strconv.Itoa(n+1)
	}
	if len(id) > 128 {
		id = "sub_" + DigestOf([]byte(id)).String()
	}
	return RunID(id)
}

// isChild reports whether a run is the sub-run of a call. Of a fork it may be
// that of the same call of a run before it, whose history it shares.
func (r *Run) isChild(i int, id RunID) bool {
	own := r.childID(i)
	if id == cmp.Or(r.s.Calls[i].Child, own) {
		return true
	}
	way, ok := strings.CutPrefix(string(own), string(r.id))
	return ok && r.s.Calls[i].Child == "" && r.s.Start.Origin != "" && strings.HasSuffix(string(id), way)
}

func (r *Run) applyChildStarted(p ChildStarted) error {
	c, err := r.call(p.Call, p.Command)
	if err != nil {
		return err
	}
	if c.Phase != callIntent || !r.delegates(c) {
		return r.unasked(p.Command)
	}
	c.Phase, c.Child = callChild, p.Run
	return nil
}

// childEnded takes in how a sub-run ended and says why it counts for nothing,
// "" where it counts.
func (r *Run) childEnded(p Post, end ChildResult) (refused string) {
	i := r.effectKeyed(p.Key)
	if i < 0 || end.Key != p.Key {
		return "no call of this run has started it"
	}
	e := &r.s.Effects[i]
	c := r.stepOfEffect(e)
	switch {
	case c == nil || c.Phase == callDone || !r.delegates(c):
		return fmt.Sprintf("call %s of %s is over", e.Step, e.Tool)
	case !r.isChild(e.Call, end.Run) || p.By != ActorRun(end.Run):
		return "it comes from " + string(p.By) + ", the sub-run of the call is " + string(cmp.Or(c.Child, r.childID(e.Call)))
	}
	call := e.Call
	s := &r.s
	s.Steps += max(0, end.Steps)
	s.Usage, s.Cost, s.Active = s.Usage.Plus(end.Usage), s.Cost.Plus(max(0, end.Cost)), s.Active+max(0, end.Active)
	says := late{Settlement{Key: p.Key, Outcome: Succeeded, Text: end.Text}, p.By}
	if end.State != Completed && end.State != Degraded {
		says.Outcome = Failed
		if says.Text == "" {
			says.Text = "it gave no answer"
		}
		says.Text = fmt.Sprintf("sub-run %s ended as %s: %s", end.Run, end.State, says.Text)
	}
	switch {
	case end.State == Degraded && !end.Ref.IsZero(): // its text is elsewhere: nothing can be said in it
		s.Notes = append(slices.Clone(s.Notes), "Note from the runtime: the result of "+c.Name+" is incomplete. Say so in your answer.")
	case end.State == Degraded:
		says.Text += "\nThis result is incomplete. Missing: " + listed(end.Missing)
	}
	r.resolve(call, says)
	c.Child, c.Result.Ref, c.Result.State = "", end.Ref, end.State
	if end.State == Cancelled {
		c.Result.Kind = KindCancelled
	}
	if end.State == Degraded {
		s.Unmet = append(slices.Clone(s.Unmet), unmet{Tool: c.Name, Text: c.Name + ": incomplete: " + excerpt(listed(end.Missing), 300), Turn: s.Turn})
	}
	if len(end.Standing) > 0 {
		s.Effects = slices.Clone(s.Effects)
		for _, text := range end.Standing {
			s.Effects[i].Within = append(s.Effects[i].Within, string(end.Run)+": "+excerpt(text, 200))
		}
	}
	return ""
}

// purse is what the run can still give to calls and sub-runs.
type purse struct {
	steps  int
	tokens int64
	money  Money
	time   Duration
	parts  int // sub-runs still to be given a share
	own    int // steps kept back: one for each other call of the turn that has not begun
}

// purse counts what is left after what is out has been reserved.
func (r *Run) purse() purse {
	s, l := &r.s, r.s.Start.Limits
	p := purse{steps: l.Steps - s.Steps, tokens: l.Tokens - s.Usage.Total(), money: math.MaxInt64, time: l.Time - s.Active}
	if l.Money > 0 {
		p.money = l.Money - s.Cost
	}
	for i := range s.Calls {
		c := &s.Calls[i]
		switch c.Phase {
		case callDone:
			continue
		case callProposed, callGated:
			if r.delegates(c) {
				p.parts++
			} else {
				p.own++
			}
			continue
		}
		p.steps--
		if share := c.Share; share != nil {
			p.steps -= share.Steps
			p.tokens -= share.Tokens
			p.time -= share.Time
			if l.Money > 0 {
				p.money -= share.Money
			}
		}
	}
	return p
}

// take gives a sub-run its share: what is left, divided by the sub-runs of the
// turn that have none yet, at least one step; nothing where a limit is met. One
// step is kept for what the run itself does with the results.
func (p *purse) take(l Limits) *Limits {
	parts := max(p.parts, 1)
	if p.steps < 2 || p.tokens < 1 || p.money < 1 || p.time < Duration(time.Millisecond) {
		return nil
	}
	share := &Limits{Steps: max(1, (p.steps-parts-p.own-1)/parts), Tokens: max(1, p.tokens/int64(parts)), Time: max(Duration(time.Millisecond), p.time/Duration(parts)), Depth: l.Depth}
	if l.Money > 0 {
		share.Money = max(1, p.money/Money(parts))
		p.money -= share.Money
	}
	p.steps -= 1 + share.Steps
	p.tokens -= share.Tokens
	p.time -= share.Time
	p.parts--
	return share
}

// affords reports whether there is enough left for a proposed call, where it is
// a sub-run.
func (r *Run) affords(i int) bool {
	if !r.delegates(&r.s.Calls[i]) {
		return true
	}
	p := r.purse()
	return p.take(r.s.Start.Limits) != nil
}

// spend takes the step of a call that is no sub-run.
func (p *purse) spend() { p.steps, p.own = p.steps-1, p.own-1 }

// delegate decides how a call that is a sub-run goes out; none where there is
// no room for it now.
func (r *Run) delegate(i int, spec ToolSpec, p *purse) []Event {
	c, l := &r.s.Calls[i], r.s.Start.Limits
	if depth := r.depth(); depth >= l.Depth {
		return []Event{NewEvent(KindToolReplied, ActorCore, ToolReplied{Command: r.command(c.N), Call: i, Tool: c.Tool, Outcome: Failed, Kind: KindDenied,
			Text: fmt.Sprintf("sub-runs are nested %d deep already, which is the limit; do it without one", depth)})}
	}
	share := p.take(l)
	if share == nil {
		return nil
	}
	return []Event{NewEvent(KindToolCalled, ActorCore, ToolCalled{Command: r.command(c.N), Call: i,
		Tool: c.Tool, Key: r.key(i), Effect: spec.Effect, Attempt: c.Attempt, Share: share})}
}

func (r *Run) depth() int {
	if r.s.Start.Parent == nil {
		return 0
	}
	return r.s.Start.Parent.Depth
}

// ChildLimits returns the limits of a sub-run: those of its agent, none above
// its share of what the parent has left.
func ChildLimits(own, share Limits) Limits {
	l := own.Filled()
	l.Steps, l.Tokens, l.Time = min(l.Steps, share.Steps), min(l.Tokens, share.Tokens), min(l.Time, share.Time)
	l.Depth = min(l.Depth, cmp.Or(share.Depth, l.Depth))
	switch {
	case share.Money == 0:
	case l.Money == 0:
		l.Money = share.Money
	default:
		l.Money = min(l.Money, share.Money)
	}
	return l
}

// ChildInput is what a sub-run is asked to do: the argument "input" of its
// call where that is all there is, else the arguments as they are.
func ChildInput(args string) string {
	var all map[string]any
	if json.Unmarshal([]byte(args), &all) == nil && len(all) == 1 {
		if text, ok := all["input"].(string); ok && strings.TrimSpace(text) != "" {
			return text
		}
	}
	return args
}
