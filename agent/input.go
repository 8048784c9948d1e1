package agent

import (
	"time"

	"github.com/daruma-run/daruma"
)

// Inputs of step.
type (
	// input is one of the types below; of done a pointer.
	input any

	// claimed is what a claim gave.
	claimed struct {
		runs  []taken
		posts []daruma.Post
		next  time.Time
		more  bool
		err   error
		held  []lease // where they were looked for: what the journal says the node holds
	}

	// taken is a run that this shell owns now.
	taken struct {
		run   *daruma.Run // nil: it cannot be folded, see err
		info  daruma.RunInfo
		fresh []daruma.Event // the events that made it ours, for observers
		last  time.Time      // of the newest event
		posts []daruma.Post
		err   error
		sizes map[daruma.Digest]int64 // of large texts, where money bounds the run
	}

	// verdicts answer one Commit.
	verdicts struct {
		flights []*flight
		errs    []error
	}

	// done is a task that came back.
	done struct {
		task     *task
		events   []daruma.Event
		blobs    []daruma.Blob
		dropped  bool  // cut short by the shell itself: as if it had never begun
		poisoned error // the run cannot go on
	}

	// unborn is a run of which nobody knows whether it has begun as ours.
	unborn daruma.RunID

	// ledger is what dead nodes have held of budgets.
	ledger struct {
		budgets []daruma.BudgetInfo
		err     error
	}

	gave     struct{} // a run was given up
	woken    struct{} // the journal may have more to say
	draining struct{} // begin no more, come to an end
)

// output is what has to be done after a step. Its slices are valid until the
// next step.
type output struct {
	commit []*flight
	start  []*task
	cancel []*task
	claim  ask
	give   []lease        // to be given up in the journal and claimed anew
	gone   []daruma.RunID // runs that are not in memory any more
	seen   []seen
	notes  []note
	wake   time.Time // step again at this time at the latest
	empty  bool      // draining, and nothing is left to wait for
	down   error     // the journal has stopped
}

// lease is the time for which a node owns a run.
type lease struct {
	run   daruma.RunID
	epoch int64
}

// ask is what a claim is wanted for. The zero ask is none.
type ask struct {
	look bool // at what the node holds, before anything else
	take bool // runs there is something to do for
}

// flight is a Tx on its way.
type flight struct {
	live  *live
	spend *spending // instead of live: money that moves by itself
	tx    daruma.Tx
	head  int64 // after it

	lessons []daruma.Tx // of a run that ends: committed with it
}

// seen is what was committed for a run.
type seen struct {
	run    daruma.RunID
	events []daruma.Event
	result *Result // where the run ended or parked
}

// note is something an operator should know.
type note struct {
	run  daruma.RunID
	text string
	err  error
}
