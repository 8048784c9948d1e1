package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/daruma-run/daruma"
)

// program is one invocation; tests make their own.
type program struct {
	out, errors io.Writer
	in          io.Reader
	stop        func() // gives signals back: the next interrupt ends the process

	flags
}

// flags are those of every command.
type flags struct {
	Config  string `short:"c" placeholder:"FILE" help:"Configuration; default daruma.yaml where that exists."`
	Journal string `placeholder:"FILE" help:"Journal: a SQLite file, or postgres://…; overrides the configuration."`
	Output  string `short:"o" enum:"text,json" default:"text" help:"Output: ${enum}."`
	As      string `placeholder:"NAME" help:"Who acts, for the record; default the login name."`
}

// grammar is the command line.
type grammar struct {
	flags

	Run      runCommand      `cmd:"" group:"Run" help:"Start a run and work on it until it ends or waits for somebody."`
	Resume   resumeCommand   `cmd:"" group:"Run" help:"Go on with runs that were left, or with one after raising its limits."`
	Serve    serveCommand    `cmd:"" group:"Run" help:"Own the journal and perform every run, until interrupted."`
	Runs     runsCommand     `cmd:"" group:"Look" help:"List runs, newest first."`
	Show     showCommand     `cmd:"" group:"Look" help:"Tell what a run did, step by step."`
	Explain  explainCommand  `cmd:"" group:"Look" help:"Say in ten lines why a run fell, how it was caught and what to do."`
	Budgets  budgetsCommand  `cmd:"" group:"Look" help:"Show what is left of budgets, or raise one."`
	Lessons  lessonsCommand  `cmd:"" group:"Look" help:"List what the runs of an agent have learned, or forget some of it."`
	Diagnose diagnoseCommand `cmd:"" group:"Look" help:"Say what went wrong first in a recorded run of any agent."`
	Stats    statsCommand    `cmd:"" group:"Look" help:"Count falls by signal, and how often a reflection caught them."`
	Conf     configCommand   `cmd:"" group:"Look" name:"config" help:"Look at the configuration."`
	Approve  approveCommand  `cmd:"" group:"Decide" help:"Say yes to an open approval."`
	Reject   rejectCommand   `cmd:"" group:"Decide" help:"Say no to an open approval."`
	Answer   answerCommand   `cmd:"" group:"Decide" help:"Answer the question a run is parked with."`
	Cancel   cancelCommand   `cmd:"" group:"Decide" help:"Stop a run: what is in flight ends first."`
	Fork     forkCommand     `cmd:"" group:"Go back and keep" help:"Go on from an earlier step of a run with something changed; nothing it wrote is written again."`
	Export   exportCommand   `cmd:"" group:"Go back and keep" help:"Write a run as JSON lines, or as a Go test that replays it."`
	Verify   verifyCommand   `cmd:"" group:"Go back and keep" help:"Check exported runs: unchanged, and decided the same by this version."`
	Demo     demoCommand     `cmd:"" group:"Try" help:"Watch an agent fall five times and get up, killed in the middle. No keys, no network."`
	Fake     fakeCommand     `cmd:"" group:"Try" help:"Serve a scripted model provider that fails on purpose."`
	Bench    benchCommand    `cmd:"" group:"Try" help:"Measure."`
	Version  versionCommand  `cmd:"" group:"Try" help:"Print the version."`
}

// runExport reads run export RUN as export RUN; with an input it starts an
// agent of that name.
func runExport(args []string) []string {
	for i := range args[:max(0, len(args)-1)] {
		if args[i] == "run" && args[i+1] == "export" && !slices.ContainsFunc(args, func(a string) bool {
			return strings.HasPrefix(a, "-i") || strings.HasPrefix(a, "--input")
		}) {
			return slices.Delete(slices.Clone(args), i, i+1)
		}
	}
	return args
}

// Exit codes; the package comment explains them.
const (
	exitOK = iota
	exitFailed
	exitUsage
	exitParked
	exitDegraded
	exitCancelled
	exitStopped
)

// exitCode is how a command ends with something other than 0 or 1.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit %d", int(e)) }

// main parses the arguments, performs the command and returns the exit code.
func (p *program) main(ctx context.Context, stop func(), args []string) int {
	p.stop = stop
	var g grammar
	exited := -1
	parser, err := kong.New(&g, kong.Name("daruma"), kong.Writers(p.out, p.errors),
		kong.Description("Daruma, agent error recovery: gets AI agents back on their feet."),
		kong.UsageOnError(), kong.Exit(func(code int) { exited = code }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true}))
	if err != nil {
		fmt.Fprintln(p.errors, "daruma:", err)
		return exitFailed
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(runExport(args))
	if exited >= 0 {
		return exited
	}
	if err != nil {
		command, lists := "daruma", "lists the commands"
		if e, ok := errors.AsType[*kong.ParseError](err); ok && e.Context.Selected() != nil {
			command, lists = command+" "+e.Context.Selected().Path(), "tells what it takes"
		}
		fmt.Fprintf(p.errors, "daruma: %v\nhint: %s --help %s\n", err, command, lists)
		return exitUsage
	}
	p.flags = g.flags
	parsed.BindTo(ctx, (*context.Context)(nil))
	return p.end(parsed.Run(p))
}

// end prints an error with a hint and turns it into the exit code.
func (p *program) end(err error) int {
	if err == nil {
		return exitOK
	}
	if code, ok := errors.AsType[exitCode](err); ok {
		return int(code)
	}
	fmt.Fprintln(p.errors, "daruma:", plain(err))
	h := hint(err)
	if known, ok := errors.AsType[hinted](err); ok {
		h = known.hint
	}
	if h != "" {
		fmt.Fprintln(p.errors, "hint:", h)
	}
	if daruma.KindOf(err) == daruma.KindInvalid {
		return exitUsage
	}
	return exitFailed
}

var function = regexp.MustCompile(`^[a-z]+\.[A-Z][A-Za-z]*$`)

// plain is what an error says, without the names of Go functions in it.
func plain(err error) string {
	text := strings.TrimPrefix(err.Error(), "config: ")
	for f, ok := errors.AsType[*daruma.Failure](err); ok; f, ok = errors.AsType[*daruma.Failure](f.Err) {
		if function.MatchString(f.Op) {
			text = strings.Replace(text, f.Op+": ", "", 1)
		}
	}
	return text
}

// hinted is an error with a hint of its own.
type hinted struct {
	error
	hint string
}

// Unwrap returns the error alone.
func (h hinted) Unwrap() error { return h.error }

// hint says what to do next, for errors people meet.
func hint(err error) string {
	switch daruma.KindOf(err) {
	case daruma.KindNotFound:
		return "daruma runs lists what there is"
	case daruma.KindDown:
		return "the journal stopped writing; check the disk, then start again: nothing acknowledged is lost"
	case daruma.KindCorrupt:
		return "what does not match its hash is never used; the other runs go on, and a copy of the journal may have this one whole"
	}
	return ""
}

// actor is who acts on the command line.
func (p *program) actor() daruma.Actor {
	name := p.As
	if name == "" {
		if u, err := user.Current(); err == nil {
			name = u.Username
		}
	}
	if name == "" {
		name = "unknown"
	}
	return daruma.Actor("user:" + name)
}

// terminal reports whether a stream is a person's terminal.
func terminal(v any) bool {
	f, ok := v.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull) // a character device too, and nobody sits there
	return err != nil || !os.SameFile(info, null)
}
