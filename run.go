package daruma

import (
	"time"
)

// Run is the fold of a run's events: where it stands and what it must do next.
// It has no clock, does no I/O and draws no random numbers: the same events
// give the same Run and the same decisions.
//
// [Run.Apply] folds one event in, [Run.Next] decides. A Run is used by one
// goroutine at a time.
type Run struct {
	id     RunID
	tenant Tenant
	s      state
}

// FoldVersion is the version of the fold. A checkpoint of another version is
// not believed; the run is folded from its first event instead.
const FoldVersion = 6

// state is everything a run remembers; it is the content of a checkpoint.
type state struct {
	Head     int64                 `json:"head"`
	Start    Started               `json:"start"`
	Now      time.Time             `json:"now"`
	Active   Duration              `json:"active,omitzero"`
	Turn     int                   `json:"turn"`
	N        int                   `json:"n"` // last command number given in this turn
	Steps    int                   `json:"steps,omitzero"`
	Usage    Usage                 `json:"usage,omitzero"`
	Cost     Money                 `json:"cost,omitzero"`
	Messages []Message             `json:"messages,omitempty"`
	Model    modelStep             `json:"model"`
	Reply    *Replied              `json:"reply,omitempty"`
	Judge    int                   `json:"judge,omitzero"` // number of the judgement outstanding or made last
	Judged   string                `json:"judged,omitempty"`
	Calls    []callStep            `json:"calls,omitempty"`
	Closed   bool                  `json:"closed,omitempty"` // a move closed the turn: the rest of its calls is not made
	Open     []Signal              `json:"open,omitempty"`   // raised, no move made yet
	Falls    []Fall                `json:"falls,omitempty"`
	Thought  map[SignalType]int    `json:"thought,omitempty"` // reflections made, by signal
	Failed   map[string]SignalType `json:"failed,omitempty"`  // actions reflected on: proposing them again fails again
	Marks    []string              `json:"marks,omitempty"`
	Measured *measured             `json:"measured,omitempty"` // the last conversation that a model has counted
	Level    Level                 `json:"level,omitzero"`
	Missing  []string              `json:"missing,omitempty"`
	Unmet    []unmet               `json:"unmet,omitempty"`    // calls that failed and that nothing has made up for yet
	Invented []invented            `json:"invented,omitempty"` // entries of Missing about tools that do not exist
	Withheld []string              `json:"withheld,omitempty"`
	Written  []written             `json:"written,omitempty"` // calls with an effect that are over, each action once, the last one last
	Claims   int                   `json:"claims,omitzero"`
	Park     *Parked               `json:"park,omitempty"`
	Asked    *Parked               `json:"asked,omitempty"` // a question to park with once nothing is in flight
	Approve  []Approval            `json:"approve,omitempty"`
	Soft     map[string]bool       `json:"soft,omitempty"`  // limits whose soft edge was announced
	Met      *BudgetMet            `json:"met,omitempty"`   // what there is no money for; nothing has come of it yet
	Notes    []string              `json:"notes,omitempty"` // what Daruma tells the model at the end of the turn
	Cancel   *Post                 `json:"cancel,omitempty"`
	Fork     *Forked               `json:"fork,omitempty"`   // what the last fork was, its record aside
	Record   map[string]Write      `json:"record,omitempty"` // what the runs it was forked from have written, by action
	Revert   bool                  `json:"revert,omitempty"` // with Ending: what was done is undone first
	Undo     *undoing              `json:"undo,omitempty"`
	Effects  []EffectRecord        `json:"effects,omitempty"`
	Contra   []contradiction       `json:"contradicted,omitempty"` // settled calls of which somebody says the opposite
	Refused  []PostRefused         `json:"refused,omitempty"`      // posts that changed nothing, to be told in events
	Ending   *Finished             `json:"ending,omitempty"`       // how it will end once nothing is in flight
	End      *Finished             `json:"end,omitempty"`
	Tail     int64                 `json:"tail,omitzero"` // payload bytes since the last checkpoint
	Base     int64                 `json:"base,omitzero"` // bytes of that checkpoint
}

// modelStep is the model call of a turn.
type modelStep struct {
	N       int          `json:"n"`
	Target  int          `json:"target,omitzero"` // index in Started.Models
	Tried   []int        `json:"tried,omitempty"` // targets that failed in this turn
	Attempt int          `json:"attempt"`
	Until   time.Time    `json:"until,omitzero"` // wait before the attempt; zero: none
	Failure *ModelFailed `json:"failure,omitempty"`
}

// callPhase is where one tool call of a turn stands.
type callPhase uint8

