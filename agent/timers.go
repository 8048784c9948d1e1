package agent

import (
	"container/heap"
	"time"
)

// timers holds when live runs want to be looked at. A run may stand in it
// several times; looking once too often does no harm.
type timers struct{ h timerHeap }

type timer struct {
	at   time.Time
	live *live
}

// add has the run looked at at that time, if it is not going to be already.
func (t *timers) add(at time.Time, r *live) {
	if !r.alarm.IsZero() && !at.Before(r.alarm) {
		return
	}
	r.alarm = at
	heap.Push(&t.h, timer{at, r})
}

// due removes and returns a run whose time has come, nil if there is none.
func (t *timers) due(now time.Time) *live {
	if len(t.h) == 0 || t.h[0].at.After(now) {
		return nil
	}
	r := heap.Pop(&t.h).(timer).live
	r.alarm = time.Time{}
	return r
}

// next returns the earliest time of a run still in memory, zero for none.
func (t *timers) next() time.Time {
	for len(t.h) > 0 && t.h[0].live.gone {
		heap.Pop(&t.h)
	}
	if len(t.h) == 0 {
		return time.Time{}
	}
	return t.h[0].at
}

type timerHeap []timer

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h timerHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

func (h *timerHeap) Push(x any) { *h = append(*h, x.(timer)) }

func (h *timerHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = timer{}
	*h = old[:len(old)-1]
	return last
}
