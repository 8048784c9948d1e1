package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// config is what a child hands to its engine.
type config struct {
	Dir     string // an empty folder on the disk under test; the same one again after a kill
	Steps   int    // of one run
	Intents bool   // every second step has an effect: its intent is on disk before it begins
	Relaxed bool   // the engine's own weaker default instead of synchronous=FULL

	// Work is the body of every step. It may be called from many goroutines.
	Work func(run string, step int) string
}

// engine is one durable engine, open on a folder.
type engine interface {
	// Start starts a run. It returns once the run will survive a crash, with
	// a function that waits until the run is done and durable.
	Start(ctx context.Context, run string) (wait func() error, err error)

	// Await returns once all of these runs are finished on disk, those that
	// another process left unfinished too.
	Await(ctx context.Context, runs []string) error

	// Durability says what the engine's commits promise.
	Durability() string

	Close() error
}

// Measures, in the order of a round.
const (
	rate     = "rate"     // many runs at once, steps per second
	effects  = "effects"  // the same, every second step a call with an effect
	latency  = "latency"  // one run at a time, time from step to step
	recovery = "recovery" // many runs in flight, kill -9, restart
)

var measures = []string{rate, effects, latency, recovery}

// contender is an engine as the command line and the tables name it.
type contender struct {
	Name     string
	Of       string // the engine it belongs to on the command line
	Relaxed  bool
	Measures []string
	Runs     int  // in flight at a kill; zero: as many as asked for
	Once     bool // recovery is slow: only in the first round
	Latency  int  // runs for the latency; zero: as many as asked for
	Open     func(ctx context.Context, c config) (engine, error)
}

var contenders = []contender{
	{Name: "daruma", Of: "daruma", Measures: measures, Open: openDaruma},
	{Name: "dbos", Of: "dbos", Measures: measures, Open: openDBOS},
	{Name: "dbos-normal", Of: "dbos", Relaxed: true, Measures: []string{rate, latency}, Open: openDBOS},
	{Name: "goworkflows", Of: "goworkflows", Measures: []string{rate, latency, recovery}, Runs: 200, Once: true, Latency: 20, Open: openGoWorkflows},
	{Name: "bare", Of: "bare", Measures: []string{rate, latency}, Open: openBare},
}

// pick returns the contenders of a comma-separated list of engines.
func pick(list string) ([]contender, error) {
	var names []string
	for _, c := range contenders {
		if !slices.Contains(names, c.Of) {
			names = append(names, c.Of)
		}
	}
	var out []contender
	for name := range strings.SplitSeq(list, ",") {
		if !slices.Contains(names, name) {
			return nil, fmt.Errorf("engine %q is unknown; accepted: %s", name, strings.Join(names, ", "))
		}
		for _, c := range contenders {
			if c.Of == name {
				out = append(out, c)
			}
		}
	}
	return out, nil
}

// isEffect reports whether a step of a run with intents has an effect: the
// model's turn is even, the tool's odd.
func isEffect(step int) bool { return step%2 == 1 }
