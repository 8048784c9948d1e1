package fake

import (
	"encoding/json"
	"time"

	"github.com/daruma-run/daruma"
)

// Script is a parsed script. It does not change; what has been counted is kept
// by the [Fake] that plays it.
type Script struct {
	seed   uint64
	models []*modelScript
	tools  []*toolScript
}

// Tool is a scripted tool as its callers should know it.
type Tool struct {
	Spec        daruma.ToolSpec
	Description string
	Schema      json.RawMessage // JSON Schema of the arguments
	Dedupe      bool            // calls of the same key have their effect once
}

// Models returns the names of the models in the order of the script.
func (s *Script) Models() []string {
	names := make([]string, len(s.models))
	for i, m := range s.models {
		names[i] = m.name
	}
	return names
}

// Tools returns the tools in the order of the script.
func (s *Script) Tools() []Tool {
	tools := make([]Tool, len(s.tools))
	for i, t := range s.tools {
		tools[i] = t.Tool
	}
	return tools
}

type modelScript struct {
	name  string
	rules []*rule
}

type toolScript struct {
	Tool
	rules []*rule
}

// rule is what happens where all its conditions hold: the first fault that is
// not used up, else the answer. A rule without either is passed over.
type rule struct {
	line   int
	conds  []cond
	faults []*fault
	reply  *reply     // of a model
	result *toolReply // of a tool
}

// fault is one way to fail.
type fault struct {
	line   int
	kind   string        // a name of modelFaults or toolFaults, or "status"
	status int           // of HTTP
	times  int           // how often; forever is below 0
	each   bool          // counted for every conversation by itself
	chance float64       // of being played at all, from 0 to 1
	wait   time.Duration // Retry-After; below 0 means none
	forms  string        // of Retry-After: seconds, date or ms
	every  time.Duration // of a drip
	max    time.Duration // of a hang
	after  int           // pieces before a cut, an error or a stall; below 0 means half
}

const forever = -1

// reply is what a model says.
type reply struct {
	think  string // before anything is said
	text   string
	calls  []scriptCall
	finish string // as on the wire; empty means by content
	in     int64  // usage; below 0 means counted from the text
	out    int64
	silent bool // tells no usage
	delay  time.Duration
	drip   time.Duration
	quirks map[string]bool
}

type scriptCall struct {
	name string
	args string // with places
}

// toolReply is what a tool answers when it does not fail.
type toolReply struct {
	body   string // with places
	status int
	effect bool // the work is done
}

// What is accepted where.
var (
	modelFaults = []string{
		"hang", "stall", "drip", "cut", "no-end", "error-200", "error-event", "html", "garbage", "empty",
		"overflow", "quota", "refusal", "length", "dead", "reset",
	}
	toolFaults  = []string{"hang", "reset", "lost", "late", "html", "garbage", "dead"}
	quirkNames  = []string{"index-zero", "index-none", "index-one", "ids-same", "ids-none", "crlf", "bom", "comments", "bytes", "finish-stop", "usage-null"}
	finishNames = []string{"stop", "tool_calls", "length", "content_filter", "none"}
)
