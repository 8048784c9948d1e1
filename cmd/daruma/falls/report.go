package falls

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/daruma-run/daruma"
)

// Report is what a bench found.
type Report struct {
	Without []daruma.Remedy `json:"without,omitempty"`
	Rows    []Row           `json:"rows"`
	Totals  []Total         `json:"totals"`
	Took    float64         `json:"took"` // seconds
}

// Row is one scenario.
type Row struct {
	Scenario string    `json:"scenario"`
	Family   string    `json:"family"`
	Fall     string    `json:"fall"`
	Best     []Outcome `json:"best"`          // of the first act
	Gap      string    `json:"gap,omitempty"` // nobody catches it yet: not counted
	Results  []Result  `json:"results"`
}

// Result is what one runner made of a scenario.
type Result struct {
	Runner  string  `json:"runner"`
	Outcome Outcome `json:"outcome"` // of the worst act
	Score   float64 `json:"score"`
	Why     string  `json:"why"`
	Took    float64 `json:"took,omitempty"` // seconds
}

// Total is what a runner made of all scenarios that count.
type Total struct {
	Runner    string          `json:"runner"`
	Recorded  string          `json:"recorded,omitempty"` // of a peer: when, and with which versions
	Scenarios int             `json:"scenarios"`
	Score     float64         `json:"score"`
	Outcomes  map[Outcome]int `json:"outcomes"`
	Skipped   int             `json:"skipped,omitempty"` // scenarios a peer cannot play, or that changed since
}

// judge fills in what the acts come to: the worst of them.
func (r *Result) judge(s *scenario, endings []Ending) {
	r.Score = 2
	for i := range s.Acts {
		v := verdict{Hang, "did not come so far"}
		if i < len(endings) {
			v = s.Acts[i].judge(endings[i])
		}
		score := s.Acts[i].score(v.outcome)
		if score < r.Score {
			r.Outcome, r.Score, r.Why = v.outcome, score, v.why
			if i > 0 {
				r.Why = "second run: " + r.Why
			}
		}
	}
}

func newReport(o Options, jobs []*job, took time.Duration) Report {
	r := Report{Without: o.Without, Took: took.Round(time.Millisecond).Seconds()}
	for _, j := range jobs {
		s := j.scenario
		if n := len(r.Rows); n == 0 || r.Rows[n-1].Scenario != s.Name {
			r.Rows = append(r.Rows, Row{Scenario: s.Name, Family: s.Family, Fall: s.Fall, Best: s.Acts[0].Best, Gap: s.Gap})
		}
		row := &r.Rows[len(r.Rows)-1]
		row.Results = append(row.Results, j.result)
	}
	r.sum()
	return r
}

// Add puts the recorded runs of a peer beside the others.
func (r *Report) Add(p Peer) {
	for i := range r.Rows {
		if result, ok := p.Results[r.Rows[i].Scenario]; ok {
			r.Rows[i].Results = append(r.Rows[i].Results, result)
		}
	}
	r.sum()
	for i := range r.Totals {
		if r.Totals[i].Runner == p.Name {
			r.Totals[i].Recorded = p.Recorded
			for _, row := range r.Rows {
				if _, ok := p.Results[row.Scenario]; !ok && row.Gap == "" {
					r.Totals[i].Skipped++
				}
			}
		}
	}
}

func (r *Report) sum() {
	old := r.Totals
	r.Totals = nil
	for _, row := range r.Rows {
		for _, result := range row.Results {
			i := slices.IndexFunc(r.Totals, func(t Total) bool { return t.Runner == result.Runner })
			if i < 0 {
				i = len(r.Totals)
				t := Total{Runner: result.Runner}
				if k := slices.IndexFunc(old, func(t Total) bool { return t.Runner == result.Runner }); k >= 0 {
					t.Recorded, t.Skipped = old[k].Recorded, old[k].Skipped
				}
				t.Outcomes = map[Outcome]int{}
				r.Totals = append(r.Totals, t)
			}
			if row.Gap == "" {
				r.Totals[i].Scenarios++
				r.Totals[i].Score += result.Score
				r.Totals[i].Outcomes[result.Outcome]++
			}
		}
	}
}

// Total returns the total of a runner; its Scenarios are zero where there is none.
func (r *Report) Total(runner string) Total {
	for _, t := range r.Totals {
		if t.Runner == runner {
			return t
		}
	}
	return Total{Runner: runner}
}

// Table prints the report for people.
func (r *Report) Table(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	names := make([]string, len(r.Totals))
	for i, total := range r.Totals {
		names[i] = total.Runner
	}
	fmt.Fprintf(t, "scenario\tbest\t%s\n", strings.Join(names, "\t"))
	family := ""
	for _, row := range r.Rows {
		if row.Gap != "" {
			continue
		}
		if row.Family != family {
			family = row.Family
			fmt.Fprintf(t, "— %s\n", family)
		}
		r.row(t, row, names)
	}
	gap := false
	for _, row := range r.Rows {
		if row.Gap != "" {
			if !gap {
				gap = true
				fmt.Fprintf(t, "— not caught yet, not counted\n")
			}
			r.row(t, row, names)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	return r.footer(w)
}

func (r *Report) row(w io.Writer, row Row, names []string) {
	best := make([]string, len(row.Best))
	for i, b := range row.Best {
		best[i] = string(b)
	}
	fmt.Fprintf(w, "%s\t%s", row.Scenario, strings.Join(best, "/"))
	for _, name := range names {
		cell := "·"
		for _, result := range row.Results {
			if result.Runner == name {
				cell = string(result.Outcome)
				if result.Score == 0.5 {
					cell += " ½"
				}
			}
		}
		fmt.Fprintf(w, "\t%s", cell)
	}
	fmt.Fprintln(w)
}

func (r *Report) footer(w io.Writer) error {
	var b strings.Builder
	b.WriteString("\n")
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\tscore\tof\tcompleted\tdegraded\tparked\tfailed\tWRONG\thang")
	for _, total := range r.Totals {
		o := total.Outcomes
		fmt.Fprintf(t, "%s\t%.1f\t%d\t%d\t%d\t%d\t%d\t%d\t%d\n", total.Runner, total.Score, total.Scenarios,
			o[Completed], o[Degraded], o[Parked], o[Failed], o[Wrong], o[Hang])
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, total := range r.Totals {
		if total.Recorded != "" {
			fmt.Fprintf(&b, "%s: recorded, %s; %d scenarios not played\n", total.Runner, total.Recorded, total.Skipped)
		}
	}
	if len(r.Without) > 0 {
		fmt.Fprintf(&b, "daruma ran without %v\n", r.Without)
	}
	fmt.Fprintf(&b, "½: an honest outcome, but a better one can be reached. %.1f s\n", r.Took)
	for _, row := range r.Rows {
		for _, result := range row.Results {
			if result.Runner == "daruma" && result.Score < 1 {
				fmt.Fprintf(&b, "  daruma, %s: %s: %s\n", row.Scenario, result.Outcome, cut(result.Why, 140))
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func cut(text string, n int) string {
	if utf8.RuneCountInString(text) <= n {
		return text
	}
	return string([]rune(text)[:n-1]) + "…"
}
