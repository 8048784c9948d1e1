package main

import (
	"fmt"
	"os"

	"github.com/daruma-run/daruma/detect"
	"github.com/daruma-run/daruma/detect/cause"
	"github.com/daruma-run/daruma/detect/trace"
)

type diagnoseCommand struct {
	Files []string `arg:"" optional:"" placeholder:"FILE" help:"Transcripts of agents, in any format that is recognised."`
}

// Run performs daruma diagnose.
func (cmd *diagnoseCommand) Run(p *program) error {
	findings := false
	for _, name := range cmd.Files {
		file, err := os.Open(name)
		if err != nil {
			return err
		}
		defer file.Close()
		for t, err := range trace.Read(file) {
			if err != nil {
				return err
			}
			report := detect.Scan(t, detect.Knowledge{})
			for i, s := range cause.Rank(t, report) {
				findings = true
				fmt.Fprintf(p.out, "%d. step %s: %s\n", i+1, t.Steps[s.Step].ID, s.Why)
			}
		}
	}
	if findings {
		return exitCode(1)
	}
	return nil
}
