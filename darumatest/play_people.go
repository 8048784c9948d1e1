package darumatest

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/daruma-run/daruma"
)

// letter is a post by somebody, before and after it was sent.
type letter struct {
	run     daruma.RunID
	id      daruma.PostID
	payload json.RawMessage
	at      time.Time // when it was accepted
	folded  int
}

func encoded(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // plain data
	}
	return b
}

// send posts a letter until somebody says that it was stored.
func (w *world) send(l *letter) {
	p := daruma.Post{Run: l.run, Topic: l.id.Topic, Key: l.id.Key, Payload: l.payload, By: "user:ann", Time: w.clock()}
	fresh, err := w.memory.Post(ctx, p)
	w.tell("ann posts %s %s to %s: fresh %v, %v", p.Topic, p.Key, p.Run, fresh, err)
	if err != nil {
		if daruma.KindOf(err) != daruma.KindConflict {
			w.broken("a post is refused: %v", err)
		}
		return
	}
	if fresh {
		l.at = stored(p.Time)
		w.oracle.past(l.run).posts[l.id] = l
		w.written = append(w.written, written{})
		w.bell()
	}
	w.sync(func(ok bool) {
		if !ok { // nobody answered
			w.after(time.Second, func() { w.send(l) })
		}
	}, "post", string(l.run), l.id.Key)
}

// post sends what the plan says, whatever the run is doing.
func (w *world) post(s *script) {
	for i, l := range s.posts {
		what, arg, _ := strings.Cut(l.word(3), ":")
		letter := &letter{run: daruma.RunID(l.word(1)), id: daruma.PostID{Topic: what, Key: fmt.Sprint("plan-", i)}}
		switch what {
		case daruma.TopicCancel:
			letter.payload = encoded(daruma.Reason{Text: "enough", Compensate: arg == "undo"})
		case daruma.TopicPolicy:
			letter.payload = encoded(daruma.Policy{Limits: daruma.Limits{Steps: 25}})
		case daruma.TopicAnswer:
			letter.payload = encoded(daruma.Answer{Choice: arg, Text: "so it is"})
		case daruma.TopicApproval: // of nothing
			letter.payload = encoded(daruma.Decision{Approve: true})
		case daruma.TopicResult: // decided when it is sent
		default:
			letter.id.Topic, letter.payload = "weather", encoded("rain")
		}
		send := func() {
			if what != daruma.TopicResult || letter.payload != nil || w.result(letter, arg) {
				w.send(letter)
			}
		}
		w.after(l.duration("at"), send)
		if l.has("twice") {
			w.after(l.duration("at")+time.Second, send)
		}
	}
}

// result has somebody outside say what became of the run's last call with an
// effect: the truth where that is known, or what the plan says.
func (w *world) result(l *letter, says string) bool {
	effects := w.oracle.past(l.run).run.Effects()
	if len(effects) == 0 {
		return false
	}
	key := effects[len(effects)-1].Key
	e := w.outside.keyed(key)
	st := daruma.Settlement{Key: key, Outcome: daruma.Succeeded, Text: "as the other side says"}
	switch {
	case e == nil || says == "" && e.times == 0:
		return false // nobody knows yet
	case says != "":
		e.lied = true
		if st.Outcome.UnmarshalText([]byte(says)) != nil {
			return false
		}
	}
	l.payload = encoded(st)
	return true
}

