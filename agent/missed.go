package agent

import "time"

// A claim whose answer was lost may have made runs this node's that it does not
// know of, and nobody else takes a run that is held. So the next claim first
// looks at what the journal says the node holds, and one more does so later, for
// a request that was still on its way. What is not known here is given up and
// claimed anew.

// lookAgain is how long after its failure a claim is taken to be able to have
// an effect.
const lookAgain = 30 * time.Second

// missed notes that a claim has failed.
func (m *machine) missed() {
	if m.draining && !m.asked.take {
		m.looks = 0 // the node goes, and its runs are free then
		return
	}
	m.looks, m.lookAt = 2, m.now.Add(lookAgain)
}

// ask says what the next claim is for.
func (m *machine) ask() ask {
	m.asked = ask{look: m.looks == 2 || m.looks == 1 && !m.lookAt.After(m.now), take: !m.draining}
	return m.asked
}

// looked gives up what the node holds and does not know, or knows of an earlier
// time. What it was giving up meanwhile has another epoch by now, or is not its.
func (m *machine) looked(held []lease) {
	if !m.asked.look {
		return
	}
	if m.looks--; m.draining {
		m.looks = 0
	}
	for _, l := range held {
		if r := m.runs[l.run]; r != nil && r.epoch >= l.epoch || l.epoch <= m.given[l.run] {
			continue
		}
		m.note(l.run, "the journal has the run as this node's, which does not know it: it is given up and claimed anew", nil)
		m.given[l.run] = l.epoch
		m.giveUp(lease{l.run, l.epoch})
	}
}

// giveUp has a run given up in the journal, under one epoch alone.
func (m *machine) giveUp(l lease) {
	m.giving++
	m.out.give = append(m.out.give, l)
}
