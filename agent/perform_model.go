package agent

import (
	"context"
	"encoding/json"
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
	if answer.Unpriced && t.hold != nil {
		answer.Cost = t.hold.need // the most it can be
	}
	replied := daruma.Replied{Command: t.cmd.ID, Target: t.cmd.Target, Message: answer.Message, Finish: answer.Finish,
		Usage: answer.Usage, Cost: answer.Cost, Unpriced: answer.Unpriced, Took: daruma.Duration(answer.Took)}
	var blob *daruma.Blob
	if replied.Message.Text, replied.Message.Ref, blob = inline(answer.Message.Text); blob != nil {
		replied.Message.Size = int64(len(blob.Bytes))
	}
	var opaque *daruma.Blob
	replied.Message.Native, opaque = inlineNative(answer.Message.Native)
	if len(replied.Message.Calls) > 0 {
		// Judged here, beside the machine, which has many runs to serve. Where
		// something is found, and of last answers, the machine judges.
		found, skipped := t.agent.judgeReply(&replied, t.tools, nil, nil)
		replied.Judged = len(found) == 0 && skipped == 0
	}
	d := answered(daruma.KindReplied, replied)
	for _, b := range []*daruma.Blob{blob, opaque} {
		if b != nil {
			d.blobs = append(d.blobs, *b)
		}
	}
	return d
}

func modelFailed(t *task, answer *route.Answer, err error) *done {
	if answer.Unpriced && t.hold != nil {
		answer.Cost = t.hold.need // the most it can be
	}
	failed := daruma.ModelFailed{Command: t.cmd.ID, Target: t.cmd.Target, Kind: daruma.KindOf(err), Text: short(plain(err)),
		Usage: answer.Usage, Cost: answer.Cost, Took: daruma.Duration(answer.Took)}
	if e, ok := errors.AsType[*model.Error](err); ok {
		failed.Status, failed.Code, failed.RetryAfter = e.Status, e.Code, daruma.Duration(e.RetryAfter)
		if e.Text != "" {
			failed.Text = short(e.Text)
			if e.Request != "" { // for asking at the provider
				id := " (request " + e.Request + ")"
				failed.Text = cut(failed.Text, daruma.MaxSignalText-len(id)) + id
			}
		}
	}
	return answered(daruma.KindModelFailed, failed)
}

// whole returns the conversation with every large text in its place.
func (s *Shell) whole(ctx context.Context, t *task) ([]daruma.Message, error) {
	messages, own := t.messages, false
	for i, m := range t.messages {
		far := m.Native != nil && !m.Native.Ref.IsZero()
		if m.Ref.IsZero() && !far {
			continue
		}
		if !own { // the run's messages are not ours to change
			messages, own = slices.Clone(messages), true
		}
		if !m.Ref.IsZero() {
			text, err := s.blob(ctx, t.live.tenant, m.Ref)
			if err != nil {
				return nil, err
			}
			if m.Cut != nil {
				text = m.Cut.Apply(text)
			}
			messages[i].Text, messages[i].Ref = text, daruma.Digest{}
		}
		if far {
			content, err := s.blob(ctx, t.live.tenant, m.Native.Ref)
			if err != nil {
				return nil, err
			}
			messages[i].Native = &daruma.Native{Format: m.Native.Format, Model: m.Native.Model, Content: json.RawMessage(content)}
		}
	}
	return messages, nil
}
