package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"
)

func main() {
	if len(os.Args) == 3 && os.Args[1] == childCommand {
		exit(child(os.Args[2]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := bench(ctx, os.Args[1:])
	stop()
	exit(err)
}

func exit(err error) {
	switch {
	case err == nil:
		os.Exit(0)
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	}
	fmt.Fprintln(os.Stderr, "bench:", err)
	os.Exit(1)
}

// report is all that is kept of a sitting.
type report struct {
	Machine machine
	Rounds  int
	Loads   []float64 // load average before each round
	Results []result
	Ratios  []ratio
	Failed  []string // measurements that gave no result
}

func bench(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	rounds := flags.Int("rounds", 3, "how often everything is measured; medians are reported")
	engines := flags.String("engines", "daruma,dbos,goworkflows,bare", "engines, separated by commas")
	which := flags.String("measures", strings.Join(measures, ","), "measures, separated by commas")
	runs := flags.Int("runs", 64, "runs at once of rate and effects")
	steps := flags.Int("steps", 10, "steps of one run; even")
	single := flags.Int("single", 200, "runs of latency, one after the other")
	flight := flags.Int("inflight", 1000, "runs in flight at the kill")
	window := flags.Duration("window", 2*time.Second, "how long new runs are started in rate and effects")
	limit := flags.Duration("limit", 4*time.Minute, "when to stop and report what there is")
	dir := flags.String("dir", "", "folder on the disk to measure; empty: the system's temporary folder")
	profiles := flags.String("profile", "", "folder for CPU profiles of the children, one for each engine and measure")
	out := flags.String("json", "", "file for all results as JSON")
	check := flags.Bool("check", false, "exit 1 if a bar is missed")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 || *steps < 2 || *steps%2 != 0 || min(*rounds, *runs, *single, *flight) < 1 {
		return fmt.Errorf("accepted: flags only, an even number of steps, everything else from 1; see -help")
	}
	field, err := pick(*engines)
	if err != nil {
		return err
	}
	asked := strings.Split(*which, ",")
	for _, m := range asked {
		if !slices.Contains(measures, m) {
			return fmt.Errorf("measure %q is unknown; accepted: %s", m, strings.Join(measures, ", "))
		}
	}

	ctx, cancel := context.WithTimeout(ctx, *limit)
	defer cancel()
	base, err := os.MkdirTemp(*dir, "daruma-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(base)
	sitting := report{Machine: describe(base)}
	fmt.Println(sitting.Machine)

	for round := range *rounds {
		sitting.Loads = append(sitting.Loads, load())
		for _, measure := range asked {
			for i := range field {
				c := field[(i+round)%len(field)]
				if !slices.Contains(c.Measures, measure) || measure == recovery && c.Once && round > 0 || ctx.Err() != nil {
					continue
				}
				t := task{Contender: c.Name, Measure: measure, Runs: *runs, Steps: *steps, Window: *window, Profile: *profiles}
				switch measure {
				case latency:
					t.Runs = or(c.Latency, *single)
				case recovery:
					t.Runs = min(or(c.Runs, *flight), *flight)
				}
				r, err := measureOne(ctx, base, t)
				if err != nil {
					sitting.Failed = append(sitting.Failed, fmt.Sprintf("round %d: %v", round+1, err))
					fmt.Fprintf(os.Stderr, "round %d: %v\n", round+1, err)
					continue
				}
				r.Round = round + 1
				sitting.Results = append(sitting.Results, r)
				fmt.Fprintln(os.Stderr, r)
			}
		}
		if ctx.Err() != nil {
			fmt.Fprintf(os.Stderr, "stopped in round %d: %v\n", round+1, ctx.Err())
			break
		}
		sitting.Rounds = round + 1
	}

	sitting.Ratios = ratios(sitting.Results)
	sitting.print(os.Stdout)
	if *out != "" {
		text, err := json.MarshalIndent(sitting, "", "\t")
		if err != nil {
			return err
		}
		if err := os.WriteFile(*out, append(text, '\n'), 0o644); err != nil {
			return err
		}
	}
	if missed := sitting.missed(); *check && missed > 0 {
		return fmt.Errorf("%d bars are missed", missed)
	}
	if len(sitting.Failed) > 0 {
		return fmt.Errorf("%d measurements failed", len(sitting.Failed))
	}
	return ctx.Err()
}

func or(a, b int) int {
	if a != 0 {
		return a
	}
	return b
}
