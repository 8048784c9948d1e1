package agent

import (
	"context"
	"errors"
	"slices"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/model"
	"github.com/daruma-run/daruma/model/route"
)

func (s *Shell) callModel(ctx context.Context, t *task) *done {
	messages, err := s.whole(ctx, t)
	if err != nil {
		switch kind := daruma.KindOf(err); {
		case cutShort(ctx, err):
			return &done{dropped: true}
		case kind == daruma.KindNotFound, kind == daruma.KindCorrupt, kind == daruma.KindDown:
			return &done{poisoned: err}
		}
		return modelFailed(t, &route.Answer{Reply: &model.Reply{}}, err)
	}
	ctx, cancel := context.WithTimeout(ctx, t.cmd.Timeout)
	defer cancel()
	answer, err := s.models.Call(ctx, t.cmd.Target, &model.Request{
		Messages: messages, Tools: t.tools, MaxOutput: t.agent.MaxOutput, Key: string(t.cmd.ID),
	})
	if err != nil {
		if cutShort(ctx, err) {
			return &done{dropped: true}
		}
		return modelFailed(t, answer, err)
	}
	replied := daruma.Replied{Command: t.cmd.ID, Target: t.cmd.Target, Message: answer.Message, Finish: answer.Finish,
		Usage: answer.Usage, Cost: answer.Cost, Unpriced: answer.Unpriced, Took: daruma.Duration(answer.Took)}
	var blob *daruma.Blob
	replied.Message.Text, replied.Message.Ref, blob = inline(answer.Message.Text)
	d := answered(daruma.KindReplied, replied)
	if blob != nil {
		d.blobs = append(d.blobs, *blob)
	}
	return d
}

func modelFailed(t *task, answer *route.Answer, err error) *done {
	failed := daruma.ModelFailed{Command: t.cmd.ID, Target: t.cmd.Target, Kind: daruma.KindOf(err), Text: short(plain(err)),
		Usage: answer.Usage, Cost: answer.Cost, Took: daruma.Duration(answer.Took)}
	if e, ok := errors.AsType[*model.Error](err); ok {
		failed.Status, failed.Code, failed.RetryAfter = e.Status, e.Code, daruma.Duration(e.RetryAfter)
		if e.Text != "" {
			failed.Text = short(e.Text)
		}
	}
	return answered(daruma.KindModelFailed, failed)
}

// whole returns the conversation with every large text in its place.
func (s *Shell) whole(ctx context.Context, t *task) ([]daruma.Message, error) {
	messages, own := t.messages, false
	for i, m := range t.messages {
		if m.Ref.IsZero() {
			continue
		}
		text, err := s.blob(ctx, t.live.tenant, m.Ref)
		if err != nil {
			return nil, err
		}
		if !own { // the run's messages are not ours to change
			messages, own = slices.Clone(messages), true
		}
		messages[i].Text, messages[i].Ref = text, daruma.Digest{}
	}
	return messages, nil
}
