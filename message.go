package daruma

// Role says who speaks in a [Message].
type Role string

// Roles of messages.
const (
	RoleSystem    Role = "system"
	RoleUser      Role = "user"
	RoleAssistant Role = "assistant"
	RoleTool      Role = "tool"
)

// Message is one entry of a conversation.
//
// Text above [MaxInline] bytes is kept once per tenant as a blob and named by
// Ref; Text then holds the first [ExcerptSize] bytes, for people only.
type Message struct {
	Role   Role       `json:"role"`
	Text   string     `json:"text,omitempty"`
	Ref    Digest     `json:"ref,omitzero"`
	Calls  []ToolCall `json:"calls,omitempty"`   // of an assistant
	CallID string     `json:"call_id,omitempty"` // of a tool: which call this answers
	Error  bool       `json:"error,omitempty"`   // of a tool: the call failed
	Note   bool       `json:"note,omitempty"`    // written by Daruma (a reflection, a nudge), not by the user
	Native *Native    `json:"native,omitempty"`  // of an assistant: what its provider wants back as it was; immutable
	Size   int64      `json:"size,omitzero"`     // of the whole text in bytes, where Ref names it; zero: not known
	Step   string     `json:"step,omitempty"`    // of a tool: the step that gave the result, "turn/n"
	Cut    *Cut       `json:"cut,omitempty"`     // of a tool: what of the result is sent; Text is cut already, what Ref names is not; immutable
}

// MaxInline is the size in bytes up to which text stands in events and state
// themselves.
const MaxInline = 32 << 10

// ExcerptSize is how much of a larger text stands beside its reference.
const ExcerptSize = 1 << 10

// ToolCall is what a model asks for. Arguments are kept exactly as the model
// wrote them, valid JSON or not.
type ToolCall struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

// Finish is why a model stopped. The zero Finish is "not said", which counts
// as truncated.
type Finish string

// Reasons for which a model stops.
const (
	FinishStop   Finish = "stop"   // it was done
	FinishTools  Finish = "tools"  // it wants tools called
	FinishLength Finish = "length" // it ran into its output limit
	FinishFilter Finish = "filter" // it, or a safety filter, declined
)

// message is what the model is told about a call.
func (c *callStep) message() Message {
	m := Message{Role: RoleTool, CallID: c.ID, Error: c.Failed}
	if c.Result != nil {
		m.Text, m.Ref, m.Size = c.Result.Text, c.Result.Ref, c.Result.Size
		m.Step = c.Result.Command.Step()
	}
	if c.Text != "" {
		m.Text, m.Ref, m.Size = c.Text, Digest{}, 0
	}
	return m
}
