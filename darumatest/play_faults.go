package darumatest

import (
	"slices"
	"time"
)

// disturb does what a line of the plan says about a time.
func (w *world) disturb(l line) {
	if w.closing || len(w.processes) == 0 {
		return
	}
	if l.word(0) == "fork" {
		w.fork(l)
		return
	}
	w.hit(l.word(0))
	p := w.processes[l.count("node")%len(w.processes)]
	switch l.word(0) {
	case "clock":
		w.shift += l.duration("by")
		w.tell("the clock is set by %s", l.duration("by"))
	case "stall":
		p.until = max(p.until, w.now+l.duration("for"))
		w.tell("%s stands still for %s", p.node, l.duration("for"))
	case "expire": // it goes on, or wakes up, while another has its runs
		w.tell("%s loses its lease", p.node)
		p.lose()
		w.spawn()
	case "drain":
		p.drain(l.duration("grace"), l.duration("down"))
	}
}

// killed is what a line says of the end of a process.
func (p *process) killed(l line) {
	if l.has("power") {
		p.w.cut(l.count("keep"), l.duration("down"))
		return
	}
	p.w.hit("killed")
	p.down = l.duration("down")
	p.die("it is killed")
}

// die ends the process at once. What it has written stays in the cache of the
// system, and is on disk before long.
func (p *process) die(why string) {
	if !p.alive {
		return
	}
	p.gone(why, p.down)
	p.lose()
}

// lose takes the runs of the process away from it.
func (p *process) lose() {
	p.w.written = append(p.w.written, written{})
	p.w.memory.Lose(p.node)
	p.w.sync(func(bool) {}, p.node, "lose")
	p.w.bell()
}

// gone takes the process out of the world, and another takes its place.
func (p *process) gone(why string, down time.Duration) {
	w := p.w
	w.tell("%s is gone: %s", p.node, why)
	p.alive = false
	w.processes = slices.DeleteFunc(w.processes, func(o *process) bool { return o == p })
	for _, k := range p.works {
		k.orphaned()
	}
	w.after(down, func() {
		if !w.closing && len(w.processes) < w.plan.nodes {
			w.spawn()
		}
	})
}
