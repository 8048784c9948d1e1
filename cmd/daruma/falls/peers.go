package falls

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/daruma-run/daruma"
)

//go:embed peers.json
var recorded string

// Peer is the recorded run of another framework, judged by the oracle.
type Peer struct {
	Name     string            `json:"name"`
	Recorded string            `json:"recorded"` // the date and the versions
	Results  map[string]Result `json:"results"`  // by scenario; only of scenarios that have not changed since
}

// Recorded returns the peers recorded in this repository: bench/peers has the
// script that made them, and says how to repeat it.
func Recorded() ([]Peer, error) { return JudgePeers(strings.NewReader(recorded)) }

// recording is what a script played against [Serve].
type recording struct {
	Name     string            `json:"name"`
	Date     string            `json:"date"`
	Versions map[string]string `json:"versions"`
	Runs     []struct {
		Scenario string   `json:"scenario"`
		Digest   string   `json:"digest"`
		Acts     []Ending `json:"acts"`
		Took     float64  `json:"took"`
	} `json:"runs"`
}

// JudgePeers reads recordings of peers, a JSON object
//
//	{"recordings": [{"name": "langchain", "date": "2026-11-24", "versions": {"langchain": "1.4.7"},
//	 "runs": [{"scenario": "500-once", "digest": "…", "acts": [{"state": "answered", "said": "…", "ledger": []}]}]}]}
//
// and judges them. State is answered, parked, failed or hang; digest is that of
// GET /scenario. Runs of scenarios that do not exist any more, or have changed,
// are left out. Errors are of KindInvalid.
func JudgePeers(r io.Reader) ([]Peer, error) {
	var file struct {
		Recordings []recording `json:"recordings"`
	}
	if err := json.NewDecoder(r).Decode(&file); err != nil {
		return nil, daruma.Fail("falls.JudgePeers", daruma.KindInvalid, "the recordings: %w", err)
	}
	var peers []Peer
	for _, rec := range file.Recordings {
		p := Peer{Name: rec.Name, Recorded: rec.Date, Results: map[string]Result{}}
		for _, name := range slices.Sorted(maps.Keys(rec.Versions)) {
			p.Recorded += fmt.Sprintf(", %s %s", name, rec.Versions[name])
		}
		for _, run := range rec.Runs {
			s, err := load(run.Scenario)
			if err != nil || s.Digest != run.Digest {
				continue
			}
			result := Result{Runner: p.Name, Took: run.Took}
			result.judge(s, run.Acts)
			p.Results[run.Scenario] = result
		}
		peers = append(peers, p)
	}
	return peers, nil
}
