package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
)

// toyMain is an MCP server in a few lines, as testdata/script/mcp.txt needs it:
// one tool for each argument, which gives its text back. The argument "crash"
// makes it end at once, "slow" makes it come up late.
func toyMain() {
	var tools []map[string]any
	for _, name := range os.Args[1:] {
		if name == "crash" {
			fmt.Fprintln(os.Stderr, "there is no \x1b[31mlicence")
			os.Exit(3)
		}
		tools = append(tools, map[string]any{"name": name, "description": "Does " + name, "annotations": map[string]any{"readOnlyHint": true},
			"inputSchema": map[string]any{"type": "object", "properties": map[string]any{"text": map[string]any{"type": "string"}}}})
	}
	fmt.Fprintln(os.Stderr, "toy is up, key", os.Getenv("SOME_API_KEY"), "token", os.Getenv("TOKEN"))
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		var r struct {
			ID     any    `json:"id"`
			Method string `json:"method"`
			Params struct {
				Name      string `json:"name"`
				Arguments struct {
					Text string `json:"text"`
				} `json:"arguments"`
			} `json:"params"`
		}
		if json.Unmarshal(in.Bytes(), &r) != nil || r.ID == nil {
			continue
		}
		answer := map[string]any{"jsonrpc": "2.0", "id": r.ID}
		switch r.Method {
		case "initialize":
			answer["result"] = map[string]any{"protocolVersion": "2025-06-18", "capabilities": map[string]any{"tools": map[string]any{}},
				"serverInfo": map[string]any{"name": "toy", "version": "1"}}
		case "tools/list":
			answer["result"] = map[string]any{"tools": tools}
		case "tools/call":
			answer["result"] = map[string]any{"content": []any{map[string]any{"type": "text", "text": r.Params.Name + " got " + r.Params.Arguments.Text}}}
		default:
			answer["error"] = map[string]any{"code": -32601, "message": "no such method"}
		}
		b, _ := json.Marshal(answer)
		fmt.Println(string(b))
	}
	os.Exit(0)
}
