package model

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// splits reads its bytes in pieces whose sizes are the bytes of cuts.
type splits struct {
	data, cuts []byte
}

func (s *splits) Read(p []byte) (int, error) {
	if len(s.data) == 0 {
		return 0, io.EOF
	}
	n := len(s.data)
	if len(s.cuts) > 0 {
		n, s.cuts = min(n, int(s.cuts[0])%16), s.cuts[1:]
	}
	n = copy(p, s.data[:min(n, len(p))])
	s.data = s.data[n:]
	return n, nil
}

// events parses all of r.
func events(r io.Reader) (all []string) {
	in := NewEvents(r)
	all = append(all, fmt.Sprintf("first %q", in.First()))
	for {
		e, err := in.Next()
		if err != nil {
			return append(all, err.Error())
		}
		all = append(all, e.Name+"|"+string(e.Data))
	}
}

// FuzzEvents: however a stream is split, the parser finds the same events.
func FuzzEvents(f *testing.F) {
	for _, s := range []string{
		"data: a\n\ndata: b\n\n", "\xef\xbb\xbfdata: a\r\n\r\nevent: x\r\ndata: b\r\n\r\n", "data: a\r\rdata:b\r\r",
		": c\n\ndata\n\ndata: a\ndata: b\n\n", "\n\n\xef\xbb\xbf", "data: \xe4\xb8\x96\n", "\xef\xbb", "data: x\r",
	} {
		f.Add([]byte(s), []byte{1, 1, 2, 3, 1, 0, 7})
	}
	f.Fuzz(func(t *testing.T, data, cuts []byte) {
		want := fmt.Sprint(events(bytes.NewReader(data)))
		if got := fmt.Sprint(events(&splits{data, cuts})); got != want {
			t.Errorf("split %v: %q, whole: %q", cuts, got, want)
		}
		if got := fmt.Sprint(events(iotest.OneByteReader(bytes.NewReader(data)))); got != want {
			t.Errorf("byte by byte: %q, whole: %q", got, want)
		}
	})
}

func TestEventsAreBounded(t *testing.T) {
	endless := io.MultiReader(strings.NewReader("data: "), repeat('x'))
	if _, err := NewEvents(endless).Next(); !errors.Is(err, ErrLongEvent) {
		t.Errorf("one endless line: %v", err)
	}
	lines := io.MultiReader(strings.NewReader(strings.Repeat("data: "+strings.Repeat("x", 1000)+"\n", 9000)), repeat('x'))
	if _, err := NewEvents(lines).Next(); !errors.Is(err, ErrLongEvent) {
		t.Errorf("endless lines of one event: %v", err)
	}
}

type repeat byte

func (b repeat) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(b)
	}
	return len(p), nil
}
