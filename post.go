package daruma

import (
	"encoding/json"
	"time"
)

// Topics of posts that an agent run understands. Posts on other topics are
// kept and folded in, and change nothing.
const (
	TopicApproval = "approval" // key: the approval's id; payload: Decision
	TopicAnswer   = "answer"   // key: free; payload: Answer; settles a question
	TopicCancel   = "cancel"   // key: free; payload: Reason
	TopicPolicy   = "policy"   // key: free; payload: Policy; raises limits or changes the ladder
	TopicBudget   = "budget"   // key: free; payload: BudgetRaised; a run that is parked at that budget goes on
)

// Post is a message to a run by somebody who does not own it. It needs no
// lease, may come before the run exists, and is unique by (Run, Topic, Key):
// posting the same twice is one post. The owner folds it in as message.received,
// whose payload this is.
type Post struct {
	Tenant  Tenant          `json:"tenant,omitempty"`
	Run     RunID           `json:"run"`
	Topic   string          `json:"topic"`
	Key     string          `json:"key"`
	Payload json.RawMessage `json:"payload,omitempty"`
	By      Actor           `json:"by"`
	Time    time.Time       `json:"time"`
}

// Approval is a question for yes or no about one exact call. It is minted by
// the core, bound by Hash to run, step, tool and canonical arguments, and used
// once.
type Approval struct {
	ID      string    `json:"id"` // short, for people to type: "RUN-SUFFIX.turn.call"
	Run     RunID     `json:"run"`
	Call    int       `json:"call"`
	Tool    string    `json:"tool"`
	Args    string    `json:"args"` // canonical JSON: the resolved arguments, not the model's summary
	Hash    Digest    `json:"hash"`
	Risk    Risk      `json:"risk"`
	Why     string    `json:"why"` // why it needs one
	Expires time.Time `json:"expires"`
}

// Decision answers an [Approval]. Hash must be that of the approval.
type Decision struct {
	Approve bool   `json:"approve"`
	Hash    Digest `json:"hash"`
	Reason  string `json:"reason,omitempty"`
}

// Answers to a parked question.
const (
	AnswerRetry    = "retry"    // try the same again
	AnswerHappened = "happened" // the call in doubt did happen; Text is its result
	AnswerAbsent   = "absent"   // it did not happen: call it
	AnswerSkip     = "skip"     // go on without it, as degraded
	AnswerSay      = "say"      // tell the model Text and go on
	AnswerAbort    = "abort"    // stop the run
)

// Answer settles a parked question. It is bound to the question it was given
// for: an answer that comes late, or a second one, is refused and does not
// settle whatever the run asks by then.
type Answer struct {
	Question string `json:"question"`       // the [Parked].ID of what was asked
	Choice   string `json:"choice"`         // one of the Answer constants
	Text     string `json:"text,omitempty"` // see the constants
}

// Reason says in words why somebody acted.
type Reason struct {
	Text string `json:"text,omitempty"`
	// Compensate, of a cancel, undoes what the run has done before it ends.
	Compensate bool `json:"compensate,omitempty"`
}

// Policy changes what a run was started with. Zero fields change nothing.
type Policy struct {
	Limits Limits  `json:"limits,omitzero"` // each non-zero field replaces the run's
	Ladder *Ladder `json:"ladder,omitempty"`
}
