package detect

import "strings"

// mask returns a result in the form in which results are compared: white space
// collapsed, and a # for everything that differs between two looks at the same
// thing. With digits, plain numbers are kept.
func mask(text string, digits bool) string {
	s := collapse(head(text, maxText))
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); {
		if !wordByte(s[i]) || i > 0 && wordByte(s[i-1]) {
			b.WriteByte(s[i])
			i++
			continue
		}
		// At the begin of a word.
		if n := volatileAt(s[i:]); n > 0 {
			b.WriteByte('#')
			i += n
			continue
		}
		n := 1
		for i+n < len(s) && wordByte(s[i+n]) {
			n++
		}
		if digits || progress(s, i, n) {
			b.WriteString(s[i : i+n])
		} else {
			noDigits(&b, s[i:i+n])
		}
		i += n
	}
	return b.String()
}

func wordByte(c byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || c >= 0x80
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isHex(c byte) bool { return isDigit(c) || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F' }

// noDigits writes a word with a # for every run of digits.
func noDigits(b *strings.Builder, word string) {
	for i := range len(word) {
		switch {
		case !isDigit(word[i]):
			b.WriteByte(word[i])
		case i == 0 || !isDigit(word[i-1]):
			b.WriteByte('#')
		}
	}
}

// progress reports whether the word at i says how far something has come:
// "40%", "3/7", "3 of 7".
func progress(s string, i, n int) bool {
	if strings.Trim(s[i:i+n], "0123456789") != "" {
		return false
	}
	after, before := s[i+n:], s[:i]
	whole := func(t string) bool { return t != "" && isDigit(t[0]) }
	last := func(t string) bool { return t != "" && isDigit(t[len(t)-1]) }
	switch {
	case strings.HasPrefix(after, "%"), strings.HasPrefix(after, " %"):
		return true
	case strings.HasPrefix(after, "."): // 40.5%
		rest := strings.TrimLeft(after[1:], "0123456789")
		return strings.HasPrefix(rest, "%")
	case strings.HasSuffix(before, "."):
		return strings.HasPrefix(after, "%")
	}
	for _, between := range []string{" / ", " of "} {
		if strings.HasPrefix(after, between) && whole(after[len(between):]) || strings.HasSuffix(before, between) && last(before[:len(before)-len(between)]) {
			return true
		}
	}
	return fraction(s, i, i+n)
}

// fraction reports whether s[i:j] is half of something like "3/7", and not of
// a date or a path.
func fraction(s string, i, j int) bool {
	const most = 16
	part := func(c byte) bool { return isDigit(c) || c == '/' }
	from, to := i, j
	for from > 0 && i-from < most && part(s[from-1]) {
		from--
	}
	for to < len(s) && to-j < most && part(s[to]) {
		to++
	}
	if from > 0 && (part(s[from-1]) || wordByte(s[from-1])) || to < len(s) && (part(s[to]) || wordByte(s[to])) {
		return false
	}
	a, b, ok := strings.Cut(s[from:to], "/")
	return ok && a != "" && b != "" && !strings.Contains(b, "/")
}

// volatileAt returns the length of something at the begin of s that differs
// between two looks at the same thing, or 0.
func volatileAt(s string) int {
	for _, f := range []func(string) int{uuidAt, addressAt, timeAt, durationAt, hexAt, epochAt} {
		if n := f(s); n > 0 && (n == len(s) || !wordByte(s[n])) {
			return n
		}
	}
	return 0
}

// span returns how many bytes at the begin of s are of a kind.
func span(s string, kind func(byte) bool) int {
	n := 0
	for n < len(s) && kind(s[n]) {
		n++
	}
	return n
}

func uuidAt(s string) int {
	if len(s) < 36 {
		return 0
	}
	for i := range 36 {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash != (s[i] == '-') || !dash && !isHex(s[i]) {
			return 0
		}
	}
	return 36
}

func addressAt(s string) int {
	if !strings.HasPrefix(s, "0x") {
		return 0
	}
	if n := span(s[2:], isHex); n >= 6 {
		return 2 + n
	}
	return 0
}

// hexAt finds hashes and ids: eight hexadecimal digits or more, letters and
// digits mixed.
func hexAt(s string) int {
	n := span(s, isHex)
	if d := strings.IndexAny(s[:n], "0123456789"); n < 8 || d < 0 || span(s, isDigit) == n {
		return 0
	}
	return n
}

// epochAt finds seconds and milliseconds since 1970.
func epochAt(s string) int {
	if n := span(s, isDigit); (n == 10 || n == 13) && s[0] == '1' {
		return n
	}
	return 0
}

// timeAt finds clock times, with a date before them too: 12:30:05,
// 2026-01-02T03:04:05.678Z.
func timeAt(s string) int {
	i := 0
	if len(s) > 10 && s[4] == '-' && s[7] == '-' && (s[10] == 'T' || s[10] == ' ') {
		i = 11
	}
	n := clockAt(s[i:])
	if n == 0 {
		return 0
	}
	n += i
	if n < len(s) && s[n] == 'Z' {
		return n + 1
	}
	if n+5 < len(s) && (s[n] == '+' || s[n] == '-') {
		return n + span(s[n+1:], func(c byte) bool { return isDigit(c) || c == ':' }) + 1
	}
	return n
}

func clockAt(s string) int {
	n := span(s, isDigit)
	if n < 1 || n > 2 || len(s) < n+3 || s[n] != ':' || span(s[n+1:], isDigit) != 2 {
		return 0
	}
	n += 3
	if len(s) >= n+3 && s[n] == ':' && span(s[n+1:], isDigit) == 2 {
		n += 3
	}
	if n < len(s) && (s[n] == '.' || s[n] == ',') {
		if f := span(s[n+1:], isDigit); f > 0 {
			n += 1 + f
		}
	}
	return n
}

// durationAt finds times that something took: 12ms, 0.35 s, 3 seconds.
func durationAt(s string) int {
	n := span(s, isDigit)
	if n == 0 {
		return 0
	}
	if n < len(s) && s[n] == '.' {
		if f := span(s[n+1:], isDigit); f > 0 {
			n += 1 + f
		}
	}
	if n < len(s) && s[n] == ' ' {
		n++
	}
	unit := span(s[n:], wordByte)
	switch s[n : n+unit] {
	case "ns", "us", "µs", "ms", "s", "sec", "secs", "second", "seconds", "millisecond", "milliseconds":
		return n + unit
	}
	return 0
}
