package daruma

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"slices"
)

// Recording is a run as a file: JSON lines, a head, then every event as the
// journal keeps it, then the texts above [MaxInline] that events refer to. It
// needs no journal to be read, folded, replayed or put into a test.
//
// It holds what the journal holds of the run, so no secret of the
// configuration; what people, models and tools wrote is in it.
type Recording struct {
	Run    RunID
	Tenant Tenant
	Agent  string
	Fold   int // the [FoldVersion] of the program that wrote it
	Events []Event
	Blobs  map[Digest][]byte
}

// recordingFormat is in the first line of every recording.
const recordingFormat = "run/1"

type recordingHead struct {
	Format string `json:"daruma"`
	Run    RunID  `json:"run"`
	Tenant Tenant `json:"tenant,omitempty"`
	Agent  string `json:"agent"`
	Fold   int    `json:"fold"`
	Events int    `json:"events"`
	Hash   Digest `json:"hash"` // [Chain] of all events
}

type recordingBlob struct {
	Digest Digest `json:"blob"`
	Bytes  []byte `json:"bytes"`
}

// hash chains the events.
func (c *Recording) hash() (hash Digest) {
	for _, e := range c.Events {
		hash = Chain(hash, c.Tenant, c.Run, e)
	}
	return hash
}

// Write writes the recording, the same bytes for the same run. Errors are those of w.
func (c *Recording) Write(w io.Writer) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	lines := []any{recordingHead{recordingFormat, c.Run, c.Tenant, c.Agent, c.Fold, len(c.Events), c.hash()}}
	for i := range c.Events {
		lines = append(lines, &c.Events[i])
	}
	for _, d := range slices.SortedFunc(maps.Keys(c.Blobs), func(a, b Digest) int { return bytes.Compare(a[:], b[:]) }) {
		lines = append(lines, recordingBlob{d, c.Blobs[d]})
	}
	for _, line := range lines {
		if err := e.Encode(line); err != nil {
			return Fail("daruma.Recording", KindInvalid, "run %s: %w", c.Run, err)
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

// ReadRecording reads what [Recording.Write] wrote, and checks that every
// event and text is as it was written. Errors: KindInvalid for what is no
// recording or one of a newer format, KindCorrupt for one that was changed or
// cut off, and those of r.
func ReadRecording(r io.Reader) (*Recording, error) {
	const op = "daruma.ReadRecording"
	lines := bufio.NewReader(r)
	next := func(v any) error {
		line, err := lines.ReadBytes('\n')
		if err != nil && (err != io.EOF || len(line) == 0) {
			return err
		}
		return json.Unmarshal(line, v)
	}
	var head recordingHead
	if err := next(&head); err != nil || head.Format == "" {
		return nil, Fail(op, KindInvalid, "the first line is not that of a recording; accepted: what daruma export writes")
	}
	if head.Format != recordingFormat {
		return nil, Fail(op, KindInvalid, "format %q is not known to this version; accepted: %s", excerpt(head.Format, 50), recordingFormat)
	}
	if err := head.Run.Check(); err != nil {
		return nil, err
	}
	c := &Recording{Run: head.Run, Tenant: head.Tenant, Agent: head.Agent, Fold: head.Fold, Blobs: map[Digest][]byte{}}
	for i := range head.Events {
		var e Event
		if err := next(&e); err != nil {
			return nil, Fail(op, KindCorrupt, "run %s: event %d of %d: %w", head.Run, i+1, head.Events, err)
		}
		c.Events = append(c.Events, e)
	}
	if c.hash() != head.Hash {
		return nil, Fail(op, KindCorrupt, "run %s: the events do not have the hash of the first line: they were changed", head.Run)
	}
	for {
		var b recordingBlob
		switch err := next(&b); {
		case err == io.EOF:
			return c, nil
		case err != nil:
			return nil, Fail(op, KindCorrupt, "run %s: behind the events: %w", head.Run, err)
		case DigestOf(b.Bytes) != b.Digest:
			return nil, Fail(op, KindCorrupt, "run %s: text %s does not have its digest", head.Run, b.Digest)
		}
		c.Blobs[b.Digest] = b.Bytes
	}
}

// Refs returns the digests of texts that the events refer to, sorted, each
// once: what [Recording.Blobs] should hold.
func (c *Recording) Refs() []Digest {
	found := map[Digest]bool{}
	for _, e := range c.Events {
		if bytes.Contains(e.Payload, []byte(`"ref"`)) {
			findRefs(parsed(e.Payload), found)
		}
	}
	return slices.SortedFunc(maps.Keys(found), func(a, b Digest) int { return bytes.Compare(a[:], b[:]) })
}

func findRefs(v any, found map[Digest]bool) {
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			findRefs(x, found)
		}
	case map[string]any:
		for name, x := range v {
			var d Digest
			if text, ok := x.(string); ok && name == "ref" && d.UnmarshalText([]byte(text)) == nil && !d.IsZero() {
				found[d] = true
			}
			findRefs(x, found)
		}
	}
}

// Replay folds the events again and checks that the core decides today what it
// decided then: each event of the core must follow from the events before it,
// and the shell must have performed what it was asked for.
//
// Decisions before the last run.forked are those of the origin and are folded
// only. A checkpoint must hold the state the events give. Of a recording of
// another [FoldVersion] the checkpoints, and fields that are new since, are
// not compared.
//
// The error is a [*Divergence] in a *Failure of KindConflict, or that of
// [Run.Apply] where the events do not fold at all.
func (c *Recording) Replay() error {
	return replay(c.Run, c.Tenant, c.Events, c.Fold != FoldVersion)
}
