package main

import (
	"fmt"
	"strings"
	"sync"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/agent"
)

// teller prints the story of one run while it happens; with -o json only what
// the result says at the end. Its methods may be called by many goroutines.
type teller struct {
	p    *program
	only daruma.RunID

	mu    sync.Mutex
	story story
	early []daruma.Event // of runs before only was known
}

func (t *teller) observe(run daruma.RunID, events []daruma.Event) {
	if t.p.Output == "json" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if run != t.only {
		return
	}
	from := 0
	for i, e := range events {
		if e.Kind == daruma.KindForked {
			from = i // what is before happened to the origin, and was told there
		}
	}
	for _, e := range events[from:] {
		if line := t.story.line(e); line != "" {
			fmt.Fprintf(t.p.out, "  %s\n", line)
		}
	}
}

// follow tells the run of this name from now on.
func (t *teller) follow(id daruma.RunID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.only = id
}

// flush waits until what was observed has been printed.
func (t *teller) flush() {
	t.mu.Lock()
	defer t.mu.Unlock()
}

// parked tells what the run waits for and how to give it.
func (t *teller) parked(r agent.Result) {
	if t.p.Output == "json" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, line := range nextSteps(r) {
		fmt.Fprintf(t.p.out, "    %s\n", line)
	}
}

// stuck tells which sub-runs a run waits for, and how to give them what they
// wait for.
func (t *teller) stuck(below []agent.Result) {
	if t.p.Output == "json" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range below {
		fmt.Fprintf(t.p.out, "  %s %s\n", markHuman, printable(stuckText([]agent.Result{r})))
		for _, line := range nextSteps(r) {
			fmt.Fprintf(t.p.out, "    %s\n", line)
		}
	}
}

// nextSteps says which command gives a parked run what it waits for.
func nextSteps(r agent.Result) []string {
	var lines []string
	for _, a := range r.Approvals {
		lines = append(lines, "daruma approve "+a.ID+"   or   daruma reject "+a.ID+" --reason …")
	}
	if r.Parked == nil {
		return lines
	}
	switch r.Parked.Reason {
	case daruma.ParkMoney:
		if r.Parked.Budget != "" {
			lines = append(lines, fmt.Sprintf("daruma budgets raise %s USD", r.Parked.Budget))
			break
		}
		lines = append(lines, fmt.Sprintf("daruma resume %s --money USD", r.Run))
	case daruma.ParkSteps:
		lines = append(lines, fmt.Sprintf("daruma resume %s --steps N", r.Run))
	case daruma.ParkTime:
		lines = append(lines, fmt.Sprintf("daruma resume %s --time 10m", r.Run))
	case daruma.ParkTokens:
		lines = append(lines, fmt.Sprintf("daruma resume %s --tokens N", r.Run))
	}
	if len(r.Parked.Options) > 0 {
		lines = append(lines, fmt.Sprintf("daruma answer %s CHOICE --question %s   CHOICE: %s", r.Run, r.Parked.ID, strings.Join(r.Parked.Options, ", ")))
	}
	return lines
}

// nextLines says what an unfinished run waits for: what answers it or the
// sub-runs below it that are all it waits for, or, where the answer has come
// already or nobody works on the journal, somebody who acts.
func nextLines(r agent.Result, answered string, below []agent.Result, idle bool) []string {
	var lines []string
	switch {
	case r.Finished != nil:
	case answered != "":
		lines = append(lines, "answered, not acted on yet: "+answered, fmt.Sprintf("next: daruma resume %s", r.Run))
	case r.Parked != nil:
		for _, line := range nextSteps(r) {
			lines = append(lines, "next: "+line)
		}
	case len(below) > 0:
		lines = append(lines, stuckText(below))
		for _, b := range below {
			for _, line := range nextSteps(b) {
				lines = append(lines, "next: "+line)
			}
		}
	default:
		if r.State == daruma.Waiting {
			lines = append(lines, r.Note)
		}
		if idle && (r.State == daruma.Running || r.State == daruma.Waiting) {
			lines = append(lines, fmt.Sprintf("no process works on it; next: daruma resume %s", r.Run))
		}
	}
	return lines
}

