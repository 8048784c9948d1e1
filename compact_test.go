package daruma_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/daruma-run/daruma"
)

// TestCutApply: what is sent is head and tail of the whole, valid text, and
// says how much is missing.
func TestCutApply(t *testing.T) {
	for _, c := range []struct {
		cut        daruma.Cut
		text, want string
	}{
		{daruma.Cut{Head: 3, Tail: 2}, "abcdefghij", "abc[… 5 bytes left out …]ij"},
		{daruma.Cut{Head: 3}, "abcdefghij", "abc[… 7 bytes left out …]"},
		{daruma.Cut{Head: 2, Tail: 2}, "äöüß", "ä[… 4 bytes left out …]ß"},
		{daruma.Cut{Head: 3, Tail: 3}, "äöüß", "ä[… 4 bytes left out …]ß"}, // at edges of characters
		{daruma.Cut{Head: 5, Tail: 5}, "abcdefghij", "abcdefghij"},
		{daruma.Cut{Head: 50, Tail: 5}, "abc", "abc"},
		{daruma.Cut{Head: 1 << 62, Tail: 1 << 62}, "abc", "abc"},
		{daruma.Cut{}, "abc", "abc"},
		{daruma.Cut{Head: -1, Tail: 2}, "abc", "abc"},
		{daruma.Cut{Head: 2, Tail: -1}, "abc", "abc"},
	} {
		if got := c.cut.Apply(c.text); got != c.want {
			t.Errorf("%+v of %q is %q, want %q", c.cut, c.text, got, c.want)
		}
	}
}

// FuzzCut cuts any text: valid text stays valid, begins and ends as the whole
// does, and is never of more bytes than the whole and the mark.
func FuzzCut(f *testing.F) {
	f.Add("äöüß and more", 3, 4)
	f.Add("\xff\xfe", 1, 0)
	f.Add("", -1, 1<<62)
	f.Fuzz(func(t *testing.T, text string, head, tail int) {
		got := daruma.Cut{Head: head, Tail: tail}.Apply(text)
		before, after, cut := strings.Cut(got, "[… ")
		if got != text && (!cut || !strings.HasPrefix(text, before) || !strings.HasSuffix(text, after[strings.LastIndex(after, " …]")+len(" …]"):])) && !strings.Contains(text, "…") {
			t.Errorf("%q cut to %d+%d is %q", text, head, tail, got)
		}
		if utf8.ValidString(text) && !utf8.ValidString(got) {
			t.Errorf("%q cut to %d+%d is no text: %q", text, head, tail, got)
		}
		if len(got) > len(text)+60 {
			t.Errorf("%d bytes of %d", len(got), len(text))
		}
	})
}
