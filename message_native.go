package daruma

import "encoding/json"

// Native is what a provider wants to get back with a message exactly as it
// sent it, such as thinking with its signature. It is opaque to everybody but
// the package that speaks Format: never shown as an answer, never read by
// detectors, and left out where another model or provider gets the message.
// It does not change once it stands in a message.
//
// Content above [MaxInline] bytes is kept once per tenant as a blob and named
// by Ref; Content is empty then.
type Native struct {
	Format  string          `json:"format"` // the wire format, such as "anthropic"
	Model   string          `json:"model"`  // the model that wrote it, as the request named it
	Content json.RawMessage `json:"content,omitempty"`
	Ref     Digest          `json:"ref,omitzero"`
}
