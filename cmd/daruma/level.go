package main

import (
	"context"

	"github.com/daruma-run/daruma"
)

// levelOf reads at which level a finished run ended; nil for one that lives. A
// finished run takes few more events, so that its end is among the last.
func levelOf(ctx context.Context, j daruma.Reader, r daruma.RunInfo) (*daruma.Level, error) {
	if !r.State.Finished() || r.Type != daruma.AgentRun {
		return nil, nil
	}
	for back := int64(4); ; back *= 8 {
		after := max(r.Head-back, 0)
		for e, err := range j.Events(ctx, r.ID, after) {
			if err != nil {
				return nil, err
			}
			if e.Kind == daruma.KindFinished {
				level := read[daruma.Finished](e).Level
				return &level, nil
			}
		}
		if after == 0 {
			return nil, nil
		}
	}
}

// stateText is the state of a run for people, with its level where that is less
// than all.
func stateText(s daruma.RunState, level daruma.Level) string {
	if level == daruma.Full {
		return s.String()
	}
	return s.String() + " (" + level.String() + ")"
}
