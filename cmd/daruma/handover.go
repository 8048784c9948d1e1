package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/agent"
)

// own opens the journal, or reaches the process that owns it.
func own(ctx context.Context, path string) (owned, access, error) {
	const every, most = 50 * time.Millisecond, 20
	for try := 0; ; try++ { // an owner may come or go between the two looks
		db, err := openJournal(ctx, path)
		if daruma.KindOf(err) != daruma.KindExists {
			return db, nil, err
		}
		remote, derr := ownerOf(ctx, path)
		if derr == nil {
			return nil, remote, nil
		}
		if daruma.KindOf(derr) != daruma.KindUnavailable || try == most {
			return nil, nil, errors.Join(err, derr)
		}
		select {
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		case <-time.After(every):
		}
	}
}

// handOver lets the process that owns the journal do the work, and follows it.
func (p *program) handOver(ctx context.Context, c *config, conn access, w work) error {
	t := &teller{p: p}
	if w.start != nil || w.fork != nil {
		// The run freezes what its tools are, and only the servers know that.
		stop, err := p.startServers(ctx, c, false)
		if err != nil {
			return err
		}
		shell, err := c.shell(starter{conn}, nil)
		if err == nil {
			err = p.begin(ctx, shell, conn, &w, t)
		}
		stop()
		if err != nil {
			return err
		}
	} else if err := p.begin(ctx, nil, conn, &w, t); err != nil {
		return err
	}
	switch {
	case w.detach:
		return p.detached(w.run, true)
	case w.run == "":
		return daruma.Fail("resume", daruma.KindInvalid, "the process that owns %s is working on it already; daruma runs shows what it does", shown(c.Journal))
	}
	if err := acted(ctx, conn, w.run); err != nil {
		return err
	}
	return p.follow(ctx, conn, w, t)
}

// follow shows a run that another process performs.
func (p *program) follow(ctx context.Context, j daruma.Reader, w work, t *teller) error {
	const every = 200 * time.Millisecond
	t.only = w.run
	tick := time.NewTicker(every)
	defer tick.Stop()
	told, toldBelow := false, ""
	for after := int64(0); ; {
		var events []daruma.Event
		for e, err := range j.Events(ctx, w.run, after) {
			if err != nil {
				return err
			}
			events, after = append(events, e), e.Seq
		}
		t.observe(w.run, events)
		run, err := agent.Read(ctx, j, w.run)
		if err != nil {
			return err
		}
		switch state := run.State(); {
		case state.Finished(), state == daruma.ParkedState && w.noWait:
			t.flush()
			return p.result(agent.ResultOf(run))
		case state == daruma.ParkedState && !told:
			told = true
			t.parked(agent.ResultOf(run))
		case state == daruma.Waiting:
			told = false
			below, err := stuck(ctx, j, w.run)
			if err != nil {
				return err
			}
			if text := stuckText(below); len(below) > 0 && text != toldBelow {
				toldBelow = text
				t.stuck(below)
			}
			if len(below) > 0 && w.noWait {
				t.flush()
				return p.result(agent.ResultOf(run))
			}
		case state != daruma.ParkedState:
			told = false
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			fmt.Fprintln(p.errors, "no longer following; the run goes on")
			return exitCode(exitStopped)
		}
	}
}

// starter lets a shell start runs through the owner; it never runs itself.
type starter struct{ access }

func (starter) Claim(context.Context, daruma.Claim) (daruma.Claims, error) {
	return daruma.Claims{}, errors.New("only the owner claims runs")
}

func (starter) Wake() <-chan struct{} { return nil }
