package openai

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"github.com/daruma-run/daruma/model"
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

// FuzzSplit: however a stream is split, the client says the same.
func FuzzSplit(f *testing.F) {
	for _, s := range []string{
		"data: {\"choices\":[{\"delta\":{\"content\":\"Gr\xc3\xbc\xc3\x9fe\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
		`{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}]}`, "data: x\r", ": c\n\ndata: {}\r\n\r\n",
	} {
		f.Add([]byte(s), []byte{1, 1, 2, 3, 1, 0, 7})
	}
	f.Fuzz(func(t *testing.T, data, cuts []byte) {
		whole, one := said(t, bytes.NewReader(data)), said(t, &splits{data, cuts})
		if whole != one {
			t.Errorf("split: %s, whole: %s", one, whole)
		}
	})
}

func said(t *testing.T, r io.Reader) string {
	c := answers(t, sse, "")
	d := &decoder{client: c}
	out := ""
	d.yield = func(c model.Chunk, _ error) bool {
		out += fmt.Sprintf("%q %v %v %s %v %d;", c.Text, c.Call, c.Usage, c.Finish, c.End, len(c.Extra))
		return true
	}
	in := model.NewEvents(r)
	for {
		e, err := in.Next()
		if err == io.EOF {
			return out + fmt.Sprint(d.end())
		}
		if err != nil {
			return out + err.Error()
		}
		if done, err := d.event(e); done || err != nil {
			return out + fmt.Sprint(err)
		}
	}
}
