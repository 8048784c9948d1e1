package detect

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/daruma-run/daruma"
)

// maxText is how much of a text is looked at, in bytes.
const maxText = 64 << 10

// tried runs detectors one after the other and counts those that panic.
func tried(detectors ...func() []daruma.Signal) (signals []daruma.Signal, skipped int) {
	for _, d := range detectors {
		found, ok := try(d)
		if !ok {
			skipped++
		}
		signals = append(signals, found...)
	}
	return signals, skipped
}

func try(detector func() []daruma.Signal) (found []daruma.Signal, ok bool) {
	defer func() {
		if recover() != nil {
			found, ok = nil, false
		}
	}()
	return detector(), true
}

// signal returns a signal of a type with its defaults.
func signal(t daruma.SignalType, detector, subject string, evidence []string, format string, args ...any) daruma.Signal {
	return daruma.Signal{
		Type: t, Severity: t.Severity(), Recoverable: t.Recoverable(), Detector: detector, Subject: subject,
		Evidence: evidence, Message: cut(fmt.Sprintf(format, args...), daruma.MaxSignalText),
	}
}

// cut shortens s to n bytes, at a boundary of characters, and makes it valid.
func cut(s string, n int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= n {
		return s
	}
	const mark = "…"
	for n -= len(mark); n > 0 && !utf8.RuneStart(s[n]); n-- {
	}
	return s[:n] + mark
}

// head returns the first n bytes of s.
func head(s string, n int) string { return s[:min(len(s), n)] }
