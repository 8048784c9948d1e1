package darumatest

import (
	"maps"
	"reflect"
	"slices"

	"github.com/daruma-run/daruma"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// lost is called after a power cut: what was not on disk is as if it had never
// been. Only what people were told must still be there.
func (o *oracle) lost() {
	for _, id := range slices.Sorted(maps.Keys(o.runs)) {
		p := o.runs[id]
		if p.acked {
			if _, err := o.w.memory.Run(ctx, id); err != nil {
				o.w.broken("%s was acknowledged and is lost: %v", id, err)
			}
		}
	}
}

// end judges the history as a whole.
func (o *oracle) end() {
	for _, id := range slices.Sorted(maps.Keys(o.runs)) {
		p := o.runs[id]
		if len(p.events) == 0 {
			continue // somebody has posted to a sub-run that never began
		}
		o.journal(id, p)
		for i, e := range p.events {
			if e.Kind == daruma.KindCheckpoint && i < len(p.events)-1 {
				o.checkpointed(p, i, len(p.events))
			}
		}
	}
}

// journal compares what the journal holds with what has reached the disk.
func (o *oracle) journal(id daruma.RunID, p *past) {
	n := 0
	for e, err := range o.w.memory.Events(ctx, id, 0) {
		if err != nil {
			o.w.broken("%v", err)
			return
		}
		if n >= len(p.events) || e.Kind != p.events[n].Kind || string(e.Payload) != string(p.events[n].Payload) {
			o.w.broken("event %d of %s is not what was acknowledged", n+1, id)
			return
		}
		n++
	}
	info, err := o.w.memory.Run(ctx, id)
	switch {
	case err != nil:
		o.w.broken("%v", err)
	case n < len(p.events):
		o.w.broken("%s has %d events, %d were acknowledged", id, n, len(p.events))
	case info.State != p.run.State() || info.Node != "":
		o.w.broken("%s is listed as %s held by %q, and is %s", id, info.State, info.Node, p.run.State())
	}
	if open, _ := o.w.memory.Approvals(ctx, id); len(open) > 0 {
		o.w.broken("%s is over and approval %s is open", id, open[0].ID)
	}
}

// checkpoint judges a checkpoint as it is written: the run as it stands must
// be what it says.
func (o *oracle) checkpoint(p *past, i int) { o.checkpointed(p, i, i+1) }

// checkpointed compares the fold of events[:to] from the first event with that
// from the checkpoint at i.
func (o *oracle) checkpointed(p *past, i, to int) {
	cached, err := daruma.Fold(p.run.ID(), "", p.events[i:to])
	if err != nil {
		o.w.broken("a checkpoint does not fold: %v", err)
		return
	}
	if reflect.DeepEqual(cached, p.run) {
		return
	}
	every := cmp.Exporter(func(reflect.Type) bool { return true })
	if !cmp.Equal(cached, p.run, every, cmpopts.EquateEmpty()) {
		o.w.broken("%s folded from the checkpoint at %d is another run (-checkpoint +all):\n%s", p.run.ID(), i+1,
			cmp.Diff(cached, p.run, every, cmpopts.EquateEmpty()))
	}
}
