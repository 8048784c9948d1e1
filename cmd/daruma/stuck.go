package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/agent"
)

// stuck returns the parked sub-runs that are all a run waits for; none while
// anything below it goes on by itself.
func stuck(ctx context.Context, j daruma.Reader, id daruma.RunID) ([]agent.Result, error) {
	info, err := j.Run(ctx, id)
	if err != nil || info.State != daruma.Waiting {
		return nil, err
	}
	run, err := agent.Read(ctx, j, id)
	if err != nil || !run.WakeAt().IsZero() {
		return nil, err
	}
	var all []agent.Result
	for _, child := range run.Children() {
		info, err := j.Run(ctx, child)
		if err != nil {
			return nil, err
		}
		below := []agent.Result{{Run: child, State: info.State, Note: info.Note}}
		switch info.State {
		case daruma.ParkedState:
			c, err := agent.Read(ctx, j, child)
			if err != nil {
				return nil, err
			}
			below[0] = agent.ResultOf(c)
		case daruma.Quarantined:
		default:
			if below, err = stuck(ctx, j, child); err != nil || len(below) == 0 {
				return nil, err
			}
		}
		all = append(all, below...)
	}
	return all, nil
}

// stuckText names sub-runs and what they wait for.
func stuckText(below []agent.Result) string {
	names := make([]string, len(below))
	for i, r := range below {
		names[i] = fmt.Sprintf("sub-run %s is %s: %s", r.Run, r.State, r.Note)
	}
	return strings.Join(names, "; ")
}

// waitTree waits as wait does. Where the run waits for parked sub-runs alone,
// it asks tell, once for each way of being stuck, and ends where that says so;
// stopped is true then.
func waitTree(ctx context.Context, j daruma.Reader, id daruma.RunID, wait func(context.Context, daruma.RunID) (agent.Result, error),
	tell func([]agent.Result) (stop bool)) (result agent.Result, stopped bool, err error) {
	inner, cancel := context.WithCancel(ctx)
	type answer struct {
		result agent.Result
		err    error
	}
	out := make(chan answer, 1)
	go func() {
		r, err := wait(inner, id)
		out <- answer{r, err}
	}()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	told := ""
	for {
		select {
		case a := <-out:
			cancel()
			return a.result, false, a.err
		case <-tick.C:
		}
		below, err := stuck(inner, j, id)
		text := stuckText(below)
		if err == nil && (len(below) == 0 || text == told) {
			continue
		}
		if told = text; err == nil && !tell(below) {
			continue
		}
		cancel()
		<-out
		if err != nil {
			return agent.Result{}, false, err
		}
		run, err := agent.Read(ctx, j, id)
		if err != nil {
			return agent.Result{}, false, err
		}
		result = agent.ResultOf(run)
		result.Note = text
		return result, true, nil
	}
}
