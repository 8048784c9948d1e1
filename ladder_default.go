package daruma

import "time"

// DefaultLadderVersion is the version of [DefaultLadder]. A run that was given
// no ladder of its own is frozen to this number, not to three kilobytes of
// rungs: whoever changes the default keeps the old one for the runs under way
// and counts up.
const DefaultLadderVersion = 1

// ladder returns the ladder the run is frozen to.
func (s *Started) ladder() Ladder {
	if s.Ladder.IsZero() {
		return DefaultLadder()
	}
	return s.Ladder
}

// DefaultLadder returns the ladder of a run that was given none. The strategy
// by cause: transient failures are retried three times within 30 s; rate and
// quota wait twice, linearly, within 60 s; a dead dependency is replaced;
// permanent failures and configuration go to a human; unknown causes get two
// careful retries. What is in doubt is verified at once and, where the other
// side cannot say yet, again after one minute, two, four, eight and every ten,
// for about an hour; then a human is asked.
func DefaultLadder() Ladder {
	const ms, s = Duration(time.Millisecond), Duration(time.Second)
	retry := []Rung{
		{Remedy: Retry, Max: 3, First: 200 * ms, Cap: 10 * s, Causes: []Cause{CauseTransient, CauseDependency}},
		{Remedy: Retry, Max: 2, First: s, Factor: 1, Cap: 60 * s, Causes: []Cause{CauseResource}},
		{Remedy: Retry, Max: 2, First: 200 * ms, Cap: 10 * s, Causes: []Cause{CauseUnknown}},
	}
	think := []Rung{{Remedy: Reflect, Max: 2}, {Remedy: SwitchModel, Max: 2}, {Remedy: Degrade}, {Remedy: Escalate}}
	join := func(parts ...[]Rung) []Rung {
		var all []Rung
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}
	one := func(r Remedy, times int) []Rung { return []Rung{{Remedy: r, Max: times}} }
	human := one(Escalate, 1)

	return Ladder{
		Rungs: map[SignalType][]Rung{
			MaxRetriesExceeded: one(Park, 1),
			TimeoutSignal: join(
				[]Rung{{Remedy: Retry, Max: 1, First: 200 * ms, Cap: 10 * s}},
				one(SwitchTool, 3), one(SwitchModel, 3), one(Reflect, 1), one(Degrade, 1), human),
			Contradiction:     think,
			Hallucination:     think,
			Loop:              think,
			ResourceExhausted: join(one(WrapUp, 1), one(Park, 1)),
			RateLimited: join(
				[]Rung{{Remedy: Retry, Max: 2, First: s, Factor: 1, Cap: 5 * s}},
				one(SwitchTool, 3), one(SwitchModel, 8),
				[]Rung{{Remedy: Retry, Max: 2, First: 2 * s, Factor: 1, Cap: 120 * s}},
				one(Degrade, 1), human),
			ProviderUnavailable: join(
				[]Rung{{Remedy: Retry, Max: 2, First: 200 * ms, Cap: 5 * s, Causes: []Cause{CauseTransient, CauseDependency, CauseUnknown}}},
				[]Rung{{Remedy: Compact, Max: 3, Causes: []Cause{CausePermanent}}}, one(SwitchModel, 8),
				[]Rung{{Remedy: Degrade, Causes: []Cause{CauseTransient, CauseResource, CauseDependency, CauseUnknown}}}, human),
			ToolFailed:       join(retry, one(SwitchTool, 3), one(Reflect, 2), one(SwitchModel, 2), one(Degrade, 1), human),
			ToolUnknown:      think,
			ArgumentsInvalid: join(one(Repair, 1), think),
			OutputInvalid:    join(one(Repair, 1), think),
			OutputTruncated:  join(one(Retry, 1), think),
			Refusal:          human,
			Ungrounded:       think,
			UnverifiedClaim:  think,
			NoProgress:       think,
			UnknownOutcome: join(one(Verify, 1),
				[]Rung{{Remedy: Verify, Max: 8, First: 60 * s, Cap: 600 * s}},
				[]Rung{{Remedy: Retry, Max: 3, First: 200 * ms, Cap: 10 * s}}, human),
			PolicyDenied: join(one(Degrade, 1), human),
			Injection:    human,
		},
		Default: join(retry, one(Reflect, 1), one(Degrade, 1), human),
	}
}
