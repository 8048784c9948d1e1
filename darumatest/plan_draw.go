package darumatest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/daruma-run/daruma"
)

// DrawPlan draws a plan: one to four runs of an agent with one to five tools of
// all classes, and as many faults as make a bad day. The same seed gives the
// same plan.
func DrawPlan(seed uint64) *Plan {
	d := &drawer{dice: rand.New(rand.NewPCG(seed, 3))}
	d.add("seed %d", seed)
	d.add("process nodes=%d workers=%d", 1+d.one(5)/4, []int{1, 2, 8, 8}[d.one(4)])
	d.add("limits steps=%d parallel=%d claims=%d reflections=%d depth=%d approval_time=%s time=%s model_time=%s approve=%s", 3+d.one(20), 1+d.one(4), 2+d.one(3),
		1+d.one(4), 1+d.one(3), 30*time.Second+d.upto(5*time.Minute), 10*time.Second+d.upto(5*time.Minute), time.Second+d.upto(20*time.Second), d.of("high", "high", "medium", "critical"))
	d.add("models%s", d.each(1+d.one(3), func(i int) string { return fmt.Sprint("m", i) }))
	tools := 1 + d.one(5)
	switch d.one(8) {
	case 0:
		d.stand = true
	case 1, 2:
		d.tree = true
	case 3:
		d.undo = true
	case 4:
		d.tree, d.undo = true, true
	}
	if d.undo {
		tools = max(tools, 2)
		if d.one(2) == 0 {
			d.add("ladder undo")
		}
	}
	for i := range tools {
		d.tool(i, tools)
	}
	if d.tree {
		d.agent(tools)
	}
	bad := []int{0, 1, 3, 6}[d.one(4)] // faults of each sort, at most
	runs := 1 + d.one(4)
	for r := range runs {
		d.run(fmt.Sprint("r", r), tools, bad)
	}
	if d.one(3) == 0 {
		for i := range 1 + d.one(2) {
			d.add("fork r%d at=%s as=f%d step=%s%s", d.one(runs), d.upto(40*time.Second), i, d.of("last", "last", "1/2", "n0", "n1", "n2", "n5", "n9"), d.of("", "", " allow", " replace", " allow replace"))
		}
	}
	for range d.one(2 * (bad + 1)) {
		d.add("disk %d %s", 1+d.one(40), d.of("lost unavailable", "lost exhausted", "lost timeout", "unsure unavailable", "unsure timeout",
			"unsure cancelled", "unsure timeout", "stop", "stop lost"))
	}
	for range d.one(bad + 1) {
		d.add("claim %d %s %s", 1+d.one(12), d.of("lost", "unsure", "unsure"), d.of("unavailable", "timeout", "cancelled"))
	}
	if bad > 0 && d.one(3) == 0 {
		d.add("claim %d late timeout after=%s", 1+d.one(12), d.upto(20*time.Second))
	}
	for range d.one(2 * (bad + 1)) {
		how := ""
		switch d.one(5) {
		case 0, 1:
			how = fmt.Sprintf("power keep=%d ", d.one(4))
		case 2, 3:
			how = fmt.Sprintf("drain grace=%s ", d.upto(20*time.Second))
		}
		d.add("die %d part=%d %sdown=%s", 2+d.one(90), d.one(4), how, d.upto(5*time.Second))
	}
	for range d.one(bad + 1) {
		at, node := d.upto(40*time.Second), d.one(2)
		switch d.one(5) {
		case 0:
			d.add("clock at=%s by=%s", at, []time.Duration{-10 * time.Minute, -3 * time.Second, 2 * time.Second, 7 * time.Minute, time.Hour}[d.one(5)])
		case 1:
			d.add("stall at=%s node=%d for=%s", at, node, d.upto(40*time.Second))
		case 2: // it stands still, loses its lease, and goes on as if nothing had been
			d.add("stall at=%s node=%d for=%s", at, node, 5*time.Second+d.upto(40*time.Second))
			d.add("expire at=%s node=%d", at+d.upto(5*time.Second), node)
		case 3:
			d.add("expire at=%s node=%d", at, node)
		case 4:
			d.add("drain at=%s node=%d grace=%s down=%s", at, node, d.upto(10*time.Second), d.upto(2*time.Second))
		}
	}
	p, err := ReadPlan(strings.Join(d.lines, "\n"))
	if err != nil {
		panic(err) // what is drawn can be read
	}
	return p
}

type drawer struct {
	dice  *rand.Rand
	stand bool     // this plan is about tools that stand in for each other
	tree  bool     // and this one about sub-runs
	undo  bool     // and this one about undoing
	below []string // sub-runs there may be
	lines []string
}

// agent draws an agent for sub-runs, and the tool that starts them.
func (d *drawer) agent(tools int) {
	d.add("agent b")
	text := "tool k agent=b"
	if d.one(6) == 0 {
		text += " approve"
	}
	if d.one(3) == 0 {
		text += fmt.Sprintf(" compensate=t%d", d.one(tools))
	}
	d.add("%s", text)
	for range d.one(4) {
		text := "turn b"
		for range 1 + d.one(2) {
			text += d.word(tools, 5)
		}
		d.add("%s", text)
	}
}

// word draws a call; one in so many is a sub-run.
func (d *drawer) word(tools, one int) string {
	if d.tree && d.one(one) == 0 {
		return fmt.Sprintf(" k:%d", d.one(3))
	}
	return fmt.Sprintf(" t%d:%d", d.one(tools), d.one(3))
}

