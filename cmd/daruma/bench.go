package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/cmd/daruma/falls"
)

type benchCommand struct {
	Recover recoverCommand     `cmd:"" help:"Scripted falls: how many end well under Daruma, beside a bare loop and recorded peers."`
	Detect  detectBenchCommand `cmd:"" help:"The detectors on labelled runs and injected loops, beside the published rules of others."`
	Judge   judgeCommand       `cmd:"" help:"Judge what peers recorded of the scripted falls: the file of bench/peers on standard input."`
}

type recoverCommand struct {
	Without []string `placeholder:"REMEDY" sep:"," help:"Take rungs out of the ladder: repair, reflect, switch_tool, switch_model, escalate, degrade."`
	Only    string   `placeholder:"TEXT" help:"Only scenarios whose name contains this."`
	Names   bool     `help:"Print the names of the scenarios, one a line, and run nothing."`
	Dialect string   `default:"openai" help:"What Daruma speaks to the models: openai, anthropic."`
	Runner  []string `placeholder:"NAME" help:"daruma, bare; default both."`
}

// Run performs daruma bench recover. It exits with 1 where Daruma did something
// wrong or hung.
func (cmd *recoverCommand) Run(ctx context.Context, p *program) error {
	if cmd.Names {
		fmt.Fprintln(p.out, strings.Join(falls.Names(), "\n"))
		return nil
	}
	o := falls.Options{Only: cmd.Only, Runners: cmd.Runner, Dialect: cmd.Dialect}
	for _, name := range cmd.Without {
		var r daruma.Remedy
		if err := r.UnmarshalText([]byte(name)); err != nil {
			return err
		}
		o.Without = append(o.Without, r)
	}
	if terminal(p.errors) {
		o.Progress = func(done, total int, name string) {
			fmt.Fprintf(p.errors, "\r%d/%d %-40s", done, total, name)
			if done == total {
				fmt.Fprint(p.errors, "\r"+strings.Repeat(" ", 60)+"\r")
			}
		}
	}
	report, err := falls.Run(ctx, o)
	if err != nil {
		return err
	}
	peers, err := falls.Recorded()
	if err != nil {
		return err
	}
	for _, peer := range peers {
		report.Add(peer)
	}
	if p.Output == "json" {
		err = p.writeJSON(report)
	} else {
		err = report.Table(p.out)
	}
	if err != nil {
		return err
	}
	if t := report.Total("daruma"); len(o.Without) == 0 && t.Outcomes[falls.Wrong]+t.Outcomes[falls.Hang] > 0 && (len(o.Runners) == 0 || slices.Contains(o.Runners, "daruma")) {
		return exitCode(exitFailed)
	}
	return nil
}

type judgeCommand struct{}

// Run performs daruma bench judge.
func (cmd *judgeCommand) Run(p *program) error {
	peers, err := falls.JudgePeers(p.in)
	if err != nil {
		return err
	}
	return p.writeJSON(peers)
}
