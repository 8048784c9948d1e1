package daruma

import (
	"bytes"
	"encoding/json"
	"time"
)

// EventKind names what happened. Kinds are stored as text: once published, a
// name keeps its meaning.
type EventKind string

// Kinds of events of an agent run, each with the type of its payload.
const (
	KindStarted     EventKind = "run.started"        // Started
	KindForked      EventKind = "run.forked"         // Forked: what came before happened to another run
	KindClaimed     EventKind = "run.claimed"        // Claim: a node took the run; written by the journal
	KindReplied     EventKind = "model.replied"      // Replied
	KindModelFailed EventKind = "model.failed"       // ModelFailed
	KindSignal      EventKind = "signal.raised"      // Signal
	KindJudged      EventKind = "judged"             // Judged: all signals of one judgement have been raised
	KindMove        EventKind = "move.made"          // Move
	KindToolCalled  EventKind = "tool.called"        // ToolCalled: the intent of a call with an effect
	KindToolReplied EventKind = "tool.replied"       // ToolReplied
	KindApproval    EventKind = "approval.requested" // Approval
	KindTimer       EventKind = "timer.fired"        // TimerFired
	KindReceived    EventKind = "message.received"   // Post: folded in by the owner
	KindPostRefused EventKind = "message.refused"    // PostRefused: a post that was folded in and changed nothing
	KindParked      EventKind = "run.parked"         // Parked
	KindChild       EventKind = "child.started"      // ChildStarted
	KindUndo        EventKind = "undo.started"       // Undo: what the run has done is undone, then it ends
	KindTurnEnded   EventKind = "turn.ended"         // TurnEnded
	KindCheckpoint  EventKind = "run.checkpoint"     // Checkpoint
	KindFinished    EventKind = "run.finished"       // Finished
	KindBudget      EventKind = "budget.met"         // BudgetMet: there is no money, or little, for the next model call
)

// Event is one thing that happened in a run, as it is stored. Events are
// immutable. Payload is JSON of the type that belongs to Kind; journals never
// look into it.
type Event struct {
	Seq     int64           `json:"seq"` // from 1, without gaps; given by the journal
	Kind    EventKind       `json:"kind"`
	Time    time.Time       `json:"time"` // UTC, microseconds; stamped by the shell just before the commit
	Actor   Actor           `json:"actor"`
	Payload json.RawMessage `json:"payload"`

	body any // what Payload encodes, where this process made it: saves decoding
}

// NewEvent returns an event with the payload encoded; Seq and Time are left to
// the shell and the journal. It panics if the payload is not one of this
// package's event payloads or does not encode, which only a bug can cause.
func NewEvent(kind EventKind, actor Actor, payload any) Event {
	b, err := json.Marshal(payload)
	if err != nil {
		panic("daruma: payload of " + string(kind) + ": " + err.Error())
	}
	e := Event{Kind: kind, Actor: actor, Payload: b, body: payload}
	if bytes.Contains(b, []byte(`\ufffd`)) {
		e.body = nil // text that was no UTF-8 reads back differently
	}
	return e
}

// Started begins a run and freezes everything its decisions rest on.
type Started struct {
	Agent        string     `json:"agent"`
	Instructions string     `json:"instructions,omitempty"` // system prompt
	Input        Message    `json:"input"`                  // what the run is asked to do
	Models       []string   `json:"models"`                 // names of targets, best first
	Tools        []ToolSpec `json:"tools,omitempty"`
	Limits       Limits     `json:"limits,omitzero"`
	Ladder       Ladder     `json:"ladder,omitzero"`  // zero: the default one, of the version below
	Nonce        string     `json:"nonce"`            // random; fences and jitter are derived from it
	Parent       *Parent    `json:"parent,omitempty"` // of a sub-run
	Key          string     `json:"key,omitempty"`    // the caller's idempotency key
	Origin       RunID      `json:"origin,omitempty"` // of a fork: the run it was forked from; run.forked says where

	// DefaultLadder is the version of the default ladder, where Ladder is zero.
	DefaultLadder int `json:"default_ladder,omitzero"`

	Compact Compaction       `json:"compact,omitzero"`  // what may be left out of a conversation that is too long
	Windows map[string]int64 `json:"windows,omitempty"` // context windows of targets in tokens, where they are known
	Lowered *Lowered         `json:"lowered,omitempty"` // the run begins below the full service
	Lessons []Lesson         `json:"lessons,omitempty"` // of earlier runs of the agent; at most MaxLessons are told
}

