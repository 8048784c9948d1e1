package main

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets scripts, and the demo, run the real command.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"daruma": realMain, "mcptoy": toyMain, "mcpgate": gateMain})
}

func realMain() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	p := &program{out: os.Stdout, errors: os.Stderr, in: os.Stdin}
	os.Exit(p.main(ctx, stop, os.Args[1:]))
}

// TestScript runs the real command against text files.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", Cmds: map[string]func(*testscript.TestScript, bool, []string){"servefake": serveFake, "spoil": spoil}})
}

// serveFake runs daruma fake on a script until the test ends, and puts its
// address in the place of FAKE in the other files it is given.
func serveFake(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: servefake script [file...]")
	}
	path, err := exec.LookPath("daruma")
	ts.Check(err)
	cmd := exec.Command(path, "fake", ts.MkAbs(args[0]))
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	ts.Defer(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	ts.Check(err)
	address, _, ok := strings.Cut(line, "/v1 ")
	if !ok {
		ts.Fatalf("daruma fake says %q", line)
	}
	for _, name := range args[1:] {
		text := strings.ReplaceAll(ts.ReadFile(name), "FAKE", address)
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o600))
	}
}

// spoil changes a text wherever it stands in a file: the text and
// what it becomes are of one length.
func spoil(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 || len(args[1]) != len(args[2]) {
		ts.Fatalf("usage: spoil file old new")
	}
	text := ts.ReadFile(args[0])
	if !strings.Contains(text, args[1]) {
		ts.Fatalf("%s has no %q", args[0], args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.ReplaceAll(text, args[1], args[2])), 0o600))
}
