package darumatest

import (
	"slices"

	"github.com/daruma-run/daruma"
)

// cache is the part of a disk that forgets: every write since the beginning,
// and how many of them have been synced.
type cache struct {
	writes []func(*Memory)
	synced int
}

// NewCachedMemory returns an empty journal on a disk with a cache. A write (a
// Tx, a post, a claim that gave a run) is there for every reader at once, but
// survives [Memory.Crash] only once [Memory.Sync] was called after it. That is
// what a file does whose writer has not synced yet; so whoever drives it must
// hold back each acknowledgement until the sync.
//
// It keeps every write to be able to do so: meant for short histories.
func NewCachedMemory() *Memory {
	m := NewMemory()
	m.cache = &cache{}
	return m
}

// Sync makes durable what was written so far. Without a cache there is nothing
// to do.
func (m *Memory) Sync() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cache != nil {
		m.cache.synced = len(m.cache.writes)
	}
}

// Unsynced returns how many writes a crash may lose.
func (m *Memory) Unsynced() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cache == nil {
		return 0
	}
	return len(m.cache.writes) - m.cache.synced
}

// Crash makes every later call on m fail with KindDown, as if its process had
// been killed, and returns a journal over what m had acknowledged, in which no
// node holds any run. What was not synced is lost.
func (m *Memory) Crash() *Memory { return m.Tear(0) }

// Tear is [Memory.Crash], but the first kept of the writes that were not
// synced have reached the disk: the tail of the cache is torn off between two
// writes, in the middle of a batch perhaps.
func (m *Memory) Tear(kept int) *Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down = daruma.Fail("memory", daruma.KindDown, "%w", errCrashed)
	next := &Memory{wake: make(chan struct{}, 1), store: m.store}
	if c := m.cache; c != nil {
		next.cache = &cache{writes: slices.Clip(c.writes)}
		if n := c.synced + max(kept, 0); n < len(c.writes) {
			next.cache.writes = slices.Clip(c.writes[:n])
			disk := NewMemory()
			for _, write := range next.cache.writes {
				write(disk)
			}
			next.store = disk.store
		}
	}
	next.lose("")
	next.Sync()
	next.ring()
	return next
}

// Lose takes every run away from the node, as if its process had died or its
// lease had run out, while the others go on. A process that is still alive
// finds itself fenced.
func (m *Memory) Lose(node string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if node != "" && m.lose(node) {
		m.ring()
	}
}

// lose takes the runs of a node away, of every node where it is empty.
func (m *Memory) lose(node string) (any bool) {
	for _, r := range m.store.runs {
		if r.info.Node != "" && (node == "" || r.info.Node == node) {
			r.info.Node, r.lost, any = "", true, true
		}
	}
	m.wrote(func(n *Memory) { n.lose(node) })
	return any
}

// wrote remembers a write, to be able to forget those behind it.
func (m *Memory) wrote(write func(*Memory)) {
	if m.cache != nil {
		m.cache.writes = append(m.cache.writes, write)
	}
}

// wroteTx remembers an accepted Tx.
func (m *Memory) wroteTx(tx *daruma.Tx) {
	if m.cache == nil {
		return
	}
	again := *tx
	again.Events, again.Folded, again.Closed = slices.Clone(tx.Events), slices.Clone(tx.Folded), slices.Clone(tx.Closed)
	m.wrote(func(n *Memory) {
		if err := n.commit(&again); err != nil {
			panic("darumatest: a Tx that was accepted is refused: " + err.Error())
		}
	})
}
