package darumatest

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/daruma-run/daruma"
)

// Claim is [daruma.Journal.Claim]. Every node that holds a run is taken to be
// alive until [Memory.Crash].
func (m *Memory) Claim(ctx context.Context, c daruma.Claim) (daruma.Claims, error) {
	var out daruma.Claims
	if err := c.Check(); err != nil {
		return out, err
	}
	if c.Max <= 0 {
		c.Max = 1000
	}
	if c.Now.IsZero() {
		c.Now = time.Now()
	}
	if err := m.lock(ctx, "memory.Claim"); err != nil {
		return out, err
	}
	defer m.mu.Unlock()
	out = m.claim(c)
	if len(out.Runs) > 0 {
		m.wrote(func(n *Memory) { n.claim(c) })
	}
	return out, nil
}

func (m *Memory) claim(c daruma.Claim) (out daruma.Claims) {
	for _, id := range m.store.order {
		r := m.store.runs[id]
		switch {
		case c.Type != "" && r.info.Type != c.Type, r.info.State.Finished(), r.info.State == daruma.Quarantined:
		case r.info.Node == c.Node:
			out.Posts = append(out.Posts, r.posts...)
		case r.info.Node != "":
		case !r.due(c.Now):
			if at := r.info.WakeAt; !at.IsZero() && (out.Next.IsZero() || at.Before(out.Next)) {
				out.Next = at
			}
		case len(out.Runs) == c.Max:
			out.More = true
		default:
			out.Runs = append(out.Runs, r.claim(c))
		}
	}
	return out
}

// due says whether somebody should take the run now.
func (r *record) due(now time.Time) bool {
	return r.info.State == daruma.Running || len(r.posts) > 0 || !r.info.WakeAt.IsZero() && !r.info.WakeAt.After(now)
}

// claim gives the run to the node.
func (r *record) claim(c daruma.Claim) daruma.Claimed {
	r.info.Epoch++
	r.info.Node, r.info.State, r.info.WakeAt = c.Node, daruma.Running, time.Time{}
	c.Epoch, c.Clean = r.info.Epoch, !r.lost
	r.lost = false
	payload, err := json.Marshal(c)
	if err != nil {
		panic(err) // plain fields always encode
	}
	r.append(daruma.Event{Kind: daruma.KindClaimed, Actor: daruma.Actor("node:" + c.Node), Time: c.Now, Payload: payload})
	from := 0
	for i, e := range r.events {
		if e.Kind == daruma.KindCheckpoint {
			from = i
		}
	}
	return daruma.Claimed{Run: r.info, Events: slices.Clone(r.events[from:]), Posts: slices.Clone(r.posts)}
}
