package main

import (
	"context"
	"fmt"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/agent"
)

type approveCommand struct {
	Approval string `arg:"" help:"Id of the approval, the end of it, or the run where it has only one open."`
	Reason   string `help:"For the record."`
}

// Run performs daruma approve.
func (cmd *approveCommand) Run(ctx context.Context, p *program) error {
	return p.post(ctx, "approved", func(j access) error {
		return agent.Decide(ctx, j, cmd.Approval, true, p.actor(), cmd.Reason)
	})
}

type rejectCommand struct {
	Approval string `arg:"" help:"Id of the approval, the end of it, or the run where it has only one open."`
	Reason   string `help:"Told to the model and kept for the record."`
}

// Run performs daruma reject.
func (cmd *rejectCommand) Run(ctx context.Context, p *program) error {
	return p.post(ctx, "rejected", func(j access) error {
		return agent.Decide(ctx, j, cmd.Approval, false, p.actor(), cmd.Reason)
	})
}

type answerCommand struct {
	ID     string `arg:"" name:"run" help:"The parked run."`
	Choice string `arg:"" optional:"" help:"retry, happened, absent, skip, say or abort; daruma show RUN tells which are accepted."`
	Text   string `arg:"" optional:"" help:"What to tell the model (say), the result (happened), or why."`

	Call    string  `placeholder:"STEP|KEY" help:"Instead of a choice: the call in doubt of which this is the late result, by its step or its idempotency key."`
	Result  *string `placeholder:"TEXT" help:"With --call: what the call gave."`
	Outcome string  `enum:"success,failure,absent" default:"success" help:"With --call: ${enum}. failure: it ran without effect; absent: it never ran, call it."`

	Question string `placeholder:"ID" help:"Id of the question that is answered, as daruma show tells it; a later one is left alone. Default: the one that is open now."`
}

// Run performs daruma answer.
func (cmd *answerCommand) Run(ctx context.Context, p *program) error {
	if err := cmd.check(); err != nil {
		return err
	}
	if cmd.Call != "" {
		return cmd.settle(ctx, p)
	}
	return p.post(ctx, "answered", func(j access) error {
		answer := daruma.Answer{Question: cmd.Question, Choice: cmd.Choice, Text: cmd.Text}
		return agent.Answer(ctx, j, daruma.RunID(cmd.ID), "", p.actor(), answer)
	})
}

// check refuses a choice and a late result at once, and neither.
func (cmd *answerCommand) check() error {
	const op = "answer"
	switch {
	case cmd.Call == "" && cmd.Choice == "":
		return daruma.Fail(op, daruma.KindInvalid, "neither a choice nor --call; accepted: daruma answer RUN retry, or daruma answer RUN --call STEP --result TEXT")
	case cmd.Call != "" && cmd.Choice != "":
		return daruma.Fail(op, daruma.KindInvalid, "both the choice %q and --call; accepted: one of them", cmd.Choice)
	case cmd.Call == "" && (cmd.Result != nil || cmd.Outcome != "success"):
		return daruma.Fail(op, daruma.KindInvalid, "--result and --outcome need --call; accepted: --call with the step or the key of a call in doubt")
	}
	return nil
}

// settle posts the late result of a call.
func (cmd *answerCommand) settle(ctx context.Context, p *program) error {
	var outcome daruma.Outcome
	if err := outcome.UnmarshalText([]byte(cmd.Outcome)); err != nil {
		return err
	}
	text := ""
	if cmd.Result != nil {
		text = *cmd.Result
	}
	return p.post(ctx, "result recorded", func(j access) error {
		return agent.Settle(ctx, j, daruma.RunID(cmd.ID), cmd.Call, p.actor(), outcome, text)
	})
}

type cancelCommand struct {
	ID     string `arg:"" name:"run" help:"The run to stop."`
	Reason string `help:"For the record."`

	Compensate bool `help:"Undo first what the run has done, the last first, by what its tools declare under compensate."`
}

// Run performs daruma cancel.
func (cmd *cancelCommand) Run(ctx context.Context, p *program) error {
	return p.post(ctx, "cancel recorded", func(j access) error {
		if _, err := j.Run(ctx, daruma.RunID(cmd.ID)); err != nil {
			return err
		}
		if cmd.Compensate {
			return agent.Compensate(ctx, j, daruma.RunID(cmd.ID), p.actor(), cmd.Reason)
		}
		return agent.Cancel(ctx, j, daruma.RunID(cmd.ID), p.actor(), cmd.Reason)
	})
}

// post sends one message and says what becomes of it.
func (p *program) post(ctx context.Context, done string, send func(access) error) error {
	j, live, err := p.connect(ctx)
	if err != nil {
		return err
	}
	defer j.Close()
	if err := send(j); err != nil {
		return err
	}
	if p.Output == "json" {
		return p.writeJSON(map[string]any{"done": done, "live": live})
	}
	if live {
		fmt.Fprintln(p.out, done+"; the process that owns the journal acts on it now")
	} else {
		fmt.Fprintln(p.out, done+"; no process works on the journal: daruma resume acts on it")
	}
	return nil
}