func (d *drawer) add(format string, args ...any) {
	d.lines = append(d.lines, fmt.Sprintf(format, args...))
}

func (d *drawer) one(n int) int { return d.dice.IntN(n) }

func (d *drawer) of(words ...string) string { return words[d.one(len(words))] }

// upto draws a duration in milliseconds.
func (d *drawer) upto(most time.Duration) time.Duration {
	return time.Duration(d.one(int(most/time.Millisecond))) * time.Millisecond
}

func (d *drawer) each(n int, word func(int) string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(" " + word(i))
	}
	return b.String()
}

var effects = []daruma.Effect{daruma.Unsafe, daruma.Unsafe, daruma.Read, daruma.Idempotent, daruma.Keyed, daruma.Transactional, daruma.Payment}

func (d *drawer) tool(i, tools int) {
	if d.stand { // tools that write, may stand in for each other, and need a yes each
		d.add("tool t%d effect=%s capability=c replace_write approve", i, effects[3+d.one(4)])
		return
	}
	effect := effects[d.one(len(effects))]
	if d.undo && effect == daruma.Read {
		effect = daruma.Keyed
	}
	text := fmt.Sprintf("tool t%d effect=%s timeout=%s", i, effect, time.Second+d.upto(15*time.Second))
	switch d.one(4) {
	case 0:
		text += " on_doubt=verify verify"
	case 1:
		text += " on_doubt=" + d.of("retry", "abort", "ask")
	}
	if d.one(4) == 0 {
		text += " risk=" + d.of("low", "medium", "high")
	}
	if d.one(6) == 0 {
		text += " approve"
	}
	if d.one(2) == 0 {
		text += " capability=c"
	}
	if d.one(3) == 0 {
		text += " replace_write"
	}
	if other := d.one(tools); other != i && d.one(4) == 0 {
		text += fmt.Sprintf(" alternatives=t%d", other)
	}
	if other := d.one(tools); other != i && (d.undo || d.one(3) == 0) {
		text += fmt.Sprintf(" compensate=t%d", other)
	}
	if d.one(5) == 0 {
		text += " repeat=" + d.of("replay", "ask", "allow")
	}
	d.add("%s", text)
}

var (
	modelFaults = strings.Fields(`rate_limited unavailable timeout quota unauthorized overflow refused broken unknown internal invalid
		hang empty cut unfinished filtered garbage unknown twice huge`)
	callFaults = strings.Fields(`rate_limited unavailable timeout invalid denied exhausted not_found unauthorized needs_approval broken
		hang hang late late unsure unsure never never lie boast big`)
)

// run draws a run: what its models say, what goes wrong with it, and what
// people do.
func (d *drawer) run(id string, tools, bad int) {
	d.add("run %s at=%s", id, d.upto(3*time.Second))
	d.below = d.below[:0]
	for turn := range d.one(6) {
		text := "turn " + id
		if d.one(2) == 0 {
			text += fmt.Sprintf(" text:%d", d.one(4000))
		}
		for call := range 1 + d.one(3) {
			word := d.word(tools, 3)
			if text += word; strings.HasPrefix(word, " k") {
				d.below = append(d.below, fmt.Sprintf("%s.%d.%d", id, turn+1, call+1))
			}
		}
		d.add("%s", text)
	}
	after := func() string {
		if d.one(3) > 0 {
			return ""
		}
		return " after=" + (100*time.Millisecond + d.upto(40*time.Second)).String()
	}
	for range d.one(2*bad + 1) {
		d.add("model %s %d %s%s", id, 1+d.one(12), modelFaults[d.one(len(modelFaults))], after())
	}
	for range d.one(2*bad + 1) {
		d.add("call %s %d %s%s", id, 1+d.one(12), callFaults[d.one(len(callFaults))], after())
	}
	for range d.one(bad + 1) {
		if len(d.below) == 0 {
			break
		}
		sub := d.below[d.one(len(d.below))]
		switch d.one(4) {
		case 0:
			d.add("model %s %d %s%s", sub, 1+d.one(3), modelFaults[d.one(len(modelFaults))], after())
		case 1:
			d.add("call %s %d %s%s", sub, 1+d.one(3), callFaults[d.one(len(callFaults))], after())
		case 2:
			d.add("post %s at=%s %s", sub, d.upto(20*time.Second), d.of("cancel", "cancel:undo", "policy", "weather"))
		case 3:
			d.add("approve %s 1 %s", sub, d.of("no", "late", "twice", "never"))
		}
	}
	if d.undo && d.one(2) == 0 {
		d.add("post %s at=%s cancel:undo", id, time.Second+d.upto(10*time.Second))
	}
	if d.stand {
		d.add("call %s %d unauthorized", id, 1+d.one(3))
	}
	for range d.one(3) {
		d.add("approve %s %d %s", id, 1+d.one(4), d.of("yes", "no", "wrong", "late", "twice", "never"))
	}
	for range d.one(3) {
		d.add("answer %s %d %s", id, 1+d.one(4), d.of("retry", "say", "skip", "abort", "happened", "absent", "stale", "stale"))
	}
	for range d.one(bad + 1) {
		twice := ""
		if d.one(3) == 0 {
			twice = " twice"
		}
		d.add("post %s at=%s %s%s", id, d.upto(20*time.Second), d.of("cancel", "cancel:undo", "policy", "weather", "weather", "approval", "answer:retry", "answer:abort",
			"result", "result", "result:success", "result:absent", "result:failure"), twice)
	}
	if bad > 0 && d.one(10) == 0 {
		d.add("poison %s n=%d", id, 1+d.one(8))
	}
}
