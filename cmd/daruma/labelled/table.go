package labelled

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"text/tabwriter"
)

// Options say what is measured. The zero Options measure everything on the
// sets of the working directory, with seed 0.
type Options struct {
	Data     string                             // folder of the sets
	Seed     uint64                             // of the injected loops and of bootstraps
	Only     string                             // only parts whose name contains this
	Progress func(done, total int, name string) // may be nil
}

// Row is one figure.
type Row struct {
	Part   string  `json:"part"` // what it belongs to, such as "loops"
	Name   string  `json:"name"` // what was measured
	Who    string  `json:"who"`  // "daruma", or whose published rule it is
	Value  float64 `json:"value"`
	Low    float64 `json:"low"` // 95 % bounds
	High   float64 `json:"high"`
	Count  string  `json:"count"`            // such as "31 of 47"
	Better string  `json:"better,omitempty"` // ">=" or "<=": how Value is compared with Target
	Target float64 `json:"target,omitzero"`
	Best   string  `json:"best,omitempty"` // the best published figure
	Note   string  `json:"note,omitempty"`
}

// Reached reports whether the figure reaches its target; a row without one does.
func (r Row) Reached() bool {
	switch r.Better {
	case ">=":
		return r.Value >= r.Target
	case "<=":
		return r.Value <= r.Target
	}
	return true
}

// part measures some rows. An error that is [fs.ErrNotExist] says that its set
// is not there.
type part struct {
	name string
	rows func(context.Context, Options) ([]Row, error)
}

// parts are all measurements, in the order of the table.
var parts = []part{}

// Rows measures. Sets that are missing are listed in missing.
func Rows(ctx context.Context, o Options) (rows []Row, missing []string, err error) {
	for i, p := range parts {
		if o.Progress != nil {
			o.Progress(i, len(parts), p.name)
		}
		found, err := p.rows(ctx, o)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			missing = append(missing, fmt.Sprintf("%s: %v", p.name, err))
		case err != nil:
			return rows, missing, fmt.Errorf("%s: %w", p.name, err)
		}
		rows = append(rows, found...)
	}
	return rows, missing, nil
}

// Write writes the table for people.
func Write(w io.Writer, rows []Row) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "part\twhat\twho\tvalue\t95 %\tcount\tgoal\tbest published\tnote")
	for _, r := range rows {
		goal := ""
		if r.Better != "" {
			goal = fmt.Sprintf("%s %.4g", r.Better, r.Target)
			if !r.Reached() {
				goal += " MISSED"
			}
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%.4g\t%.3f to %.3f\t%s\t%s\t%s\t%s\n", r.Part, r.Name, r.Who, r.Value, r.Low, r.High, r.Count, goal, r.Best, r.Note)
	}
	return t.Flush()
}
