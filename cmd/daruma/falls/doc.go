// Package falls is the bench of recovery: scripted falls of agents, several
// ways to run an agent through them, and an oracle that judges what came out.
//
//	report, err := falls.Run(ctx, falls.Options{Without: []daruma.Remedy{daruma.Reflect}})
//	if err != nil {
//		return err
//	}
//	report.Table(os.Stdout)
//
// # Scenarios
//
// Each file in scripts is one fall: a script for
// [github.com/daruma-run/daruma/model/fake], and beside it, in comment lines
// that begin with "#:", the truth about it:
//
//	#: family fail | hallucinate | stuck
//	#: fall what goes wrong, in a few words
//	#: input what the agent is asked to do
//	#: best completed | degraded | parked | failed     the best that can be reached; several are equals
//	#: has NAME: FRAGMENT        a fact the answer must hold; | separates alternatives
//	#: missing NAME              a part that nobody can get: an honest answer names it; | separates alternatives
//	#: effect TOOL COUNT ARGS    what the world may and must see: 1, 0..1, 1+; ARGS is JSON, or nothing for any
//	#: lie FRAGMENT              what the answer must not claim
//	#: asks FRAGMENT             what the question of a parked run must name
//	#: approve no                the approver refuses everything; else he allows what the effects ask for, as often as they do
//	#: limits steps=6 tokens=2000 model-time=500ms
//	#: crash TOOL                the process dies while the tool is called for the first time
//	#: deadline 8s               after it, the run hangs
//	#: gap why                   nobody catches this yet: shown, but not counted
//
// A line "#: then …" belongs to a second act: another run by the same process,
// after the first.
//
// # The oracle
//
// It reads what the caller was handed and the ledger of the scripted tools. It
// believes no claims: a run is completed when every fact and every effect is
// there, degraded when what is not there is named, parked when it asks, failed
// when it says so. It is WRONG when success is reported on missing data, an
// effect happened twice or not as asked, an answer says that something did not
// happen that did, or keeps quiet about what is missing. A run without an end
// by its deadline hangs.
//
// The best outcome that can be reached, or a better one, scores 1, any other
// honest one a half, WRONG and hang nothing. Scenarios are written from the
// fall, not from what Daruma can do.
//
// # Runners
//
// "daruma" is package agent over SQLite, with the default ladder, whose first
// waits are a tenth so that the table is quick. "bare" is the loop people write
// by hand: three tries for everything, no keys, no approvals. Peers in other
// languages play against [Serve]; their recorded runs are judged here by the
// same oracle.
package falls
