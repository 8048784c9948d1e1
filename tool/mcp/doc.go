// Package mcp makes the tools of MCP servers tools of an agent: servers that
// are processes and speak over their standard streams, and servers behind a
// URL (streamable HTTP).
//
//	server, err := mcp.Start(ctx, mcp.Config{
//		Name:    "files",
//		Command: "mcp-server-filesystem",
//		Args:    []string{"/srv/files"},
//		Tools: map[string]mcp.Tool{
//			"read_text_file": {Effect: &read},
//			"write_file":     {Effect: &idempotent},
//		},
//	})
//	if err != nil {
//		return err
//	}
//	defer server.Close()
//	a := agent.Agent{Name: "clerk", Tools: server.Tools()}
//
// # What is believed of a server
//
// Nothing that could make a call less careful. A tool is [daruma.Unsafe] unless
// its [Tool.Effect] says otherwise; what the server says of itself
// (readOnlyHint, idempotentHint) counts only where TrustAnnotations is set.
// Names, descriptions and schemas are bounded, and a schema that does not
// compile is refused at the start. Instructions of a server are not shown to
// models. Servers get none of sampling, elicitation and roots.
//
// A tool is pinned: the digest of its description and schema is part of its
// declaration, and so of every run. When the server announces a change, or was
// started again, its list is read anew before the next call, and a tool that is
// not what it was is refused with [daruma.KindDenied]. A run that goes on in
// another process is held to what it began with in the same way.
//
// # What an answer means
//
//   - a result: its text; images, audio and other data are described, not
//     dropped; structured content stands beside the text unless it is the same,
//   - a result marked as an error: failed without effect, [daruma.KindInvalid],
//     with the text for the model,
//   - an error of the protocol: unknown method or tool [daruma.KindNotFound],
//     bad request or arguments [daruma.KindInvalid], both without effect; any
//     other code proves nothing,
//   - over HTTP a status other than 2xx: as for [tool.HTTP],
//   - no answer, because the deadline passed, the call was cancelled, the server
//     died or the connection broke: without effect where the request had not
//     been sent, else nothing is proved.
//
// Where nothing is proved a call is in doubt, or [daruma.KindUnavailable] where
// the tool only reads. A call that is given up is cancelled at the server too.
//
// # The process
//
// It gets the variables it is given and those every program needs (PATH, HOME
// and the like), nothing else of this process's environment. It has its own
// process group. It is ended by closing its input, then SIGTERM, then SIGKILL.
// If this process dies, its input closes as well; with [Config.Lock] the next
// process waits until it is gone, so that a call that is still being worked on
// is not judged before it is over. One that dies is started again by the next
// call, after a while that doubles from 200 ms to 30 s.
//
// # Guarantees
//
// A request is sent at most once for each call of [tool.Tool.Do]: nothing here
// retries, follows redirects or answers requests for input. Nothing is stored.
//
// # What it does not do
//
// It offers no resources and prompts, takes part in no OAuth flow, and serves
// no MCP itself. It cannot know what a server did before it reported an error:
// "failed without effect" is the server's word.
package mcp
