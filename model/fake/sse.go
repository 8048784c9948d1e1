package fake

import (
	"bytes"
	"net/http"
)

// eventWriter writes server-sent events as the quirks of a reply say.
type eventWriter struct {
	w      http.ResponseWriter
	out    *http.ResponseController
	quirks map[string]bool
	begun  bool
}

// startEvents begins a stream with status 200.
func startEvents(w http.ResponseWriter, quirks map[string]bool) *eventWriter {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(200)
	return &eventWriter{w: w, out: http.NewResponseController(w), quirks: quirks}
}

// send writes one event; an empty name means it has none.
func (e *eventWriter) send(name, data string) {
	newline := "\n"
	if e.quirks["crlf"] {
		newline = "\r\n"
	}
	var b bytes.Buffer
	if e.quirks["bom"] && !e.begun {
		b.WriteString("\xef\xbb\xbf")
	}
	e.begun = true
	if e.quirks["comments"] {
		b.WriteString(": PROCESSING" + newline + newline)
	}
	if name != "" {
		b.WriteString("event: " + name + newline)
	}
	b.WriteString("data: " + data + newline + newline)
	step := b.Len()
	if e.quirks["bytes"] {
		step = 1
	}
	for b.Len() > 0 {
		e.w.Write(b.Next(step))
		e.out.Flush()
	}
}
