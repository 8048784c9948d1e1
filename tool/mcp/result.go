package mcp

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// textOf is what a model gets of a result: its texts, a description of
// everything that is none, and structured content that no text repeats.
func textOf(r *sdk.CallToolResult) string {
	var parts []string
	repeated := false
	for _, c := range r.Content {
		text := contentText(c)
		if text == "" {
			continue
		}
		if _, isText := c.(*sdk.TextContent); isText && same(text, r.StructuredContent) {
			repeated = true
		}
		parts = append(parts, text)
	}
	if r.StructuredContent != nil && !repeated {
		b, err := json.Marshal(r.StructuredContent)
		if err != nil {
			b = []byte(fmt.Sprintf("[structured content that cannot be shown: %v]", err))
		}
		parts = append(parts, string(b))
		if imprecise(r.StructuredContent) {
			parts = append(parts, "[numbers above 9007199254740992 may have lost digits]")
		}
	}
	return strings.Join(parts, "\n")
}

// same reports whether a text says what a structured value says: it is its
// JSON, or the only thing in it.
func same(text string, structured any) bool {
	if m, ok := structured.(map[string]any); ok && len(m) == 1 {
		for _, v := range m {
			if v == any(text) {
				return true
			}
		}
	}
	if structured == nil || !strings.ContainsAny(text[:1], "{[\"0123456789-tfn \n\t") {
		return false
	}
	var v any
	return json.Unmarshal([]byte(text), &v) == nil && reflect.DeepEqual(v, structured)
}

// imprecise reports whether a decoded value holds numbers that a float64 may
// have changed.
func imprecise(v any) bool {
	switch v := v.(type) {
	case float64:
		return math.Abs(v) >= 1<<53
	case map[string]any:
		for _, e := range v {
			if imprecise(e) {
				return true
			}
		}
	case []any:
		for _, e := range v {
			if imprecise(e) {
				return true
			}
		}
	}
	return false
}

// contentText is the text of one piece of content, or says what is there.
func contentText(c sdk.Content) string {
	switch c := c.(type) {
	case *sdk.TextContent:
		return c.Text
	case *sdk.ImageContent:
		return fmt.Sprintf("[an image, %s, %d bytes: not shown]", orUnknown(c.MIMEType), len(c.Data))
	case *sdk.AudioContent:
		return fmt.Sprintf("[audio, %s, %d bytes: not shown]", orUnknown(c.MIMEType), len(c.Data))
	case *sdk.ResourceLink:
		text := fmt.Sprintf("[a link to the resource %q at %s, %s", c.Name, c.URI, orUnknown(c.MIMEType))
		if c.Size != nil {
			text += fmt.Sprintf(", %d bytes", *c.Size)
		}
		if c.Description != "" {
			text += ": " + c.Description
		}
		return text + "]"
	case *sdk.EmbeddedResource:
		switch r := c.Resource; {
		case r == nil:
			return "[a resource that is empty]"
		case len(r.Blob) > 0:
			return fmt.Sprintf("[the resource %s, %s, %d bytes: not shown]", r.URI, orUnknown(r.MIMEType), len(r.Blob))
		default:
			return fmt.Sprintf("[the resource %s, %s]\n%s", r.URI, orUnknown(r.MIMEType), r.Text)
		}
	}
	return fmt.Sprintf("[content of the kind %T: not shown]", c)
}

func orUnknown(mime string) string {
	if mime == "" {
		return "of no stated type"
	}
	return mime
}