// resultJSON is a result as -o json prints it.
type resultJSON struct {
	Run       daruma.RunID      `json:"run"`
	State     daruma.RunState   `json:"state"`
	Level     daruma.Level      `json:"level"`
	Answer    string            `json:"answer,omitempty"`
	Missing   []string          `json:"missing,omitempty"`
	Undone    []string          `json:"compensated,omitempty"`
	Remaining []string          `json:"remaining,omitempty"`
	Text      string            `json:"text,omitempty"`
	Parked    *daruma.Parked    `json:"parked,omitempty"`
	Approvals []daruma.Approval `json:"approvals,omitempty"`
	Next      []string          `json:"next,omitempty"`     // commands that help a parked run
	Answered  string            `json:"answered,omitempty"` // what came for the run that it has not acted on yet
	Falls     []daruma.Fall     `json:"falls"`
	Steps     int               `json:"steps"`
	Usage     daruma.Usage      `json:"usage"`
	Cost      string            `json:"cost"`
}

func jsonOf(r agent.Result, answered string) resultJSON {
	out := resultJSON{Run: r.Run, State: r.State, Parked: r.Parked, Approvals: r.Approvals,
		Level: r.Level, Falls: r.Falls, Steps: r.Steps, Usage: r.Usage, Cost: r.Cost.String(), Text: r.Note}
	if out.Falls == nil {
		out.Falls = []daruma.Fall{}
	}
	if f := r.Finished; f != nil {
		out.Answer, out.Missing, out.Text = f.Answer, f.Missing, f.Text
		out.Undone, out.Remaining = f.Compensated, f.Remaining
	} else if out.Answered = answered; answered != "" {
		out.Next = []string{"daruma resume " + string(r.Run)}
	} else {
		out.Next = nextSteps(r)
	}
	return out
}

// result prints how a run ended and turns it into an exit code.
func (p *program) result(r agent.Result) error {
	if p.Output == "json" {
		if err := p.writeJSON(jsonOf(r, "")); err != nil {
			return err
		}
		return stateCode(r.State)
	}
	switch {
	case r.Finished != nil:
		fmt.Fprintln(p.out)
		if r.Finished.Answer != "" {
			fmt.Fprintln(p.out, printableLines(r.Finished.Answer))
		}
		for _, u := range r.Finished.Compensated {
			fmt.Fprintf(p.out, "compensated: %s\n", printable(u))
		}
		for _, u := range r.Finished.Remaining {
			fmt.Fprintf(p.out, "remaining: %s\n", printable(u))
		}
		for _, m := range r.Finished.Missing {
			fmt.Fprintf(p.out, "missing: %s\n", printable(m))
		}
		if r.Finished.Answer == "" && r.Finished.Text != "" {
			fmt.Fprintln(p.out, printable(r.Finished.Text))
		}
	case r.State == daruma.ParkedState:
		fmt.Fprintf(p.out, "\nparked: %s\n", printable(r.Parked.Text))
		for _, line := range nextSteps(r) {
			fmt.Fprintf(p.out, "    %s\n", line)
		}
	default:
		fmt.Fprintf(p.out, "\n%s: %s\n", r.State, printable(r.Note))
	}
	fmt.Fprintf(p.out, "%s %s, %s, %s, %s, %s\n", r.Run, stateText(r.State, r.Level), plural(r.Steps, "step"), plural(int(r.Usage.Total()), "token"), r.Cost, plural(len(r.Falls), "fall"))
	return stateCode(r.State)
}

// plural says "1 step", "2 steps".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// printableLines is printable for text of several lines.
func printableLines(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = printable(lines[i])
	}
	return strings.Join(lines, "\n")
}

// stateCode is the exit code for a run's state.
func stateCode(s daruma.RunState) error {
	switch s {
	case daruma.Completed:
		return nil
	case daruma.Degraded:
		return exitCode(exitDegraded)
	case daruma.ParkedState, daruma.Waiting:
		return exitCode(exitParked)
	case daruma.Cancelled:
		return exitCode(exitCancelled)
	}
	return exitCode(exitFailed)
}
