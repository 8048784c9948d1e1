package main

import (
	"context"
	"fmt"
	"net"
	"os"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/cmd/daruma/falls"
	"github.com/daruma-run/daruma/model/fake"
)

type fakeCommand struct {
	Script   string `arg:"" optional:"" type:"path" help:"The script; go doc github.com/daruma-run/daruma/model/fake explains the language."`
	Scenario string `placeholder:"NAME" help:"In place of a script: a scenario of daruma bench recover."`
	Addr     string `default:"127.0.0.1:0" help:"Loopback address to listen on."`
	Ledger   string `placeholder:"FILE" help:"Keep the ledger of effects in this file."`
}

// Run performs daruma fake: it serves until it is interrupted.
func (cmd *fakeCommand) Run(ctx context.Context, p *program) error {
	if (cmd.Script == "") == (cmd.Scenario == "") {
		return daruma.Fail("fake", daruma.KindInvalid, "script %q and --scenario %q; accepted: one of them", cmd.Script, cmd.Scenario)
	}
	if cmd.Scenario != "" {
		stage, err := falls.Serve(cmd.Scenario)
		if err != nil {
			return err
		}
		return p.serveFake(ctx, stage, cmd.Addr)
	}
	data, err := os.ReadFile(cmd.Script)
	if err != nil {
		return daruma.Fail("fake", daruma.KindInvalid, "%w", err)
	}
	script, err := fake.Parse(data)
	if err != nil {
		return daruma.Fail("fake", daruma.KindInvalid, "%s: %w", cmd.Script, err)
	}
	f := fake.New(script)
	if cmd.Ledger != "" {
		if err := f.KeepLedger(cmd.Ledger); err != nil {
			return err
		}
	}
	defer f.Close()
	return p.serveFake(ctx, f, cmd.Addr)
}

// server serves a listener until ctx ends.
type server interface {
	Serve(ctx context.Context, l net.Listener) error
}

func (p *program) serveFake(ctx context.Context, f server, addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return daruma.Fail("fake", daruma.KindInvalid, "addr %q: %w; accepted: 127.0.0.1:0", addr, err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return daruma.Fail("fake", daruma.KindInvalid, "addr %q is not on loopback; accepted: 127.0.0.1:0", addr)
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return daruma.Fail("fake", daruma.KindUnavailable, "%w", err)
	}
	fmt.Fprintf(p.out, "http://%s/v1 serves models; http://%s/tools/NAME tools; http://%s/ledger what they did\n", l.Addr(), l.Addr(), l.Addr())
	return f.Serve(ctx, l)
}
