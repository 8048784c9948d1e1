// Package cause says which step of a failed run went wrong first.
//
//	suspects := cause.Rank(trace, report)
//	fmt.Println(suspects[0].Step, suspects[0].Class, suspects[0].Why)
package cause

import (
	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/detect"
)

// Class says whose fault a step was.
type Class uint8

// Classes of causes.
const (
	Model  Class = iota // the model decided wrongly
	Tool                // a tool failed or gave something wrong
	Data                // what was asked for is not there, or wrong
	Prompt              // the task or the instructions misled
	Infra               // network, provider, process
	Budget              // a limit was too tight
	Policy              // something was forbidden
)

// Suspect is a step that may be the first decisive error.
type Suspect struct {
	Step     int     // index into the steps of the trace
	Call     int     // index of a call of the step; -1: none
	Share    float64 // of all suspicion, from 0 to 1
	Agent    string  // who acted
	Tool     string  // of the call, where one is to blame
	Class    Class
	Why      string        // one sentence
	Evidence []string      // ids of steps
	Remedy   daruma.Remedy // what would have helped
}

// Rank returns the steps of a failed run, the most suspect first.
func Rank(t *detect.Trace, r detect.Report) []Suspect {
	var suspects []Suspect
	for _, f := range r.Findings {
		suspects = append(suspects, Suspect{Step: f.Step, Call: f.Call, Share: 1 / float64(len(r.Findings)), Agent: t.Steps[f.Step].Agent, Why: f.Message, Evidence: f.Evidence})
	}
	return suspects
}
