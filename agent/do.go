package agent

import (
	"context"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/model/route"
)

// Do runs one agent on one input and returns where that ended: finished, or
// parked because somebody has to decide. It is [New], [Shell.Run],
// [Shell.Start] and [Shell.Wait] in one call, for programs that do one thing.
// Other runs of the agent that are open in the journal are gone on with
// meanwhile. The run is durable: if the process dies, the next Do on the
// journal, or any shell with the agent, brings it to its end.
//
// Errors are those of the four. Cancelling ctx stops the work, not the run.
func Do(ctx context.Context, j daruma.Journal, a Agent, models *route.Table, input string) (Result, error) {
	s, err := New(Options{Journal: j, Agents: []Agent{a}, Models: models})
	if err != nil {
		return Result{}, err
	}
	working, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- s.Run(working) }()
	result, err := s.startAndWait(ctx, Start{Agent: a.Name, Input: input})
	stop()
	if down := <-ended; down != nil {
		return result, down
	}
	return result, err
}

func (s *Shell) startAndWait(ctx context.Context, start Start) (Result, error) {
	id, err := s.Start(ctx, start)
	if err != nil {
		return Result{}, err
	}
	return s.Wait(ctx, id)
}
