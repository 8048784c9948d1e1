// Package anthropic talks to every server that speaks Anthropic's Messages:
// Anthropic itself, and gateways and compatible servers.
//
//	c, err := anthropic.New(anthropic.Options{Key: os.Getenv("ANTHROPIC_API_KEY")})
//	reply, err := model.Collect(c.Stream(ctx, &model.Request{Model: "claude-haiku-4-5", Messages: messages}))
//
// # Conversations
//
// The Messages API refuses what others let pass, and goes on refusing it for
// ever. So the conversation is put into the form it takes:
//
//   - Texts of the system go to the top, joined by an empty line.
//   - Messages of the same side that follow each other become one.
//   - The results of a turn's calls stand first in the message behind it, in
//     the order of the calls. A call without a result gets one that says so; a
//     result without its call, or a second one, becomes a text that quotes it.
//   - Ids of calls that are missing, stand twice or hold letters the API does
//     not take are replaced, in the call and in its result.
//   - Names of tools in other letters are replaced on their way out, and put
//     back where the model calls them.
//   - Arguments that are no JSON object travel as {"invalid_json": "…"}.
//   - Blank texts are left out, and messages that have nothing else.
//   - The first and the last word are the user's: where they are not, a short
//     text is put there.
//   - Tools that the conversation has called but the request does not offer are
//     declared, and forbidden, where it offers none at all.
//
// # Thinking
//
// A request asks for it with the extra field "thinking". Thinking is handed on
// while it comes, as "delta.thinking" in [model.Chunk.Extra], and never stands
// in the text. Its blocks, and all others that this package does not know, are
// kept as they came in [daruma.Message.Native] and sent back to the same model
// in their places. Another model gets the message without them. Where the API
// wants thinking that is not there, because another model made the calls that
// are being answered, that one request goes without thinking.
//
// # Streams
//
// Every request asks for a stream unless [Options.Whole] is set; a server that
// answers the other way is understood. The end mark is message_stop. A stream
// that ends without it is cut, whatever it said before, and an error of
// [daruma.KindBroken]. An error event ends the answer with the kind that
// [model.Classify] finds. Fields, blocks and events this package does not know
// are handed on in [model.Chunk.Extra] by their path: "id", "stop_details",
// "usage", "delta.citation", "event.NAME"; the provider's id of the request is
// "request_id".
//
// # Why an answer ended
//
// end_turn and stop_sequence are [daruma.FinishStop], tool_use is
// [daruma.FinishTools], max_tokens and model_context_window_exceeded are
// [daruma.FinishLength], refusal is [daruma.FinishFilter]. pause_turn, and any
// word not known here, is the zero Finish: the answer is not whole. The word
// stands in Extra as "stop_reason".
//
// # Usage
//
// Input counts what was read from the cache and what was written into it,
// Cached what was read. What writing costs more is not known to
// [daruma.Price].
//
// # Deadlines
//
// [Options.FirstToken] and [Options.Progress] bound how long nothing of the
// answer may come. Pings and the beginning of a message are nothing.
//
// # Guarantees
//
// One request is sent for one Stream: nothing is retried here, and a redirect
// to another host is not followed. The key is sent to the base URL's host
// alone and stands in no error.
//
// # What it does not do
//
// Images, documents, batches, tools that run at the provider. The way the
// clouds of others sign requests.
package anthropic
