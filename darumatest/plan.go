package darumatest

import (
	"slices"
	"strings"
	"time"

	"github.com/daruma-run/daruma"
)

// Plan is a simulated history before it is played: agents, what their models
// will say, what people post, and every fault. It is text, one fact a line:
//
//	seed 4711                                  # of latencies and other small things
//	process nodes=2 workers=3                  # processes at the start, commands each performs at once
//	limits steps=12 approval_time=2m0s         # fields of daruma.Limits
//	models m0 m1
//	tool pay effect=unsafe on_doubt=verify     # fields of daruma.ToolSpec
//	agent b                                    # another agent, with the same tools
//	tool ask agent=b                           # a call of it is a sub-run
//	turn b pay:1                               # what each of its runs is told to do, as of a run
//	ladder undo                                # what the ladder would ask a person ends the run, compensated
//	run r0 at=1s                               # started then
//	turn r0 pay:1 look:2                       # what the model says next: tool:argument; then it is done
//	model r0 2 rate_limited after=3s           # the second call of r0's models fails
//	call r0 1 late                             # the first tool call of r0
//	disk 14 unsure unavailable                 # the 14th batch that is written
//	claim 3 unsure timeout                     # the third claim; or lost, or late with after=5s
//	die 37 part=1 power keep=2 down=1s         # after the first thing that step 37 asked for; or drain, instead of power
//	call r0.2.1 1 late                         # of the sub-run that the first call of r0's second turn is
//	fork r0 at=9s as=f0 step=last allow        # and on from there; n2 is its third step; replace: a rewind
//	poison r0 n=4                              # the first four commands of r0 kill their process
//	stall at=4s for=30s                        # a process stands still
//	expire at=4s                               # it loses its lease, and goes on
//	drain at=8s grace=2s down=1s               # SIGTERM
//	clock at=6s by=-10m0s                      # the clock is set
//	post r0 at=3s cancel                       # a person says something
//	approve r0 1 wrong                         # what a person does about its first approval
//	answer r0 1 retry                          # and about its first question
//
// Play performs it. Lines can be taken out, and the rest means the same:
// nothing that is drawn from the seed depends on the other lines.
type Plan struct {
	lines []line

	seed    string
	nodes   int
	workers int
	limits  daruma.Limits
	models  []string
	tools   []daruma.ToolSpec
	runs    []*script
	agents  []*script       // besides "a"; only their turns count
	undo    bool            // what would be asked of a person ends the run instead, compensated
	ordinal map[string]line // faults of the n-th of something
	timed   []line          // faults at a time
}

// script is one run of a plan.
type script struct {
	id    daruma.RunID
	at    time.Duration
	turns [][]string
	posts []line
}

// line is one line of a plan: a verb, words and fields.
type line []string

func (l line) String() string { return strings.Join(l, " ") }

// word returns the i-th word, "" where there is none.
func (l line) word(i int) string {
	if i < len(l) {
		return l[i]
	}
	return ""
}

// has reports whether a word stands in the line.
func (l line) has(word string) bool {
	for _, w := range l {
		if w == word {
			return true
		}
	}
	return false
}

// field returns the value of a field "name=value".
func (l line) field(name string) string {
	for _, w := range l {
		if value, ok := strings.CutPrefix(w, name+"="); ok {
			return value
		}
	}
	return ""
}

// String returns the plan as [ReadPlan] reads it.
func (p *Plan) String() string {
	var b strings.Builder
	for _, l := range p.lines {
		b.WriteString(l.String() + "\n")
	}
	return b.String()
}

// run returns the script of a run or an agent, or that of the run a sub-run is
// of; nil where the plan has none.
func (p *Plan) run(id string) *script {
	root, _, _ := strings.Cut(id, ".")
	for _, s := range slices.Concat(p.runs, p.agents) {
		if string(s.id) == root {
			return s
		}
	}
	return nil
}

// fault returns the line about the n-th of something, nil where there is none.
func (p *Plan) fault(of string) line { return p.ordinal[of] }

// spec returns the declaration of a tool.
func (p *Plan) spec(tool string) (daruma.ToolSpec, bool) {
	for _, t := range p.tools {
		if t.Name == tool {
			return t, true
		}
	}
	return daruma.ToolSpec{}, false
}
