package daruma

import (
	"fmt"
	"strings"
)

// nameOf returns the name of an enumerated value, or "type(n)" for one this
// version does not know.
func nameOf[T ~uint8](names []string, v T) string {
	if int(v) < len(names) {
		return names[v]
	}
	return fmt.Sprintf("%T(%d)", v, v)
}

// parseName sets v to the value named by b.
func parseName[T ~uint8](what string, names []string, b []byte, v *T) error {
	for i, name := range names {
		if name != "" && name == string(b) {
			*v = T(i)
			return nil
		}
	}
	accepted := make([]string, 0, len(names))
	for _, name := range names {
		if name != "" {
			accepted = append(accepted, name)
		}
	}
	return Fail("daruma.Parse", KindInvalid, "%s %q is unknown; accepted: %s", what, b, strings.Join(accepted, ", "))
}

// excerpt cuts text to n bytes at a character's edge and says so.
func excerpt(text string, n int) string {
	if len(text) <= n {
		return text
	}
	cut := n - len("…")
	for cut > 0 && text[cut]&0xC0 == 0x80 {
		cut--
	}
	return text[:cut] + "…"
}
