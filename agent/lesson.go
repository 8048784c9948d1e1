package agent

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/daruma-run/daruma"
)

// recentLessons is how many kept lessons, and marks of forgotten ones, of an
// agent are looked at; older ones are not read any more.
const recentLessons = 64

// Lessons returns what runs of an agent have learned, the newest first, and
// what of it was forgotten: the newest of each, whatever they are worth.
// [daruma.Useful] picks from them as a start does. Errors are those of the
// journal.
func Lessons(ctx context.Context, j daruma.Reader, tenant daruma.Tenant, agent string) ([]daruma.Lesson, []daruma.Forgotten, error) {
	infos, err := j.Runs(ctx, daruma.Query{Tenant: tenant, Name: agent, Type: daruma.LessonRun, Limit: recentLessons})
	if err != nil {
		return nil, nil, err
	}
	var lessons []daruma.Lesson
	var forgotten []daruma.Forgotten
	for _, info := range infos {
		if info.Tenant != tenant || info.State == daruma.Quarantined {
			continue // without a tenant the list is of all
		}
		for e, err := range j.Events(ctx, info.ID, 0) {
			if err != nil {
				return nil, nil, err
			}
			switch e.Kind {
			case daruma.KindLesson:
				var l daruma.Lesson
				if err := json.Unmarshal(e.Payload, &l); err == nil { // one of another version teaches nothing
					lessons = append(lessons, l)
				}
			case daruma.KindForgotten:
				var f daruma.Forgotten
				if err := json.Unmarshal(e.Payload, &f); err == nil {
					forgotten = append(forgotten, f)
				}
			}
		}
	}
	return lessons, forgotten, nil
}

// Forget takes a lesson of an agent away: no run that starts from now on is
// given it, nor older ones that say the same. Doing it again changes nothing.
// Errors: KindNotFound for a lesson that is not among the agent's,
// and those of the journal.
func Forget(ctx context.Context, j Starter, tenant daruma.Tenant, agent, id string, by daruma.Actor) error {
	lessons, _, err := Lessons(ctx, j, tenant, agent)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(lessons, func(l daruma.Lesson) bool { return l.ID == id }) {
		return daruma.Fail("agent.Forget", daruma.KindNotFound, "agent %s has no lesson %q", agent, id)
	}
	now := time.Now().UTC().Truncate(time.Microsecond)
	tx := noted(tenant, agent, daruma.RunID("forget_"+id), now, daruma.NewEvent(daruma.KindForgotten, by, daruma.Forgotten{ID: id, By: by, At: now}))
	tx.State = daruma.Waiting // for nothing; only the owner of a journal may end runs
	if err := j.Commit(ctx, []daruma.Tx{tx})[0]; daruma.KindOf(err) != daruma.KindExists {
		return err
	}
	return nil
}

// Starter is a journal through which runs can be started, as processes that do
// not own it have.
type Starter interface {
	daruma.Reader
	// Commit is that of [daruma.Journal].
	Commit(ctx context.Context, txs []daruma.Tx) []error
}

// noted is the Tx of a run of one event that nobody works on.
func noted(tenant daruma.Tenant, agent string, id daruma.RunID, at time.Time, e daruma.Event) daruma.Tx {
	e.Time = at
	return daruma.Tx{Tenant: tenant, Run: id, Type: daruma.LessonRun, Name: agent, State: daruma.Completed, Events: []daruma.Event{e}}
}

// lessons returns what a run that starts now is given.
func (s *Shell) lessons(ctx context.Context, p *profile, tenant daruma.Tenant) ([]daruma.Lesson, error) {
	if p.Lessons == 0 {
		return nil, nil
	}
	lessons, forgotten, err := Lessons(ctx, s.journal, tenant, p.Name)
	return daruma.Useful(lessons, forgotten, p.Lessons), err
}

// learned is what a run teaches that ends with this Tx, to be kept beside it.
func (r *live) learned() []daruma.Tx {
	if r.agent == nil || r.agent.Lessons == 0 || !r.run.State().Finished() {
		return nil
	}
	var txs []daruma.Tx
	for _, l := range r.run.Lessons() {
		txs = append(txs, noted(r.tenant, r.agent.Name, daruma.RunID(l.ID), l.Time, daruma.NewEvent(daruma.KindLesson, daruma.ActorShell, l)))
	}
	return txs
}
