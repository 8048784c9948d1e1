package main

import (
	"encoding/json"
	"maps"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/model"
	"github.com/daruma-run/daruma/model/anthropic"
	"github.com/daruma-run/daruma/model/fake"
	"github.com/daruma-run/daruma/model/openai"
	"github.com/daruma-run/daruma/model/route"
)

func (c *config) buildModels() (*route.Table, error) {
	var targets []route.Target
	recovery, err := c.recovery()
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(c.Models)) {
		m := c.Models[name]
		path := "models." + name
		t := route.Target{Name: name, Model: m.Model, MaxOutput: m.MaxOutput, Recovery: recovery}
		if t.Model == "" {
			t.Model = name
		}
		if m.MaxOutput < 0 {
			return nil, c.bad(path+".max_output", "%d; accepted: more than 0", m.MaxOutput)
		}
		if t.Window = m.Window; m.Window < 0 {
			return nil, c.bad(path+".window", "%d; accepted: tokens, more than 0", m.Window)
		}
		if p := m.Price; p != nil {
			if p.Input < 0 || p.Cached < 0 || p.Output < 0 {
				return nil, c.bad(path+".price", "negative; accepted: US dollars per million tokens")
			}
			perToken := func(perMillion float64) daruma.Money {
				return daruma.Money(math.Round(perMillion * float64(daruma.Dollar) / 1e6))
			}
			t.Price = daruma.Price{Input: perToken(p.Input), Cached: perToken(p.Cached), Output: perToken(p.Output), Free: p.Free}
		}
		if t.Extra, err = c.extra(path+".extra", m.Extra); err != nil {
			return nil, err
		}
		if t.Provider, err = c.provider(path, m); err != nil {
			return nil, err
		}
		targets = append(targets, t)
	}
	return route.NewTable(targets...)
}

// Dialects of APIs.
const (
	dialectOpenAI    = "openai"
	dialectAnthropic = "anthropic"
)

// provider makes what answers for one model. It opens nothing and calls nobody.
func (c *config) provider(path string, m modelConfig) (model.Provider, error) {
	switch {
	case m.Dialect != "" && m.Dialect != dialectOpenAI && m.Dialect != dialectAnthropic:
		return nil, c.bad(path+".dialect", "%q; accepted: %s, %s", m.Dialect, dialectOpenAI, dialectAnthropic)
	case m.Script != "" && (m.URL != "" || m.Dialect != ""):
		return nil, c.bad(path, "script beside url or dialect; accepted: a script alone, or an API")
	case m.Script != "":
		script, err := c.script(path+".script", m.Script)
		if err != nil {
			return nil, err
		}
		return fake.New(script), nil
	case m.Dialect == dialectAnthropic && m.URL == "" && m.Key == "":
		return nil, c.bad(path, "no key_env; accepted: the name of an environment variable that holds the API key, or the url of another server")
	case m.Dialect != dialectAnthropic && m.URL == "":
		return nil, c.bad(path, "no url; accepted: url of an OpenAI-compatible API, dialect: anthropic, or script")
	}
	key := ""
	if m.Key != "" {
		if key = os.Getenv(m.Key); key == "" {
			return nil, c.bad(path+".key_env", "the environment variable %s is not set; accepted: the name of one that holds the API key", m.Key)
		}
	}
	var p model.Provider
	var err error
	if m.Dialect == dialectAnthropic {
		p, err = anthropic.New(anthropic.Options{BaseURL: m.URL, Key: key})
	} else {
		p, err = openai.New(openai.Options{BaseURL: m.URL, Key: key})
	}
	if err != nil {
		return nil, c.bad(path+".url", "%v", unwrapped(err))
	}
	return p, nil
}

// notExtra are fields that Daruma writes itself.
var notExtra = []string{"max_completion_tokens", "max_tokens", "messages", "model", "stream", "stream_options", "system", "temperature", "tools"}

func (c *config) extra(path string, fields map[string]any) (map[string]json.RawMessage, error) {
	if len(fields) == 0 {
		return nil, nil
	}
	out := make(map[string]json.RawMessage, len(fields))
	for name, v := range fields {
		if slices.Contains(notExtra, name) {
			return nil, c.bad(path+"."+name, "Daruma writes this field itself; accepted: fields besides %s", strings.Join(notExtra, ", "))
		}
		b, err := json.Marshal(v)
		if err != nil {
			return nil, c.bad(path+"."+name, "%v", err)
		}
		out[name] = b
	}
	return out, nil
}
