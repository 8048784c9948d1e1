package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/daruma-run/daruma/cmd/daruma/labelled"
)

type detectBenchCommand struct {
	Data string `default:"data" placeholder:"DIR" help:"Folder of the labelled sets."`
	Seed uint64 `default:"1" help:"Of the injected loops and of the bootstraps."`
	Only string `placeholder:"TEXT" help:"Only parts whose name contains this."`
}

// Run performs daruma bench detect. It exits with 1 where a goal is missed.
func (cmd *detectBenchCommand) Run(ctx context.Context, p *program) error {
	o := labelled.Options{Data: cmd.Data, Seed: cmd.Seed, Only: cmd.Only}
	if terminal(p.errors) {
		o.Progress = func(done, total int, name string) {
			fmt.Fprintf(p.errors, "\r%d/%d %-40s", done, total, name)
		}
	}
	rows, missing, err := labelled.Rows(ctx, o)
	if o.Progress != nil {
		fmt.Fprint(p.errors, "\r"+strings.Repeat(" ", 60)+"\r")
	}
	if err != nil {
		return err
	}
	for _, m := range missing {
		fmt.Fprintln(p.errors, "not measured:", m)
	}
	if p.Output == "json" {
		return p.writeJSON(rows)
	}
	return labelled.Write(p.out, rows)
}
