package daruma

// Recoveries counts falls of one signal over many runs and how they were
// caught; see [Tally].
type Recoveries struct {
	Signal      SignalType `json:"signal"`
	Falls       int        `json:"falls"`
	Caught      int        `json:"caught"`
	Open        int        `json:"open"`        // neither caught nor given up yet
	Reflections int        `json:"reflections"` // how often a model was made to think again
	Reflected   int        `json:"reflected"`   // falls that were reflected on and are over
	Helped      int        `json:"helped"`      // of those: caught by a reflection
}

// Rate is the share of falls that a reflection has caught, of those that were
// reflected on and are over; false where there is none.
func (c Recoveries) Rate() (float64, bool) {
	if c.Reflected == 0 {
		return 0, false
	}
	return float64(c.Helped) / float64(c.Reflected), true
}

// Tally adds up the falls of runs by signal. The zero Tally is empty. What
// happened to the origin of a fork counts there.
type Tally struct {
	Runs int
	by   [signalEnd]Recoveries
}

// Add counts a run.
func (t *Tally) Add(r *Run) {
	t.Runs++
	for _, f := range r.s.Falls {
		if f.Type >= signalEnd || r.inherited(f) {
			continue
		}
		c := &t.by[f.Type]
		c.Falls++
		made := 0
		for _, m := range f.Moves {
			if m.Remedy == Reflect {
				made++
			}
		}
		c.Reflections += made
		by, _ := f.By()
		switch {
		case f.Caught:
			c.Caught++
		case !f.Over && r.s.End == nil:
			c.Open++
		}
		if made > 0 && (f.Over || r.s.End != nil) {
			c.Reflected++
			if f.Caught && by == Reflect {
				c.Helped++
			}
		}
	}
}

// Signals returns the counts of every signal that was raised, in stored order.
func (t *Tally) Signals() []Recoveries {
	all := []Recoveries{}
	for i, c := range t.by {
		if c.Falls > 0 {
			c.Signal = SignalType(i)
			all = append(all, c)
		}
	}
	return all
}