// asked has a person decide on an approval, in time or not, rightly or not.
func (w *world) asked(p *past, a daruma.Approval, n int) {
	run := string(a.Run)
	name := fmt.Sprintf("approve %s %d", run, n)
	how := w.plan.fault(name).word(3)
	if how == "" {
		if how = "yes"; w.roll(8, name) == 0 {
			how = "no"
		}
	}
	w.hit("decide " + how)
	d := daruma.Decision{Approve: how != "no", Hash: a.Hash}
	delay := 100*time.Millisecond + w.some(20*time.Second, name)
	switch how {
	case "never":
		return
	case "wrong":
		d.Hash[0]++
	case "late":
		delay = a.Expires.Sub(w.clock()) + 1500*time.Millisecond
	}
	l := &letter{run: a.Run, id: daruma.PostID{Topic: daruma.TopicApproval, Key: a.ID}, payload: encoded(d)}
	w.after(delay, func() { w.send(l) })
	if how == "twice" {
		other := *l
		other.payload = encoded(daruma.Decision{Approve: false, Hash: a.Hash})
		w.after(delay+w.some(time.Second, name, "again"), func() { w.send(&other) })
	}
}

// parked has a person look at a question some time after it was asked.
func (w *world) parked(p *past, q daruma.Parked, n int) {
	w.hit("parked " + q.Reason)
	if q.Reason != daruma.ParkApproval {
		w.after(200*time.Millisecond+w.some(25*time.Second, "answer", string(p.run.ID()), fmt.Sprint(n)), func() { w.answer(p, n) })
	}
}

// answer answers the question a run is parked with, and looks again later
// whether that has helped.
func (w *world) answer(p *past, n int) {
	q := p.run.Parked()
	if q == nil || q.Reason == daruma.ParkApproval || p.parks != n {
		return
	}
	run := p.run.ID()
	p.answers++
	key := fmt.Sprint("answer-", p.answers)
	l := &letter{run: run, id: daruma.PostID{Topic: daruma.TopicAnswer, Key: key}}
	a := daruma.Answer{Question: q.ID, Choice: w.plan.fault(fmt.Sprintf("answer %s %d", run, n)).word(3), Text: "as ann said"}
	if a.Choice == "stale" && p.question != "" { // it answers what was asked before
		a.Question = p.question
	}
	p.question = q.ID
	if !slices.Contains(q.Options, a.Choice) {
		a.Choice = q.Options[w.roll(len(q.Options), "answer", string(run), key)]
	}
	switch {
	case p.answers > 8:
		a.Choice = daruma.AnswerAbort
	case q.Limit != "" && p.raised < 3 && w.roll(3, "raise", string(run), key) > 0:
		p.raised++
		limits := p.run.Started().Limits
		l.id.Topic = daruma.TopicPolicy
		l.payload = encoded(daruma.Policy{Limits: daruma.Limits{Steps: limits.Steps + 6, Time: 2 * limits.Time, Tokens: 2 * limits.Tokens}})
	case a.Choice == daruma.AnswerHappened || a.Choice == daruma.AnswerAbsent:
		a.Choice = w.honest(p, q)
	}
	if l.payload == nil {
		l.payload = encoded(a)
		w.hit("answer " + a.Choice)
	}
	w.send(l)
	w.after(2*time.Minute, func() { w.answer(p, n) })
}

// honest says what really became of the call in doubt.
func (w *world) honest(p *past, q *daruma.Parked) string {
	if key, ok := strings.CutPrefix(q.Subject, "effect:"); ok {
		if e := w.outside.keyed(key); e != nil && w.outside.truth(e, math.MaxInt) {
			return daruma.AnswerHappened
		}
		return daruma.AnswerAbsent
	}
	digits, _ := strings.CutPrefix(q.Subject, "call:")
	i, err := strconv.Atoi(digits)
	if results := p.run.Results(); err == nil && i < len(results) {
		c := results[i]
		e := w.outside.effect(p.run.ID(), p.run.Turn(), i, c.Tool, c.Args, w.oracle.keyOf(p, i))
		newest := 0
		for id := range p.intents {
			var turn, n int
			fmt.Sscanf(id.Step(), "%d/%d", &turn, &n)
			if turn == p.run.Turn() {
				newest = max(newest, n)
			}
		}
		if w.outside.truth(e, newest) {
			return daruma.AnswerHappened
		}
	}
	return daruma.AnswerAbsent
}
