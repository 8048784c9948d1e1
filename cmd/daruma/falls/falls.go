package falls

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/daruma-run/daruma"
)

// runner runs the acts of a scenario. An error, besides one of ctx, means that
// the bench itself does not work.
type runner interface {
	play(ctx context.Context, s *Stage) ([]Ending, error)
}

// Options choose what is run. The zero value is everything.
type Options struct {
	// Without takes these remedies out of Daruma's ladder.
	Without []daruma.Remedy
	// Only is a part of the names of the scenarios to run. Empty means all.
	Only string
	// Runners are "daruma" and "bare". None means both.
	Runners []string
	// Dialect is what Daruma speaks to the models: "openai" or "anthropic".
	// Empty means openai. The bare loop always speaks openai.
	Dialect string
	// Parallel is how many scenarios are on the way at once; they mostly wait.
	// Zero means 12.
	Parallel int
	// Progress, where set, is called after each run of a scenario, by one
	// goroutine at a time.
	Progress func(done, total int, name string)
}

// job is one scenario under one runner.
type job struct {
	scenario *scenario
	runner   string
	player   runner
	result   Result
}

// Run plays the scenarios and returns the report, in the order of families and
// names. Everything happens on loopback and in a temporary folder. Errors:
// KindInvalid for an unknown runner or dialect, or no scenario of that name, and whatever
// keeps the bench from working; that a runner does badly is no error.
func Run(ctx context.Context, o Options) (Report, error) {
	jobs, err := o.jobs()
	if err != nil {
		return Report{}, err
	}
	began := time.Now()
	if o.Parallel <= 0 {
		o.Parallel = 12
	}
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		done   int
		broken error
		places = make(chan struct{}, o.Parallel)
	)
	for _, j := range jobs {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			err := j.run(ctx)
			mu.Lock()
			defer mu.Unlock()
			if done++; o.Progress != nil {
				o.Progress(done, len(jobs), j.scenario.Name)
			}
			broken = errors.Join(broken, err)
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return Report{}, &daruma.Failure{Op: "falls.Run", Kind: daruma.KindOf(err), Err: err}
	}
	if broken != nil {
		return Report{}, &daruma.Failure{Op: "falls.Run", Kind: daruma.KindInternal, Err: broken}
	}
	return newReport(o, jobs, time.Since(began)), nil
}

func (o Options) jobs() ([]*job, error) {
	if o.Dialect != "" && o.Dialect != "openai" && o.Dialect != "anthropic" {
		return nil, daruma.Fail("falls.Run", daruma.KindInvalid, "dialect is %q; accepted: openai, anthropic", o.Dialect)
	}
	known := map[string]runner{"daruma": underDaruma{tenth(daruma.DefaultLadder().Without(o.Without...)), o.Dialect}, "bare": bare{}}
	runners := o.Runners
	if len(runners) == 0 {
		runners = []string{"daruma", "bare"}
	}
	var jobs []*job
	for _, name := range Names() {
		if !strings.Contains(name, o.Only) {
			continue
		}
		s, err := load(name)
		if err != nil {
			return nil, err
		}
		for _, r := range runners {
			if known[r] == nil {
				return nil, daruma.Fail("falls.Run", daruma.KindInvalid, "runner %q is not known; accepted: daruma, bare", r)
			}
			jobs = append(jobs, &job{scenario: s, runner: r, player: known[r]})
		}
	}
	if len(jobs) == 0 {
		return nil, daruma.Fail("falls.Run", daruma.KindInvalid, "no scenario has %q in its name; accepted: %s", o.Only, strings.Join(Names(), ", "))
	}
	slices.SortStableFunc(jobs, func(a, b *job) int {
		return slices.Index(families, a.scenario.Family) - slices.Index(families, b.scenario.Family)
	})
	return jobs, nil
}

// run plays one scenario on a stage of its own and judges it.
func (j *job) run(ctx context.Context) error {
	stage, err := Serve(j.scenario.Name)
	if err != nil {
		return err
	}
	if err := stage.listen(); err != nil {
		return err
	}
	defer stage.close()
	ctx, cancel := context.WithTimeout(ctx, j.scenario.Deadline)
	defer cancel()
	began := time.Now()
	endings, err := j.player.play(ctx, stage)
	j.result = Result{Runner: j.runner, Took: time.Since(began).Seconds()}
	if ctx.Err() != nil {
		endings, err = append(endings, Ending{State: hung}), nil
	}
	if err != nil {
		return fmt.Errorf("%s under %s: %w", j.scenario.Name, j.runner, err)
	}
	if n := len(endings); n > 0 { // what happened after all was said counts too
		endings[n-1].Ledger = append(endings[n-1].Ledger, stage.news()...)
	}
	j.result.judge(j.scenario, endings)
	return nil
}