// Replied is a model's complete answer.
type Replied struct {
	Command  CommandID `json:"command"`
	Target   string    `json:"target"`
	Message  Message   `json:"message"` // role assistant
	Finish   Finish    `json:"finish,omitempty"`
	Usage    Usage     `json:"usage,omitzero"`
	Cost     Money     `json:"cost,omitzero"`
	Unpriced bool      `json:"unpriced,omitempty"` // the price of the target is not known
	Took     Duration  `json:"took,omitzero"`
	// Judged says that the shell judged the answer before it was journaled and
	// found nothing: no judgement of it is asked for.
	Judged bool `json:"judged,omitempty"`
}

// ModelFailed is a model call that brought no usable answer.
type ModelFailed struct {
	Command    CommandID `json:"command"`
	Target     string    `json:"target"`
	Kind       Kind      `json:"kind"`
	Status     int       `json:"status,omitzero"` // HTTP status, where there was one
	Code       string    `json:"code,omitempty"`  // the provider's own error code
	Text       string    `json:"text,omitempty"`  // at most MaxSignalText bytes
	RetryAfter Duration  `json:"retry_after,omitzero"`
	Usage      Usage     `json:"usage,omitzero"` // what it cost all the same
	Cost       Money     `json:"cost,omitzero"`
	Took       Duration  `json:"took,omitzero"`
}

// What a judgement is about.
const (
	JudgeReply   = "reply"   // the model's answer, before its calls are acted on
	JudgeResults = "results" // the results of a turn's calls
)

// Judged closes a judgement. Mark is what the detectors have to remember of
// this step, opaque to the core, at most 400 bytes; the core keeps the last
// [MarkWindow] of them and hands them to the next judgement.
type Judged struct {
	Command CommandID `json:"command"`
	Of      string    `json:"of"` // JudgeReply or JudgeResults
	Mark    string    `json:"mark,omitempty"`
}

// MarkWindow is how many marks of detectors a run keeps.
const MarkWindow = 16

// ToolCalled is the intent to call a tool that may have an effect. It is
// committed before the call begins: an intent without a result means in doubt.
type ToolCalled struct {
	Command CommandID `json:"command"`
	Call    int       `json:"call"` // index of the call in the turn
	Tool    string    `json:"tool"` // the tool really called, an alternative perhaps
	Key     string    `json:"key"`  // idempotency key, the same for every attempt
	Effect  Effect    `json:"effect"`
	Attempt int       `json:"attempt"`          // from 1
	Undoes  string    `json:"undoes,omitempty"` // key of the call that this one undoes
	Share   *Limits   `json:"share,omitempty"`  // of a sub-run: what it may use of what the run has left
}

// Outcome is what is known of a tool call. The zero Outcome is [Doubtful].
type Outcome uint8

const (
	Doubtful  Outcome = iota // it may or may not have happened
	Succeeded                // it happened and gave a result
	Failed                   // it did not happen, or failed without effect
	Absent                   // a verification found that it did not happen
)

var outcomeNames = [...]string{"unknown", "success", "failure", "absent"}

// String returns the stored name: "unknown", "success", "failure" or "absent".
func (o Outcome) String() string { return nameOf(outcomeNames[:], o) }

// MarshalText writes the stored name.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads a stored name.
func (o *Outcome) UnmarshalText(b []byte) error {
	return parseName("outcome", outcomeNames[:], b, o)
}

// ToolReplied is what came of one attempt of a call, or of a verification.
type ToolReplied struct {
	Command  CommandID `json:"command"`
	Call     int       `json:"call"`
	Tool     string    `json:"tool"`
	Outcome  Outcome   `json:"outcome"`
	Text     string    `json:"text,omitempty"` // the result, or the error for the model; above MaxInline see Ref
	Ref      Digest    `json:"ref,omitzero"`
	Size     int64     `json:"size,omitzero"`  // of the whole text in bytes, where Ref names it
	Kind     Kind      `json:"kind,omitempty"` // of the failure
	Path     string    `json:"path,omitempty"` // schema path of invalid arguments
	Retry    Duration  `json:"retry_after,omitzero"`
	State    RunState  `json:"state,omitzero"`     // of a sub-run: how it ended
	Replayed bool      `json:"replayed,omitempty"` // answered from a record, nothing was done now
	Of       string    `json:"of,omitempty"`       // the step of this run whose record that is; see [Repeat]
	Took     Duration  `json:"took,omitzero"`
}

// TimerFired says that the wait of a command is over.
type TimerFired struct {
	Command CommandID `json:"command"`
}

