package fake

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/tidwall/gjson"

	"github.com/daruma-run/daruma"
)

// Handler serves the script over HTTP:
//
//	POST   /v1/chat/completions     the models, streamed or not, as OpenAI serves them
//	POST   /v1/messages             the same models as Anthropic serves them
//	GET    /v1/models               their names
//	GET    /tools                   the tools, as OpenAI describes functions
//	POST   /tools/{name}            calls a tool; the body is its arguments, the key is in Idempotency-Key
//	GET    /tools/{name}/calls/{key} whether a call has had its effect
//	GET    /ledger                  all effects
//	GET    /asked                   how many requests each model and tool got
//	POST   /reset                   begins the script anew
//
// It answers anybody: serve it on loopback alone, as [Fake.Serve] does.
func (f *Fake) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/chat/completions", f.serveChat)
	mux.HandleFunc("POST /v1/messages", f.serveMessages)
	mux.HandleFunc("GET /v1/models", f.serveModels)
	mux.HandleFunc("GET /tools", f.serveTools)
	mux.HandleFunc("POST /tools/{name}", f.serveTool)
	mux.HandleFunc("GET /tools/{name}/calls/{key...}", f.serveHappened)
	mux.HandleFunc("GET /ledger", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 200, map[string]any{"entries": append([]Entry{}, f.Ledger()...)})
	})
	mux.HandleFunc("GET /asked", func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, f.Asked()) })
	mux.HandleFunc("POST /reset", func(w http.ResponseWriter, _ *http.Request) {
		f.Reset()
		answer(w, 200, map[string]any{"ok": true})
	})
	return mux
}

// Serve serves the Handler on the listener until ctx ends, and then waits for
// nobody: requests in flight are cut. It refuses a listener that is not on
// loopback, and returns nil when ctx ended it. It closes the listener.
func (f *Fake) Serve(ctx context.Context, l net.Listener) error {
	if a, ok := l.Addr().(*net.TCPAddr); !ok || !a.IP.IsLoopback() {
		l.Close()
		return daruma.Fail("fake.Serve", daruma.KindInvalid, "the address is %s; accepted: loopback, such as 127.0.0.1:0", l.Addr())
	}
	s := &http.Server{Handler: f.Handler(), ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	stop := context.AfterFunc(ctx, func() { s.Close() })
	err := s.Serve(l)
	stop()
	if ctx.Err() != nil || errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return daruma.Fail("fake.Serve", daruma.KindUnavailable, "%w", err)
}

func answer(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		status, b = 500, []byte(errorBody("", "server_error", err.Error()))
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(append(b, '\n'))
}

func (a failed) write(w http.ResponseWriter) {
	for k, v := range a.header {
		w.Header()[k] = v
	}
	w.WriteHeader(a.status)
	io.WriteString(w, a.body)
}

func (f *Fake) serveModels(w http.ResponseWriter, _ *http.Request) {
	list := []any{}
	for _, name := range f.script.Models() {
		list = append(list, map[string]any{"id": name, "object": "model", "owned_by": "fake"})
	}
	answer(w, 200, map[string]any{"object": "list", "data": list})
}

func (f *Fake) serveTools(w http.ResponseWriter, _ *http.Request) {
	list := []any{}
	for _, t := range f.script.Tools() {
		list = append(list, map[string]any{
			"type":     "function",
			"function": map[string]any{"name": t.Spec.Name, "description": t.Description, "parameters": t.Schema},
			"daruma":   t.Spec, "dedupe": t.Dedupe,
		})
	}
	answer(w, 200, map[string]any{"tools": list})
}

func (f *Fake) serveTool(w http.ResponseWriter, r *http.Request) {
	args, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		refuse(400, "the request could not be read").write(w)
		return
	}
	a := f.callTool(r.PathValue("name"), string(args), r.Header.Get("Idempotency-Key"))
	if a.hang > 0 {
		if sleep(r.Context(), a.hang) != nil {
			return
		}
	}
	if a.drop {
		reset(w)
		return
	}
	a.write(w)
}

func (f *Fake) serveHappened(w http.ResponseWriter, r *http.Request) {
	result, ok := f.Happened(r.PathValue("name"), r.PathValue("key"))
	if !ok {
		answer(w, 404, map[string]any{"happened": false})
		return
	}
	answer(w, 200, map[string]any{"happened": true, "result": result})
}

// reset ends the connection without an answer, with a TCP reset where it can.
func reset(w http.ResponseWriter) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // HTTP/2: ends the stream
	}
	if t, ok := c.(*net.TCPConn); ok {
		t.SetLinger(0)
	}
	c.Close()
}

const maxRequest = 32 << 20

// sceneOf reads a chat request.
func sceneOf(body []byte) (s *scene, name string, stream, usage bool, err error) {
	if !gjson.ValidBytes(body) {
		return nil, "", false, false, errors.New("the request is no JSON")
	}
	root := gjson.ParseBytes(body)
	s = &scene{}
	for _, m := range root.Get("messages").Array() {
		msg := daruma.Message{Role: daruma.Role(m.Get("role").String()), Text: textOf(m.Get("content")), CallID: m.Get("tool_call_id").String()}
		if msg.Role == "developer" {
			msg.Role = daruma.RoleSystem
		}
		for _, c := range m.Get("tool_calls").Array() {
			msg.Calls = append(msg.Calls, daruma.ToolCall{
				ID: c.Get("id").String(), Name: c.Get("function.name").String(), Arguments: c.Get("function.arguments").String(),
			})
		}
		s.messages = append(s.messages, msg)
	}
	for _, t := range root.Get("tools").Array() {
		s.tools = append(s.tools, t.Get("function.name").String())
	}
	if len(s.messages) == 0 {
		return nil, "", false, false, errors.New("messages are empty")
	}
	return s, root.Get("model").String(), root.Get("stream").Bool(), root.Get("stream_options.include_usage").Bool(), nil
}

// textOf reads a content, which is a text or a list of parts.
func textOf(v gjson.Result) string {
	if !v.IsArray() {
		return v.String()
	}
	text := ""
	for _, p := range v.Array() {
		text += p.Get("text").String()
	}
	return text
}
