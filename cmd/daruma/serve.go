package main

import (
	"context"
	"fmt"
	"os"

	"github.com/daruma-run/daruma"
)

type serveCommand struct{}

// Run performs daruma serve: it goes on with every run that was left, and with
// those that other processes start through the owner's socket.
func (cmd *serveCommand) Run(ctx context.Context, p *program) error {
	c, err := p.configuration()
	if err != nil {
		return err
	}
	sys, err := c.build()
	if err != nil {
		return err
	}
	if len(sys.agents) == 0 {
		return c.noAgents()
	}
	path, err := c.journalPath()
	if err != nil {
		return err
	}
	return p.again(ctx, func(opened func()) error { return p.serve(ctx, c, path, opened) })
}

// serve owns the journal until it is interrupted or the journal stops.
func (p *program) serve(ctx context.Context, c *config, path string, opened func()) error {
	db, err := openJournal(ctx, path)
	if daruma.KindOf(err) == daruma.KindExists {
		return hinted{err, "one process owns a journal; daruma run, resume, show and the others work beside it"}
	}
	if err != nil {
		return err
	}
	defer db.Close()
	opened()
	stop, err := p.startServers(ctx, c, true)
	if err != nil {
		return err
	}
	defer stop()
	shell, err := c.shell(db, p.announce)
	if err != nil {
		return err
	}
	if p.Output != "json" {
		fmt.Fprintf(p.out, "daruma owns %s (pid %d); daruma run, show, approve … work from other terminals; interrupt to stop\n", shown(c.Journal), os.Getpid())
	}
	defer giveBack()()
	err = shell.Run(ctx)
	if ctx.Err() != nil {
		p.stop()
	}
	return err
}

// announce tells of runs that end or wait for somebody.
func (p *program) announce(run daruma.RunID, events []daruma.Event) {
	for _, e := range events {
		if e.Kind != daruma.KindFinished && e.Kind != daruma.KindParked && e.Kind != daruma.KindSignal {
			continue
		}
		if p.Output == "json" {
			p.writeJSON(map[string]any{"run": run, "event": e})
			continue
		}
		var s story
		fmt.Fprintf(p.out, "%s %s\n", run, s.line(e))
	}
}