// Why a run is parked.
const (
	ParkApproval = "approval"    // a call waits for yes or no
	ParkQuestion = "question"    // a human must decide how to go on
	ParkSteps    = "step_limit"  // Limits.Steps
	ParkTime     = "time_limit"  // Limits.Time
	ParkTokens   = "token_limit" // Limits.Tokens
	ParkMoney    = "money_limit" // Limits.Money
	ParkClaims   = "claim_limit" // Limits.Claims: the run seems to kill its workers
)

// Parked stops a run durably until somebody posts what it waits for.
type Parked struct {
	ID      string     `json:"id,omitempty"`      // of the question, for an Answer: "RUN-SUFFIX.qSEQ" with the Seq of this event
	Reason  string     `json:"reason"`            // one of the Park constants
	Text    string     `json:"text"`              // one sentence for people: what happened and what is asked
	Subject string     `json:"subject,omitempty"` // of the signal behind a question
	Signal  SignalType `json:"signal,omitempty"`
	Options []string   `json:"options,omitempty"` // accepted answers: see the Answer constants
	Limit   string     `json:"limit,omitempty"`   // what was met, such as "10 of 10 steps"
	Budget  string     `json:"budget,omitempty"`  // the shared budget that was met; empty for a limit of the run itself
	Until   time.Time  `json:"until,omitzero"`    // when it goes on by itself, because the budget begins anew; zero: never
}

// PostRefused says that a post to the run changed nothing, and why: an answer
// to another question, a decision about other arguments, something that cannot
// be read.
type PostRefused struct {
	Topic string `json:"topic"`
	Key   string `json:"key"`
	By    Actor  `json:"by"`
	Why   string `json:"why"` // one sentence for people
}

// TurnEnded ends a turn: one model reply and all that it led to.
type TurnEnded struct {
	Turn int `json:"turn"` // the turn that ended
}

// Checkpoint is a cache of the fold: the state after all events before it.
// It is only believed by a fold of the same Version.
type Checkpoint struct {
	Version int             `json:"version"`
	State   json.RawMessage `json:"state"`
}

// Finished ends a run for good.
type Finished struct {
	State   RunState   `json:"state"` // Completed, Degraded, Cancelled or Dead
	Answer  string     `json:"answer,omitempty"`
	Ref     Digest     `json:"ref,omitzero"`      // of an answer above MaxInline
	Missing []string   `json:"missing,omitempty"` // of a degraded run: what could not be had, in words
	Level   Level      `json:"level,omitempty"`
	Signal  SignalType `json:"signal,omitempty"` // root cause of a failed run
	Text    string     `json:"text,omitempty"`   // the same in a sentence

	// Compensated and Remaining list the effects of a run that was compensated:
	// those undone, and those that still stand, with the reason.
	Compensated []string `json:"compensated,omitempty"`
	Remaining   []string `json:"remaining,omitempty"`
}

// RunState is where a run stands. The zero RunState is [Running].
type RunState uint8

const (
	Running     RunState = iota // has something to do now
	Waiting                     // waits for a time
	ParkedState                 // waits for somebody
	Completed                   // finished with a full answer
	Degraded                    // finished with less than asked, and says what is missing
	Cancelled                   // finished because somebody asked
	Dead                        // failed: finished without an answer
	Quarantined                 // a record of it does not match its hash, or it cannot be folded; nothing is done with it
)

var runStateNames = [...]string{"running", "waiting", "parked", "completed", "degraded", "cancelled", "failed", "quarantined"}

// String returns the stored name, such as "parked"; Dead is "failed".
func (s RunState) String() string { return nameOf(runStateNames[:], s) }

// MarshalText writes the stored name.
func (s RunState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a stored name.
func (s *RunState) UnmarshalText(b []byte) error {
	return parseName("run state", runStateNames[:], b, s)
}

// Finished reports whether the run is over.
func (s RunState) Finished() bool { return s >= Completed && s <= Dead }

// Level is how much of the full service a run got. The zero Level is [Full].
type Level uint8

const (
	Full       Level = iota
	OtherModel       // another model than the first answered
	OtherTool        // another tool than the one asked for answered
	Partial          // parts are missing, and listed
	Static           // no answer beyond a fixed message
)

var levelNames = [...]string{"full", "other_model", "other_tool", "partial", "static"}

// String returns the stored name, such as "partial".
func (l Level) String() string { return nameOf(levelNames[:], l) }

// MarshalText writes the stored name.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads a stored name.
func (l *Level) UnmarshalText(b []byte) error { return parseName("level", levelNames[:], b, l) }
