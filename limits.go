package daruma

import "time"

// Limits bound a run. They are frozen into the run when it starts and changed
// only by a journaled policy change. A zero field means its default; a
// negative one is refused by Check.
//
// At the soft edge the agent is told once to wrap up. At the hard edge the run
// is parked, says which limit it met, and goes on when the limit is raised.
//
// Steps, time, tokens and money count on the tree: a sub-run gets a share of
// what its parent has left as its own limits, which is reserved until it ends,
// and what it used counts on the parent then. The shares of sub-runs of one
// turn together are never more than what was left, but each has one step at
// least; beyond that a tree passes its limits by what a single run may: the
// model call that meets them, once for each run in flight. Limits that somebody
// raises for one sub-run come on top.
type Limits struct {
	// Steps is how many model calls, tool calls and waits the run may take;
	// attempts of the same step count once. Zero means 10.
	Steps int `json:"steps,omitzero"`
	// Time is how long the run may be active; waiting for a human does not
	// count. Zero means 5 minutes.
	Time Duration `json:"time,omitzero"`
	// Tokens is input and output together. Zero means 100,000.
	Tokens int64 `json:"tokens,omitzero"`
	// Money is what the run may spend, the call in flight included. Zero means no limit.
	Money Money `json:"money,omitzero"`
	// Soft is the share of a limit at which the agent is told to wrap up.
	// Zero means 0.8; 1 switches the soft edge off.
	Soft float64 `json:"soft,omitzero"`
	// Reflections is how often the run may be made to think again. Zero means 3.
	Reflections int `json:"reflections,omitzero"`
	// ReflectionsPerSignal is the same for each signal type. Zero means 2.
	ReflectionsPerSignal int `json:"reflections_per_signal,omitzero"`
	// Parallel is how many tools of one turn may run at once. Zero means 8.
	Parallel int `json:"parallel,omitzero"`
	// Depth is how deep sub-runs may be nested below a run that somebody
	// started. Zero means 3.
	Depth int `json:"depth,omitzero"`
	// Claims is how often the run may be claimed from a process that died with
	// it, without a new event between, before it is taken to kill its workers
	// and parked. Claims of runs that were released do not count. Zero means 3.
	Claims int `json:"claims,omitzero"`
	// Approve is the risk from which calls need an approval. Zero means high.
	Approve Risk `json:"approve,omitzero"`
	// ApprovalTime is how long an approval stays open; after it the answer is
	// no. Zero means 24 hours.
	ApprovalTime Duration `json:"approval_time,omitzero"`
	// ModelTime is the deadline of one model call. Zero means 2 minutes.
	ModelTime Duration `json:"model_time,omitzero"`
}

// Filled returns the limits with every default filled in.
func (l Limits) Filled() Limits {
	fill(&l.Steps, 10)
	fill(&l.Time, Duration(5*time.Minute))
	fill(&l.Tokens, 100_000)
	fill(&l.Soft, 0.8)
	fill(&l.Reflections, 3)
	fill(&l.ReflectionsPerSignal, 2)
	fill(&l.Parallel, 8)
	fill(&l.Depth, 3)
	fill(&l.Claims, 3)
	fill(&l.Approve, RiskHigh)
	fill(&l.ApprovalTime, Duration(24*time.Hour))
	fill(&l.ModelTime, Duration(2*time.Minute))
	return l
}

func fill[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Over returns base with every field of l that is not zero in its place.
func (l Limits) Over(base Limits) Limits {
	set(&base.Steps, l.Steps)
	set(&base.Time, l.Time)
	set(&base.Tokens, l.Tokens)
	set(&base.Money, l.Money)
	set(&base.Soft, l.Soft)
	set(&base.Reflections, l.Reflections)
	set(&base.ReflectionsPerSignal, l.ReflectionsPerSignal)
	set(&base.Parallel, l.Parallel)
	set(&base.Depth, l.Depth)
	set(&base.Claims, l.Claims)
	set(&base.Approve, l.Approve)
	set(&base.ApprovalTime, l.ApprovalTime)
	set(&base.ModelTime, l.ModelTime)
	return base
}

func set[T comparable](field *T, value T) {
	var zero T
	if value != zero {
		*field = value
	}
}

// Check refuses negative limits and a soft edge above 1, naming the field.
func (l Limits) Check() error {
	for _, f := range []struct {
		name string
		bad  bool
		got  any
	}{
		{"steps", l.Steps < 0, l.Steps}, {"time", l.Time < 0, l.Time},
		{"tokens", l.Tokens < 0, l.Tokens}, {"money", l.Money < 0, l.Money},
		{"soft", !(l.Soft >= 0 && l.Soft <= 1), l.Soft}, {"reflections", l.Reflections < 0, l.Reflections},
		{"reflections_per_signal", l.ReflectionsPerSignal < 0, l.ReflectionsPerSignal},
		{"parallel", l.Parallel < 0, l.Parallel}, {"claims", l.Claims < 0, l.Claims}, {"depth", l.Depth < 0, l.Depth},
		{"approval_time", l.ApprovalTime < 0, l.ApprovalTime}, {"model_time", l.ModelTime < 0, l.ModelTime},
	} {
		if f.bad {
			return Fail("daruma.Limits", KindInvalid, "limit %s is %v; accepted: more than 0 (soft: up to 1)", f.name, f.got)
		}
	}
	return nil
}
