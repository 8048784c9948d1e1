package daruma

import "time"

// waiting reports whether everything outstanding waits for a time.
func (r *Run) waiting() bool {
	if r.s.Ending != nil || r.s.Cancel != nil {
		return r.childrenOnly()
	}
	if len(r.s.Open) > 0 {
		return false
	}
	if r.s.Undo != nil {
		i := r.undoNext()
		return i >= 0 && (r.s.Calls[i].Phase == callWaiting || r.s.Calls[i].Phase == callReconciling)
	}
	if r.s.Reply == nil {
		return r.s.Turn > 0 && r.s.Model.Failure == nil && !r.s.Model.Until.IsZero()
	}
	waits := false
	for i := range r.s.Calls {
		switch r.s.Calls[i].Phase {
		case callWaiting, callReconciling, callChild:
			waits = true
		case callDone, callGated, callAsked:
		case callProposed:
			if r.room() > 0 && !r.held(i) && r.affords(i) {
				return false
			}
		default:
			return false
		}
	}
	return waits
}

// WakeAt returns when a waiting run goes on, or when the first open approval
// of a parked run expires; zero where only a post can wake it.
func (r *Run) WakeAt() time.Time {
	var at time.Time
	earlier := func(t time.Time) {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	switch r.State() {
	case Waiting:
		if r.s.Reply == nil {
			earlier(r.s.Model.Until)
		}
		for i := range r.s.Calls {
			if p := r.s.Calls[i].Phase; p == callWaiting || p == callReconciling {
				earlier(r.s.Calls[i].Until)
			}
		}
	case ParkedState:
		for _, a := range r.s.Approve {
			earlier(a.Expires)
		}
		earlier(r.s.Park.Until)
	}
	return at
}

func (r *Run) applyTimer(p TimerFired) error {
	s := &r.s
	if s.Park != nil {
		if at := s.Park.Until; !at.IsZero() && !at.After(s.Now) {
			r.leaveBudget()
			return nil
		}
		r.expire()
		return nil
	}
	if s.Reply == nil && !s.Model.Until.IsZero() && p.Command == r.command(s.Model.N) {
		s.Model.N, s.Model.Until = r.number(), time.Time{}
		return nil
	}
	for i := range s.Calls {
		if c := &s.Calls[i]; c.Phase == callWaiting && p.Command == r.command(c.N) {
			c.Phase, c.Until, c.N = callProposed, time.Time{}, r.number()
			return nil
		} else if c.Phase == callReconciling && p.Command == r.command(c.N) {
			c.Phase, c.Until, c.N = callVerifying, time.Time{}, r.number()
			return nil
		}
	}
	return nil // the wait was given up before its time came
}
