package main

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/daruma-run/daruma"
)

// buildLimits puts an agent's limits together: its own over its profile over
// the file's over the defaults.
func (c *config) buildLimits(path string, a agentConfig) (daruma.Limits, error) {
	var l daruma.Limits
	if err := c.limits("limits", c.Limits, &l); err != nil {
		return l, err
	}
	for name, p := range c.Profiles {
		if err := c.limits("profiles."+name, p, &daruma.Limits{}); err != nil {
			return l, err
		}
	}
	if a.Profile != "" {
		p, ok := c.Profiles[a.Profile]
		if !ok && a.Profile != "coding" {
			return l, c.bad(path+".profile", "%q is not declared; accepted: %s", a.Profile, strings.TrimSuffix("coding, "+names(c.Profiles), ", none"))
		}
		if a.Profile == "coding" {
			l.Steps, l.Time = 200, daruma.Duration(2*time.Hour)
		}
		if err := c.limits("profiles."+a.Profile, p, &l); err != nil {
			return l, err
		}
	}
	return l, c.limits(path+".limits", a.Limits, &l)
}

func (c *config) limits(path string, from limitsConfig, into *daruma.Limits) error {
	const more = "accepted: more than 0"
	number := func(key string, v *int, field *int) error {
		if v == nil {
			return nil
		}
		if *v <= 0 {
			return c.bad(path+"."+key, "%d; %s", *v, more)
		}
		*field = *v
		return nil
	}
	span := func(key string, v *string, field *daruma.Duration) error {
		if v == nil {
			return nil
		}
		d, err := c.duration(path+"."+key, *v)
		if err == nil && d <= 0 {
			err = c.bad(path+"."+key, "%s; %s", *v, more)
		}
		*field = daruma.Duration(d)
		return err
	}
	for _, err := range []error{
		number("steps", from.Steps, &into.Steps),
		number("reflections", from.Reflections, &into.Reflections),
		number("reflections_per_signal", from.ReflectionsPerSignal, &into.ReflectionsPerSignal),
		number("parallel", from.Parallel, &into.Parallel), number("depth", from.Depth, &into.Depth),
		number("claims", from.Claims, &into.Claims),
		span("time", from.Time, &into.Time),
		span("approval_time", from.ApprovalTime, &into.ApprovalTime),
		span("model_time", from.ModelTime, &into.ModelTime),
	} {
		if err != nil {
			return err
		}
	}
	if v := from.Tokens; v != nil {
		if *v <= 0 {
			return c.bad(path+".tokens", "%d; %s", *v, more)
		}
		into.Tokens = *v
	}
	if v := from.Money; v != nil {
		if !(*v > 0 && *v < 9e9) {
			return c.bad(path+".money", "%v; accepted: US dollars, more than 0", *v)
		}
		into.Money = daruma.Money(math.Round(*v * float64(daruma.Dollar)))
	}
	if v := from.Soft; v != nil {
		if !(*v > 0 && *v <= 1) {
			return c.bad(path+".soft", "%v; accepted: more than 0, up to 1", *v)
		}
		into.Soft = *v
	}
	if v := from.Approve; v != nil {
		if err := into.Approve.UnmarshalText([]byte(*v)); err != nil {
			return c.bad(path+".approve", "%v", unwrapped(err))
		}
	}
	return nil
}

// buildLadder puts an agent's rungs over the file's over the default ladder.
func (c *config) buildLadder(path string, own ladderConfig) (daruma.Ladder, error) {
	l := daruma.DefaultLadder()
	if err := c.rungs("ladder", c.Ladder, &l); err != nil {
		return l, err
	}
	return l, c.rungs(path+".ladder", own, &l)
}

func (c *config) rungs(path string, from ladderConfig, into *daruma.Ladder) error {
	for name, list := range from {
		at := path + "." + name
		var signal daruma.SignalType
		if err := signal.UnmarshalText([]byte(name)); err != nil && name != "default" {
			return c.bad(at, "%v", unwrapped(err))
		}
		rungs := make([]daruma.Rung, len(list))
		for i, r := range list {
			rung, err := c.rung(fmt.Sprintf("%s[%d]", at, i), r)
			if err != nil {
				return err
			}
			rungs[i] = rung
		}
		one := daruma.Ladder{Rungs: map[daruma.SignalType][]daruma.Rung{signal: rungs}}
		if name == "default" {
			one = daruma.Ladder{Default: rungs}
		}
		if len(rungs) == 0 {
			return c.bad(at, "no rungs; accepted: a list that ends with abort, escalate or park")
		}
		if err := one.Check(); err != nil {
			return c.bad(at, "%v", unwrapped(err))
		}
		if name == "default" {
			into.Default = rungs
		} else {
			into.Rungs[signal] = rungs
		}
	}
	return nil
}

func (c *config) rung(path string, r rungConfig) (daruma.Rung, error) {
	out := daruma.Rung{Max: r.Max, Factor: r.Factor, Compensate: r.Compensate}
	if err := out.Remedy.UnmarshalText([]byte(r.Remedy)); err != nil {
		return out, c.bad(path+".remedy", "%v", unwrapped(err))
	}
	for _, f := range []struct {
		key, value string
		into       *daruma.Duration
	}{{"first", r.First, &out.First}, {"cap", r.Cap, &out.Cap}} {
		d, err := c.duration(path+"."+f.key, f.value)
		if err != nil {
			return out, err
		}
		*f.into = daruma.Duration(d)
	}
	for i, name := range r.Causes {
		var cause daruma.Cause
		if err := cause.UnmarshalText([]byte(name)); err != nil {
			return out, c.bad(fmt.Sprintf("%s.causes[%d]", path, i), "%v", unwrapped(err))
		}
		out.Causes = append(out.Causes, cause)
	}
	return out, nil
}

// duration reads a duration, zero for none.
func (c *config) duration(path, text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, c.bad(path, "%q is no duration; accepted: 300ms, 1.5s, 2m30s, 1h", text)
	}
	return d, nil
}
