package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets scripts, and the demo, run the real command.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"daruma": realMain})
}

func realMain() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	p := &program{out: os.Stdout, errors: os.Stderr, in: os.Stdin}
	os.Exit(p.main(ctx, stop, os.Args[1:]))
}

// TestScript runs the real command against text files.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script"})
}
