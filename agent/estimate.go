package agent

import (
	"github.com/daruma-run/daruma"
)

// counted is a request whose tokens the model has counted.
type counted struct {
	target        string
	bytes, tokens int64
}

const (
	perMessage = 16  // tokens that a message or a tool takes besides its text, at most
	perRequest = 512 // and a request besides its messages and tools
)

// size is how many bytes of text a request for the run would have. Of a large
// text of which only the beginning is here, the whole counts.
func (r *live) size() int64 {
	n := int64(perRequest)
	messages := r.run.Messages()
	for i := range messages {
		m := &messages[i]
		n += perMessage
		if m.Ref.IsZero() {
			n += int64(len(m.Text))
		} else {
			n += r.sizeOf(m.Ref)
		}
		for _, c := range m.Calls {
			n += int64(len(c.ID)+len(c.Name)+len(c.Arguments)) + perMessage
		}
		if m.Native != nil {
			n += int64(len(m.Native.Content))
			if !m.Native.Ref.IsZero() {
				n += r.sizeOf(m.Native.Ref)
			}
		}
	}
	for _, t := range r.tools() {
		n += int64(len(t.Name)+len(t.Description)+len(t.Schema)) + perMessage
	}
	return n
}

// sizeOf is the size of a text that lies in the journal.
func (r *live) sizeOf(d daruma.Digest) int64 {
	if n, ok := r.sizes[d]; ok {
		return n
	}
	return 4 * daruma.MaxInline // it came before the run had a limit
}

// keep remembers the sizes of large texts.
func (r *live) keep(blobs []daruma.Blob) {
	for _, b := range blobs {
		if r.sizes == nil {
			r.sizes = map[daruma.Digest]int64{}
		}
		r.sizes[b.Digest] = int64(len(b.Bytes))
	}
}

// most returns what the next call of a target may cost at most, and the size
// of its request. A token is a byte at least, so that a request has no more
// tokens than bytes; of one that goes on from a request whose tokens the same
// model has counted, that holds for what came since.
func (r *live) most(target string) (cost daruma.Money, size int64) {
	t := r.agent.terms[target]
	if t == nil || t.price.Free || !t.price.Known() {
		return 0, 0
	}
	size = r.size()
	tokens := size
	if c := r.counted; c.target == target && c.tokens > 0 && size >= c.bytes {
		tokens = c.tokens + size - c.bytes
	}
	return t.price.Cost(daruma.Usage{Input: tokens, Output: t.output}), size
}

// count remembers what a model counted.
func (r *live) count(t *task, u daruma.Usage) {
	if t.hold.size > 0 && u.Input > 0 {
		r.counted = counted{t.cmd.Target, t.hold.size, u.Input}
	}
}
