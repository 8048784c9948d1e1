package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/agent"
)

type approveCommand struct {
	Approval string `arg:"" help:"Id of the approval, the end of it, or the run where it has only one open."`
	Reason   string `help:"For the record."`
}

// Run performs daruma approve.
func (cmd *approveCommand) Run(ctx context.Context, p *program) error {
	return p.decide(ctx, "approved", cmd.Approval, true, cmd.Reason)
}

type rejectCommand struct {
	Approval string `arg:"" help:"Id of the approval, the end of it, or the run where it has only one open."`
	Reason   string `help:"Told to the model and kept for the record."`
}

// Run performs daruma reject.
func (cmd *rejectCommand) Run(ctx context.Context, p *program) error {
	return p.decide(ctx, "rejected", cmd.Approval, false, cmd.Reason)
}

// decide answers an approval that nobody has answered before.
func (p *program) decide(ctx context.Context, done, approval string, approve bool, reason string) error {
	return p.post(ctx, done, func(j access) error {
		posts, err := j.Posts(ctx, "")
		if err != nil {
			return err
		}
		for _, post := range posts {
			if post.Topic == daruma.TopicApproval && strings.HasSuffix(post.Key, approval) {
				return hinted{daruma.Fail("approval", daruma.KindConflict, "%s, and the first answer counts", receivedText(post)), fmt.Sprintf("daruma resume %s acts on it", post.Run)}
			}
		}
		return agent.Decide(ctx, j, approval, approve, p.actor(), reason)
	})
}

type answerCommand struct {
	ID     string `arg:"" name:"run" help:"The parked run."`
	Choice string `arg:"" optional:"" help:"retry: do it again; happened: it was done; absent: it was not, do it; skip: go on without; say: tell the model; abort. daruma show RUN tells which are accepted."`
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
		id, err := find(ctx, j, cmd.ID)
		if err != nil {
			return err
		}
		answer := daruma.Answer{Question: cmd.Question, Choice: cmd.Choice, Text: cmd.Text}
		return agent.Answer(ctx, j, id, "", p.actor(), answer)
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
		id, err := find(ctx, j, cmd.ID)
		if err != nil {
			return err
		}
		return agent.Settle(ctx, j, id, cmd.Call, p.actor(), outcome, text)
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
		id, err := find(ctx, j, cmd.ID)
		if err != nil {
			return err
		}
		if cmd.Compensate {
			return agent.Compensate(ctx, j, id, p.actor(), cmd.Reason)
		}
		return agent.Cancel(ctx, j, id, p.actor(), cmd.Reason)
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
