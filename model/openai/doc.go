// Package openai talks to every server that speaks OpenAI's chat completions:
// OpenAI itself, Azure, OpenRouter, vLLM, Ollama, Gemini's compatible face and
// many more.
//
//	c, err := openai.New(openai.Options{Key: os.Getenv("OPENAI_API_KEY")})
//	reply, err := model.Collect(c.Stream(ctx, &model.Request{Model: "gpt-5-mini", Messages: messages}))
//
// # Streams
//
// Every request asks for a stream. A server that answers a whole completion
// instead is understood. The parser takes what servers really send: comments,
// CRLF, a byte order mark, data over several lines, characters split between
// reads, a [DONE] or none, an error in place of an answer under status 200, a
// page of a captive portal. Fields it does not know are handed on in
// [model.Chunk.Extra] by their path: "system_fingerprint",
// "choices.logprobs", "delta.reasoning_content".
//
// The end mark is [DONE], or a clean end after a finish reason. A stream that
// ends before either is an error of [daruma.KindBroken].
//
// # Deadlines
//
// [Options.FirstToken] and [Options.Progress] bound how long nothing of the
// answer may come. Comments, pings and empty pieces are nothing. The whole
// call is bounded by its context.
//
// # Guarantees
//
// One request is sent for one Stream: nothing is retried here, and a redirect
// to another host is not followed. The key is sent to the base URL's host
// alone and stands in no error.
//
// # What it does not do
//
// Images, audio, the Responses API.
package openai
