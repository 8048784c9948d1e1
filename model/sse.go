package model

import (
	"bytes"
	"errors"
	"io"
)

// MaxEvent bounds one event of a stream in bytes.
const MaxEvent = 8 << 20

// ErrLongEvent is what [Events.Next] returns for an event above [MaxEvent].
var ErrLongEvent = errors.New("an event is too long")

// Event is one server-sent event.
type Event struct {
	Name string // empty where the event has none
	Data []byte // its lines, joined with LF
}

// Events parses server-sent events as servers really send them: comments, CR,
// LF or both, a byte order mark, data over several lines. What it returns does
// not depend on how the bytes were split between reads. Make one with
// [NewEvents]; it is for one goroutine.
type Events struct {
	r     io.Reader
	buf   []byte // read and not used
	err   error  // of r, after buf
	begun bool   // the byte order mark has been looked for
	cr    bool   // the last line ended with CR: a LF that follows belongs to it

	scratch []byte
}

// NewEvents returns a parser of what r brings.
func NewEvents(r io.Reader) *Events { return &Events{r: r} }

// fill reads more into buf.
func (s *Events) fill() error {
	if s.err != nil {
		return s.err
	}
	if s.scratch == nil {
		s.scratch = make([]byte, 16<<10)
	}
	n, err := s.r.Read(s.scratch)
	s.buf = append(s.buf, s.scratch[:n]...)
	s.err = err
	if n == 0 && err != nil {
		return err
	}
	return nil
}

// Read returns the bytes as they came, for answers that are no stream.
func (s *Events) Read(p []byte) (int, error) {
	if len(s.buf) > 0 {
		n := copy(p, s.buf)
		s.buf = s.buf[n:]
		return n, nil
	}
	if s.err != nil {
		return 0, s.err
	}
	return s.r.Read(p)
}

var byteOrderMark = []byte("\xef\xbb\xbf")

// First returns the first byte that is neither space nor byte order mark,
// without using it up; 0 if there is none.
func (s *Events) First() byte {
	for {
		text := bytes.TrimLeft(bytes.TrimPrefix(s.buf, byteOrderMark), " \t\r\n")
		if len(text) > 0 && !(len(s.buf) < len(byteOrderMark) && bytes.HasPrefix(byteOrderMark, s.buf)) {
			return text[0]
		}
		if len(s.buf) > 64<<10 || s.fill() != nil {
			return 0
		}
	}
}

// Next returns the next event that has data. At the end of the stream it
// returns what is pending, then [io.EOF]. Other errors are those of the reader,
// and [ErrLongEvent].
func (s *Events) Next() (Event, error) {
	var e Event
	var data []byte
	has := false
	for {
		line, err := s.line(len(data))
		if err != nil {
			if err == io.EOF && has && len(data) > 0 {
				e.Data = data
				return e, nil
			}
			return Event{}, err
		}
		if len(line) == 0 {
			if has && len(data) > 0 {
				e.Data = data
				return e, nil
			}
			e, data, has = Event{}, nil, false
			continue
		}
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "data":
			if has {
				data = append(data, '\n')
			}
			data, has = append(data, value...), true
		case "event":
			e.Name = string(value)
		}
	}
}

// line returns the next line without its end. used is how long the event is
// already.
func (s *Events) line(used int) ([]byte, error) {
	seen := 0
	for {
		if s.cr && len(s.buf) > 0 {
			if s.buf[0] == '\n' {
				s.buf = s.buf[1:]
			}
			s.cr = false
		}
		if !s.begun && (len(s.buf) >= len(byteOrderMark) || s.err != nil || !bytes.HasPrefix(byteOrderMark, s.buf)) {
			s.buf, s.begun = bytes.TrimPrefix(s.buf, byteOrderMark), true
		}
		if s.begun && !s.cr {
			if i := bytes.IndexAny(s.buf[seen:], "\r\n"); i >= 0 {
				line := s.buf[:seen+i]
				s.cr = s.buf[seen+i] == '\r'
				s.buf = s.buf[seen+i+1:]
				return line, nil
			}
			seen = len(s.buf)
		}
		if used+len(s.buf) > MaxEvent {
			return nil, ErrLongEvent
		}
		if err := s.fill(); err != nil {
			if err == io.EOF && len(s.buf) > 0 && s.begun {
				line := s.buf
				s.buf = nil
				return line, nil
			}
			return nil, err
		}
	}
}
