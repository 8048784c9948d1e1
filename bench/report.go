package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// ratio sets one figure of one engine beside another's of the same round. It
// is the median over the rounds that have both.
type ratio struct {
	Name   string
	Median float64
	Low    float64
	High   float64
	Rounds int
	Unit   string
	Bar    string // what is promised; empty: reported only
	Met    bool
}

// claim is a ratio to be worked out: over of Engine by over of Beside, or over
// alone where Beside is empty.
type claim struct {
	Name           string
	Measure        string
	Engine, Beside string
	Of             func(result) float64
	Unit           string
	Least, Most    float64 // bars; zero: none
}

var claims = []claim{
	{Name: "many at once, steps/s: Daruma / DBOS (FULL)", Measure: rate, Engine: "daruma", Beside: "dbos", Of: perSecond, Least: 10},
	{Name: "many at once, steps/s: Daruma / DBOS (its default, NORMAL)", Measure: rate, Engine: "daruma", Beside: "dbos-normal", Of: perSecond},
	{Name: "many at once, steps/s: Daruma / go-workflows", Measure: rate, Engine: "daruma", Beside: "goworkflows", Of: perSecond},
	{Name: "many at once, CPU per step: DBOS (FULL) / Daruma", Measure: rate, Engine: "dbos", Beside: "daruma", Of: cpu},
	{Name: "with intents, steps/s: Daruma / DBOS (intent a step of its own)", Measure: effects, Engine: "daruma", Beside: "dbos", Of: perSecond},
	{Name: "one run, p50 of a step: Daruma / bare fsynced insert", Measure: latency, Engine: "daruma", Beside: "bare", Of: median50, Most: 1.5},
	{Name: "one run, p50 of a step: DBOS (FULL) / bare fsynced insert", Measure: latency, Engine: "dbos", Beside: "bare", Of: median50},
	{Name: "kill -9, all have issued their next command: Daruma", Measure: recovery, Engine: "daruma", Of: issued, Unit: " ms", Most: 1000},
	{Name: "kill -9, until all done: DBOS / Daruma", Measure: recovery, Engine: "dbos", Beside: "daruma", Of: done},
	{Name: "kill -9, completed steps repeated: Daruma", Measure: recovery, Engine: "daruma", Of: repeated, Unit: " steps", Most: noneAtAll},
}

// noneAtAll is a bar of zero, which the zero value cannot say.
const noneAtAll = 1e-9

func perSecond(r result) float64 { return r.PerSecond }
func cpu(r result) float64       { return r.CPU }
func median50(r result) float64  { return r.P50 }
func issued(r result) float64    { return r.Issued }
func done(r result) float64      { return r.Done }
func repeated(r result) float64  { return float64(r.Repeated) }

// ratios works out every claim that the results have figures for.
func ratios(results []result) []ratio {
	var out []ratio
	for _, c := range claims {
		var values []float64
		for _, r := range results {
			if r.Engine != c.Engine || r.Measure != c.Measure {
				continue
			}
			if c.Beside == "" {
				values = append(values, c.Of(r))
				continue
			}
			for _, other := range results {
				if other.Engine == c.Beside && other.Measure == c.Measure && other.Round == r.Round && c.Of(other) > 0 {
					values = append(values, c.Of(r)/c.Of(other))
				}
			}
		}
		if len(values) == 0 {
			continue
		}
		unit := c.Unit
		if unit == "" {
			unit = "x"
		}
		m := median(values)
		v := ratio{Name: c.Name, Median: m, Low: slices.Min(values), High: slices.Max(values), Rounds: len(values), Unit: unit}
		switch {
		case c.Least > 0:
			v.Bar, v.Met = fmt.Sprintf("at least %g%s", c.Least, unit), m >= c.Least
		case c.Most == noneAtAll:
			v.Bar, v.Met = "none", v.High == 0
		case c.Most > 0:
			v.Bar, v.Met = fmt.Sprintf("at most %g%s", c.Most, unit), m <= c.Most
		}
		out = append(out, v)
	}
	return out
}

