package agent

import (
	"strings"
	"unicode/utf8"

	"github.com/daruma-run/daruma"
)

// inline returns text as it stands in an event: valid UTF-8, and above
// [daruma.MaxInline] bytes only its beginning, with the whole as a blob.
func inline(text string) (string, daruma.Digest, *daruma.Blob) {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= daruma.MaxInline {
		return text, daruma.Digest{}, nil
	}
	whole := []byte(text)
	blob := &daruma.Blob{Digest: daruma.DigestOf(whole), Bytes: whole}
	return cut(text, daruma.ExcerptSize), blob.Digest, blob
}

// inlineNative is the same for what only a provider reads: above
// [daruma.MaxInline] bytes nothing of it stands in the event.
func inlineNative(n *daruma.Native) (*daruma.Native, *daruma.Blob) {
	if n == nil || len(n.Content) <= daruma.MaxInline {
		return n, nil
	}
	blob := &daruma.Blob{Digest: daruma.DigestOf(n.Content), Bytes: n.Content}
	return &daruma.Native{Format: n.Format, Model: n.Model, Ref: blob.Digest}, blob
}

// cut returns the beginning of text, at most n bytes, ending at the edge of a
// character.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}

// short returns a message as signals carry it.
func short(text string) string {
	return cut(strings.ToValidUTF8(text, "\uFFFD"), daruma.MaxSignalText)
}