const (
	callProposed    callPhase = iota // to be called, gate permitting
	callGated                        // waits for an approval
	callIntent                       // its intent is on disk: it is, or was, in flight
	callWaiting                      // waits before the next attempt
	callVerifying                    // is being verified
	callFailed                       // the last attempt failed; no move made yet
	callDoubt                        // the last attempt may have happened; no move made yet
	callAsked                        // waits for a human
	callDone                         // has its result, or will never have one
	callReconciling                  // in doubt, waits to be verified again
	callChild                        // waits for its sub-run
)

// callStep is one tool call of a turn.
type callStep struct {
	ID       string       `json:"id"`
	Name     string       `json:"name"` // as the model asked
	Args     string       `json:"args"`
	Canon    string       `json:"canon,omitempty"` // canonical arguments, where they differ from Args
	Tool     string       `json:"tool"`            // really called
	Phase    callPhase    `json:"phase,omitzero"`
	N        int          `json:"n"`
	Attempt  int          `json:"attempt"`
	Tried    []string     `json:"tried,omitempty"` // tools given up
	Until    time.Time    `json:"until,omitzero"`
	Approved bool         `json:"approved,omitempty"`
	Gate     bool         `json:"gate,omitempty"`   // dispatch asked for an approval
	Ask      *Parked      `json:"ask,omitempty"`    // what a human is asked about it
	Result   *ToolReplied `json:"result,omitempty"` // of the last attempt
	Failed   bool         `json:"failed,omitempty"` // done, but without what was asked
	Text     string       `json:"text,omitempty"`   // what the model is told instead of the result
	Share    *Limits      `json:"share,omitempty"`  // of a sub-run: reserved until it ends
	Child    RunID        `json:"child,omitempty"`  // the sub-run that is waited for
	Late     *late        `json:"late,omitempty"`   // said of it while it was in flight
}

// unmet is a call that failed for good, after which the model was told to think
// again. Unless a tool that can stand in for it succeeds, what it was to bring
// is missing from the answer, whatever the model says of it.
type unmet struct {
	Tool string `json:"tool"`
	Text string `json:"text"`
	Turn int    `json:"turn,omitzero"`
}

// canonical returns the canonical arguments.
func (c *callStep) canonical() string {
	if c.Canon != "" {
		return c.Canon
	}
	return c.Args
}

// Fall is one thing that went wrong in a run and how it was caught.
type Fall struct {
	Type    SignalType `json:"type"`
	Subject string     `json:"subject"`
	Turn    int        `json:"turn"`
	Step    string     `json:"step"` // id of the step it was first seen in, "turn/n"
	Tool    string     `json:"tool,omitempty"`
	Path    string     `json:"path,omitempty"` // into the arguments, where one is to blame
	Args    string     `json:"args,omitempty"` // of a call: its arguments, canonical, at most MaxLessonText bytes
	Message string     `json:"message"`
	Moves   []Move     `json:"moves,omitempty"`
	Over    bool       `json:"over,omitempty"`   // nothing more is tried for it
	Caught  bool       `json:"caught,omitempty"` // the last move resolved it
	Last    int        `json:"last,omitzero"`    // turn of the last signal
}

// By returns the remedy that was tried last, and false where none was.
func (f Fall) By() (Remedy, bool) {
	if len(f.Moves) == 0 {
		return Abort, false
	}
	return f.Moves[len(f.Moves)-1].Remedy, true
}

// Call is one tool call of the current turn, as judges see it.
type Call struct {
	Index   int
	ID      string
	Name    string // as the model asked
	Tool    string // really called
	Args    string // as the model wrote them
	Step    string // "turn/n" of its last attempt
	Done    bool
	Failed  bool
	Outcome Outcome
	Text    string // result or error
	Ref     Digest // of a large result
}

// NewRun returns a run to which nothing has happened yet; its first event must
// be run.started.
func NewRun(id RunID, tenant Tenant) *Run { return &Run{id: id, tenant: tenant} }