// missed counts the bars that were not met.
func (s report) missed() int {
	n := 0
	for _, r := range s.Ratios {
		if r.Bar != "" && !r.Met {
			n++
		}
	}
	return n
}

func (s report) print(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "\n%d rounds, load average before each: %.2v. Medians (lowest to highest).\n", s.Rounds, s.Loads)
	if len(s.Loads) > 0 && slices.Max(s.Loads) > float64(s.Machine.Cores)/2 {
		fmt.Fprintln(w, "This machine was busy with other things: believe the ratios, not the figures.")
	}
	for _, measure := range measures {
		if !slices.ContainsFunc(s.Results, func(r result) bool { return r.Measure == measure }) {
			continue
		}
		if measure == recovery {
			fmt.Fprintf(t, "\n%s\truns\topen ms\tall issued ms\tall done ms\trepeated\t\n", measure)
		} else {
			fmt.Fprintf(t, "\n%s\tsteps/s\tp50 ms\tp99 ms\tCPU ms/step\tsteps\t\n", measure)
		}
		for _, c := range contenders {
			rs := slices.DeleteFunc(slices.Clone(s.Results), func(r result) bool { return r.Engine != c.Name || r.Measure != measure })
			if len(rs) == 0 {
				continue
			}
			if measure == recovery {
				fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\t%s\t\n", c.Name, rs[0].Runs,
					spread(rs, "%.0f", func(r result) float64 { return r.Open }), spread(rs, "%.0f", issued),
					spread(rs, "%.0f", done), spread(rs, "%.0f", repeated))
				continue
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t\n", c.Name, spread(rs, "%.0f", perSecond), spread(rs, "%.2f", median50),
				spread(rs, "%.1f", func(r result) float64 { return r.P99 }), spread(rs, "%.3f", cpu),
				spread(rs, "%.0f", func(r result) float64 { return float64(r.Steps) }))
		}
		t.Flush()
	}
	if len(s.Ratios) > 0 {
		fmt.Fprintln(w, "\nRatios within a round, median (lowest to highest)")
	}
	for _, r := range s.Ratios {
		verdict := ""
		if r.Bar != "" {
			verdict = map[bool]string{true: "met", false: "MISSED"}[r.Met] + ": " + r.Bar
		}
		fmt.Fprintf(w, "  %-64s %.3g%s (%.3g to %.3g)  %s\n", r.Name, r.Median, r.Unit, r.Low, r.High, verdict)
	}
	for _, c := range contenders {
		i := slices.IndexFunc(s.Results, func(r result) bool { return r.Engine == c.Name })
		if i >= 0 {
			fmt.Fprintf(w, "%s: %s\n", c.Name, s.Results[i].Durability)
		}
	}
	for _, f := range s.Failed {
		fmt.Fprintln(w, "FAILED", f)
	}
}

// String is the line shown while a sitting goes on.
func (r result) String() string {
	if r.Measure == recovery {
		return fmt.Sprintf("%d %-8s %-12s %6d runs, open %.0f ms, all issued %.0f ms, all done %.0f ms, %d repeated",
			r.Round, r.Measure, r.Engine, r.Runs, r.Open, r.Issued, r.Done, r.Repeated)
	}
	return fmt.Sprintf("%d %-8s %-12s %6.0f steps/s, p50 %.2f ms, p99 %.1f ms, CPU %.3f ms/step",
		r.Round, r.Measure, r.Engine, r.PerSecond, r.P50, r.P99, r.CPU)
}

// spread formats the median of a figure and, of several rounds, its range.
func spread(rs []result, format string, of func(result) float64) string {
	var v []float64
	for _, r := range rs {
		v = append(v, of(r))
	}
	text := fmt.Sprintf(format, median(v))
	if len(v) > 1 {
		text += " (" + fmt.Sprintf(format, slices.Min(v)) + "-" + fmt.Sprintf(format, slices.Max(v)) + ")"
	}
	return text
}

// median returns the middle value, of an even number the mean of the two.
func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Sorted(slices.Values(v))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}
