package daruma

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// replay is [Recording.Replay]. The events begin with run.started, or with a
// run.checkpoint of this [FoldVersion].
func replay(id RunID, tenant Tenant, events []Event, lenient bool) error {
	const op = "daruma.Replay"
	p := replayer{events: events, asked: map[CommandID]bool{}, lenient: lenient}
	for i, e := range events {
		if e.Kind == KindForked {
			p.from = i + 1
		}
	}
	if len(events) > 0 && events[0].Kind == KindCheckpoint {
		run, err := Fold(id, tenant, events[:1])
		if err != nil {
			return err
		}
		p.run, p.at = run, 1
	} else {
		p.run = NewRun(id, tenant)
	}
	for p.at < len(events) {
		d, err := p.step()
		if err != nil {
			return err
		}
		if d != nil {
			d.Run = id
			return &Failure{Op: op, Kind: KindConflict, Err: d}
		}
	}
	return nil
}

// Divergence is where a replay comes to another decision than the recording.
type Divergence struct {
	Run      RunID
	Seq      int64    // of the event
	Recorded string   // its kind and payload; "" where the recording has none
	Now      string   // what the core decides today; "" for nothing
	Differs  []string // paths of the payload, each with both values
}

// Error tells the difference in a few lines.
func (d *Divergence) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "run %s diverges at event %d:", d.Run, d.Seq)
	line := func(mark, text string) {
		if text == "" {
			text = "nothing"
		}
		fmt.Fprintf(&b, "\n  %s %s", mark, excerpt(text, 600))
	}
	line("- recorded", d.Recorded)
	line("+ now     ", d.Now)
	for _, path := range d.Differs {
		b.WriteString("\n    " + path)
	}
	return b.String()
}

type replayer struct {
	run     *Run
	events  []Event
	at      int
	from    int // decisions before are another run's
	asked   map[CommandID]bool
	lenient bool
}

// step takes one event of the outside, or all that the core decided at once.
func (p *replayer) step() (*Divergence, error) {
	e := p.events[p.at]
	switch {
	case e.Kind == KindCheckpoint:
		d := p.checkpoint(e)
		p.at++
		if d != nil {
			return d, nil
		}
		return nil, p.run.Apply(e)
	case p.at < p.from || e.Actor != ActorCore:
		if d := p.outside(e); d != nil {
			return d, nil
		}
		p.at++
		return nil, p.run.Apply(e)
	}
	decided, _ := p.run.Next()
	decided = slices.DeleteFunc(decided, func(e Event) bool { return e.Kind == KindCheckpoint })
	if len(decided) == 0 {
		return &Divergence{Seq: e.Seq, Recorded: eventText(e)}, nil
	}
	for _, now := range decided {
		if p.at < len(p.events) && p.events[p.at].Kind == KindCheckpoint { // before its own turn's decisions end
			if d, err := p.step(); d != nil || err != nil {
				return d, err
			}
		}
		if p.at == len(p.events) {
			return &Divergence{Seq: p.run.Head() + 1, Now: eventText(now)}, nil
		}
		e := p.events[p.at]
		if e.Kind != now.Kind || e.Actor != now.Actor {
			return &Divergence{Seq: p.run.Head() + 1, Recorded: eventText(e), Now: eventText(now)}, nil
		}
		if differs := diffJSON(e.Payload, now.Payload, p.lenient); len(differs) > 0 {
			return &Divergence{Seq: p.run.Head() + 1, Recorded: eventText(e), Now: eventText(now), Differs: differs}, nil
		}
		if err := p.run.Apply(e); err != nil {
			return nil, err
		}
		p.at++
	}
	return nil, nil
}

// outside checks that what the shell has done was asked for. While decisions are
// outstanding nothing that follows from them can have been, but a judgement.
func (p *replayer) outside(e Event) *Divergence {
	if p.at < p.from {
		return nil
	}
	decided, commands := p.run.Next()
	for _, c := range commands {
		if len(decided) == 0 || c.Op == OpJudge {
			p.asked[c.ID] = true
		}
	}
	var answer struct {
		Command CommandID `json:"command"`
	}
	if json.Unmarshal(e.Payload, &answer) != nil || answer.Command == "" || e.Kind == KindTimer {
		return nil
	}
	if p.asked[answer.Command] {
		return nil
	}
	d := &Divergence{Seq: e.Seq, Recorded: eventText(e)}
	if len(decided) > 0 {
		d.Now = eventText(decided[0])
	} else if len(commands) > 0 {
		var asked []string
		for _, c := range commands {
			asked = append(asked, string(c.ID)+" ("+c.Op.String()+")")
		}
		d.Now = "asked for are: " + strings.Join(asked, ", ")
	}
	return d
}

// checkpoint compares the state of the fold with the one that was written.
func (p *replayer) checkpoint(e Event) *Divergence {
	var c Checkpoint
	if p.lenient || json.Unmarshal(e.Payload, &c) != nil || c.Version != FoldVersion {
		return nil
	}
	if differs := diffJSON(c.State, p.run.encoded(), false); len(differs) > 0 {
		return &Divergence{Seq: e.Seq, Recorded: "a checkpoint", Now: "another state", Differs: differs}
	}
	return nil
}

func eventText(e Event) string { return string(e.Kind) + " " + string(e.Payload) }

// maxDiffs bounds the paths a Divergence lists.
const maxDiffs = 10

// diffJSON lists the paths at which two JSON values differ.
func diffJSON(was, now []byte, lenient bool) []string {
	if bytes.Equal(was, now) {
		return nil
	}
	var diffs []string
	diffValues("", parsed(was), parsed(now), lenient, &diffs)
	if len(diffs) > maxDiffs {
		diffs = append(diffs[:maxDiffs], fmt.Sprintf("and %d more", len(diffs)-maxDiffs))
	}
	return diffs
}

func parsed(b []byte) any {
	var v any
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return string(b)
	}
	return v
}

func diffValues(path string, was, now any, lenient bool, out *[]string) {
	add := func(path string, was, now any) {
		*out = append(*out, fmt.Sprintf("%s: %s → %s", strings.TrimPrefix(path, "."), valueText(was), valueText(now)))
	}
	switch a := was.(type) {
	case map[string]any:
		b, ok := now.(map[string]any)
		if !ok {
			break
		}
		keys := make([]string, 0, len(a)+len(b))
		for k := range a {
			keys = append(keys, k)
		}
		for k := range b {
			if _, both := a[k]; !both && !lenient {
				keys = append(keys, k)
			}
		}
		slices.Sort(keys)
		for _, k := range keys {
			x, inA := a[k]
			y, inB := b[k]
			if inA && inB {
				diffValues(path+"."+k, x, y, lenient, out)
			} else {
				add(path+"."+k, missing{x, inA}, missing{y, inB})
			}
		}
		return
	case []any:
		b, ok := now.([]any)
		if !ok || len(a) != len(b) {
			break
		}
		for i := range a {
			diffValues(fmt.Sprintf("%s[%d]", path, i), a[i], b[i], lenient, out)
		}
		return
	default:
		if was == now {
			return
		}
	}
	add(path, was, now)
}

// missing is a member that one side may not have.
type missing struct {
	value any
	there bool
}

func valueText(v any) string {
	if m, ok := v.(missing); ok {
		if !m.there {
			return "nothing"
		}
		v = m.value
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return excerpt(string(b), 120)
}
