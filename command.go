package daruma

import "time"

// Op is what a [Command] asks the shell to do. The zero Op is [OpCallModel].
type Op uint8

const (
	OpCallModel Op = iota // call Target with the run's conversation; answer with model.replied or model.failed
	OpJudge               // run detectors and checks; answer with signal.raised for each finding, then judged
	OpCallTool            // call Tool through the dispatch point; answer with tool.replied
	OpVerify              // ask Tool whether the call with Key happened; answer with tool.replied (Succeeded, Absent or Doubtful)
	OpWait                // wait until Until; answer with timer.fired
	OpStartRun            // start the run Child of Agent, if there is none; answer with child.started, or tool.replied where it cannot be
)

var opNames = [...]string{"call_model", "judge", "call_tool", "verify", "wait", "start_run"}

// String returns the name, such as "call_tool".
func (o Op) String() string { return nameOf(opNames[:], o) }

// Command is one thing the shell has to do. It may be asked for again with the
// same ID until its result is folded in; a shell performs an ID once at a time.
//
// OpJudge reads only and touches nothing outside the process; a shell may
// perform it at once, before the events of Next are on disk. Every other
// command is performed after they are.
type Command struct {
	ID      CommandID
	Op      Op
	Timeout time.Duration // how long it may take; the shell answers with KindTimeout (or Doubtful) after it

	Target   string    // OpCallModel: which model
	Of       string    // OpJudge: JudgeReply or JudgeResults
	Call     int       // OpCallTool, OpVerify: index of the call in the turn
	Tool     string    // OpCallTool, OpVerify: the tool to call, an alternative perhaps
	Args     string    // OpCallTool, OpVerify: its arguments, JSON
	Key      string    // OpCallTool, OpVerify: the idempotency key
	Attempt  int       // OpCallTool: from 1
	Approved bool      // OpCallTool: an approval for exactly these arguments was given
	Until    time.Time // OpWait

	Agent string  // OpStartRun: whose run
	Child RunID   // OpStartRun: its id, the same however often it is asked for
	Share *Limits // OpStartRun: what it may use of what this run has left; see [ChildLimits]
	Depth int     // OpStartRun: how deep it is nested
}
