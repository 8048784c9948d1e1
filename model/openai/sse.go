package openai

import (
	"bytes"
	"errors"
	"io"
)

// maxEvent bounds one event of a stream in bytes.
const maxEvent = 8 << 20

var errLong = errors.New("an event is too long")

// event is one server-sent event.
type event struct {
	name string
	data []byte
}

// reader parses server-sent events. What it returns does not depend on how
// the bytes were split between reads.
type reader struct {
	r     io.Reader
	buf   []byte // read and not used
	err   error  // of r, after buf
	begun bool   // the byte order mark has been looked for
	cr    bool   // the last line ended with CR: a LF that follows belongs to it

	scratch []byte
}

// fill reads more into buf.
func (s *reader) fill() error {
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
func (s *reader) Read(p []byte) (int, error) {
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

var mark = []byte("\xef\xbb\xbf")

// first returns the first byte that is neither space nor byte order mark,
// without using it up; 0 if there is none.
func (s *reader) first() byte {
	for {
		text := bytes.TrimLeft(bytes.TrimPrefix(s.buf, mark), " \t\r\n")
		if len(text) > 0 && !(len(s.buf) < len(mark) && bytes.HasPrefix(mark, s.buf)) {
			return text[0]
		}
		if len(s.buf) > 64<<10 || s.fill() != nil {
			return 0
		}
	}
}

// next returns the next event that has data. At the end of the stream it
// returns what is pending, then [io.EOF].
func (s *reader) next() (event, error) {
	var e event
	var data []byte
	has := false
	for {
		line, err := s.line(len(data))
		if err != nil {
			if err == io.EOF && has && len(data) > 0 {
				e.data = data
				return e, nil
			}
			return event{}, err
		}
		if len(line) == 0 {
			if has && len(data) > 0 {
				e.data = data
				return e, nil
			}
			e, data, has = event{}, nil, false
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
			e.name = string(value)
		}
	}
}

// line returns the next line without its end. used is how long the event is
// already.
func (s *reader) line(used int) ([]byte, error) {
	seen := 0
	for {
		if s.cr && len(s.buf) > 0 {
			if s.buf[0] == '\n' {
				s.buf = s.buf[1:]
			}
			s.cr = false
		}
		if !s.begun && (len(s.buf) >= len(mark) || s.err != nil || !bytes.HasPrefix(mark, s.buf)) {
			s.buf, s.begun = bytes.TrimPrefix(s.buf, mark), true
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
		if used+len(s.buf) > maxEvent {
			return nil, errLong
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
