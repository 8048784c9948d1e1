package agent

import (
	"github.com/daruma-run/daruma"
)

// judge performs a judgement in memory. It returns what was found and the end
// of the judgement, or the large texts it cannot do without.
func (r *live) judge(c *daruma.Command) (found []daruma.Event, missing []daruma.Digest) {
	return append(found, daruma.NewEvent(daruma.KindJudged, daruma.ActorShell, daruma.Judged{Command: c.ID, Of: c.Of})), nil
}