// Fold returns the run after the events, which start with run.started or with
// a run.checkpoint. A checkpoint of another [FoldVersion] at the start is an
// error of KindConflict: fold from the first event then.
func Fold(id RunID, tenant Tenant, events []Event) (*Run, error) {
	r := NewRun(id, tenant)
	for i, e := range events {
		if i == 0 && e.Kind == KindCheckpoint {
			if err := r.restore(e); err != nil {
				return nil, err
			}
			continue
		}
		if err := r.Apply(e); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// ID returns the id of the run.
func (r *Run) ID() RunID { return r.id }

// Tenant returns whose run it is.
func (r *Run) Tenant() Tenant { return r.tenant }

// Head returns the Seq of the last event folded in; 0 before the first.
func (r *Run) Head() int64 { return r.s.Head }

// Turn returns the number of the current turn, from 1.
func (r *Run) Turn() int { return r.s.Turn }

// Started returns what the run was started with, limits filled in and as
// changed since. The caller must not modify it.
func (r *Run) Started() Started { return r.s.Start }

// Messages returns the conversation to send to the model, the system prompt
// first. The caller must not modify it.
func (r *Run) Messages() []Message { return r.s.Messages }

// Reply returns the model's answer that is being acted on, nil between turns.
// The caller must not modify it.
func (r *Run) Reply() *Replied { return r.s.Reply }

// Marks returns what detectors remember, oldest first, at most [MarkWindow].
// The caller must not modify it.
func (r *Run) Marks() []string { return r.s.Marks }

// Approvals returns the open approvals, oldest first. The caller must not
// modify it.
func (r *Run) Approvals() []Approval { return r.s.Approve }

// Falls returns everything that went wrong so far, oldest first. The caller
// must not modify it.
func (r *Run) Falls() []Fall { return r.s.Falls }

// Usage returns the tokens used so far.
func (r *Run) Usage() Usage { return r.s.Usage }

// Cost returns the money spent so far on calls with a known price.
func (r *Run) Cost() Money { return r.s.Cost }

// Steps returns the steps taken so far: model calls answered and tool calls
// made, attempts of the same step counted once.
func (r *Run) Steps() int { return r.s.Steps }

// Active returns how long the run has been active; waiting for people and
// being down do not count.
func (r *Run) Active() time.Duration { return time.Duration(r.s.Active) }

// Parked returns what the run waits for, nil unless it is parked. The caller
// must not modify it.
func (r *Run) Parked() *Parked { return r.s.Park }

// Finished returns how the run ended, nil while it lives. The caller must not
// modify it.
func (r *Run) Finished() *Finished { return r.s.End }

// Results returns the tool calls of the current turn.
func (r *Run) Results() []Call {
	calls := make([]Call, len(r.s.Calls))
	for i := range r.s.Calls {
		c := &r.s.Calls[i]
		call := Call{Index: i, ID: c.ID, Name: c.Name, Tool: c.Tool, Args: c.Args, Step: r.step(c.N),
			Done: c.Phase == callDone, Failed: c.Failed, Text: c.Text}
		if c.Result != nil {
			call.Outcome = c.Result.Outcome
			if call.Text == "" {
				call.Text, call.Ref = c.Result.Text, c.Result.Ref
			}
		}
		calls[i] = call
	}
	return calls
}

// Withheld returns the names of tools the model is not offered any more: the
// run has been degraded to go on without them. The caller must not modify it.
func (r *Run) Withheld() []string { return r.s.Withheld }

// State returns where the run stands.
func (r *Run) State() RunState {
	switch {
	case r.s.End != nil:
		return r.s.End.State
	case r.s.Park != nil:
		return ParkedState
	case r.waiting():
		return Waiting
	}
	return Running
}

// Idle reports whether the shell has nothing to do for the run but wait: it is
// parked, waiting or finished, so that its owner may release it.
func (r *Run) Idle() bool { return r.State() != Running }

// Note returns one line for lists: why the run is parked or how it ended.
func (r *Run) Note() string {
	switch {
	case r.s.End != nil && r.s.End.Text != "":
		return excerpt(r.s.End.Text, 200)
	case r.s.End != nil:
		return excerpt(r.s.End.Answer, 200)
	case r.s.Park != nil:
		return excerpt(r.s.Park.Text, 200)
	case r.processing() != "":
		return r.processing()
	case r.State() == Waiting:
		return r.waitNote()
	}
	return ""
}

// step returns the id of a command of this turn as evidence names it.
func (r *Run) step(n int) string { return NewCommandID("", r.s.Turn, n).Step() }

// command returns the id of a command of this turn.
func (r *Run) command(n int) CommandID { return NewCommandID(r.id, r.s.Turn, n) }

// number gives the next command number of this turn.
func (r *Run) number() int {
	r.s.N++
	return r.s.N
}

// spec returns what the run knows of a tool.
func (r *Run) spec(name string) (ToolSpec, bool) {
	for _, t := range r.s.Start.Tools {
		if t.Name == name {
			return t, true
		}
	}
	return ToolSpec{}, false
}

// target returns the name of the model that is to be called.
func (r *Run) target() string { return r.s.Start.Models[r.s.Model.Target] }
