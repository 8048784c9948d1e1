package postgres_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/postgres"
)

func start(id string) daruma.Tx {
	return daruma.Tx{Run: daruma.RunID(id), Type: daruma.AgentRun, Name: "test", Node: "a", Events: []daruma.Event{event("run.started", id)}}
}

// free is a Tx that starts a run held by nobody.
func free(id string) daruma.Tx {
	tx := start(id)
	tx.Node = ""
	return tx
}

func event(kind, token string) daruma.Event {
	return daruma.Event{Kind: daruma.EventKind(kind), Time: time.Now().UTC().Truncate(time.Microsecond), Actor: daruma.ActorShell, Payload: fmt.Appendf(nil, `{"token":%q}`, token)}
}

// server's superuser session, to do harm with.
func root(t testing.TB) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), server.DSN(""))
	if err != nil {
		t.Error(err)
		t.FailNow()
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// storm is many runs that commit at once, and what was acknowledged.
type storm struct {
	t   *testing.T
	dsn string

	mu    sync.Mutex
	acked map[daruma.RunID]map[int64]string // token by seq
	sent  int
}

// blow commits on all runs until the journal is down, and does the harm once
// so many commits were acknowledged.
func (s *storm) blow(db *postgres.DB, after int32, harm func()) {
	s.t.Helper()
	claims, err := db.Claim(s.t.Context(), daruma.Claim{Node: "a"})
	if err != nil {
		s.t.Fatal(err)
	}
	var told atomic.Int32
	reached := make(chan struct{})
	var harmed sync.WaitGroup
	harmed.Go(func() {
		select {
		case <-reached:
			harm()
		case <-s.t.Context().Done():
		}
	})
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for _, c := range claims.Runs {
		wg.Go(func() {
			id, epoch := c.Run.ID, c.Run.Epoch
			for head := c.Run.Head; ; head++ {
				token := fmt.Sprint(id, "/", epoch, "/", head)
				err := db.Commit(ctx, []daruma.Tx{{Run: id, Head: head, Epoch: epoch, Events: []daruma.Event{event("judged", token)}}})[0]
				if err != nil {
					if daruma.KindOf(err) != daruma.KindDown { // or the harm did no harm
						s.t.Errorf("%s: %v", id, err)
					}
					return
				}
				s.mu.Lock()
				s.acked[id][head+1] = token
				s.sent++
				s.mu.Unlock()
				if told.Add(1) == after {
					close(reached)
				}
			}
		})
	}
	wg.Wait()
	harmed.Wait()
	select {
	case <-db.Down():
	default:
		s.t.Error("Down is open")
	}
	if err := db.Commit(s.t.Context(), []daruma.Tx{start("later")})[0]; daruma.KindOf(err) != daruma.KindDown {
		s.t.Errorf("commit afterwards: %v", err)
	}
	if _, err := db.Post(s.t.Context(), daruma.Post{Run: "r0", Topic: "t", Key: "later"}); daruma.KindOf(err) != daruma.KindDown {
		s.t.Errorf("post afterwards: %v", err)
	}
}

// check wants every acknowledged event where it was acknowledged, and none twice.
func (s *storm) check(db *postgres.DB) {
	s.t.Helper()
	for id, acked := range s.acked {
		seen := map[string]bool{}
		found := 0
		for e, err := range db.Events(s.t.Context(), id, 0) {
			if err != nil {
				s.t.Fatalf("%s: %v", id, err)
			}
			text := string(e.Payload)
			if seen[text] && e.Kind != daruma.KindClaimed {
				s.t.Errorf("%s: event %d is there twice: %s", id, e.Seq, text)
			}
			seen[text] = true
			if token, ok := acked[e.Seq]; ok {
				found++
				if text != fmt.Sprintf(`{"token":%q}`, token) {
					s.t.Errorf("%s: event %d is %s, acknowledged was %s", id, e.Seq, text, token)
				}
			}
		}
		if found != len(acked) {
			s.t.Errorf("%s: %d of %d acknowledged events are there", id, found, len(acked))
		}
	}
}

func newStorm(t *testing.T, runs int) (*storm, *postgres.DB) {
	s := &storm{t: t, dsn: place(t), acked: map[daruma.RunID]map[int64]string{}}
	db := open(t, s.dsn, nil)
	for i := range runs {
		id := fmt.Sprint("r", i)
		if err := db.Commit(t.Context(), []daruma.Tx{free(id)})[0]; err != nil {
			t.Fatal(err)
		}
		s.acked[daruma.RunID(id)] = map[int64]string{1: id}
	}
	return s, db
}

// terminate ends a session as an operator would.
func terminate(t *testing.T, pid int) {
	t.Helper()
	var done bool
	if err := root(t).QueryRow(context.Background(), `SELECT pg_terminate_backend($1)`, pid).Scan(&done); err != nil || !done {
		t.Errorf("session %d: %v", pid, err)
	}
}

// TestHarm harms the server's side while many runs commit: nothing that was
// acknowledged is lost, nothing is there twice.
func TestHarm(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds; left out with -short")
	}
	s, db := newStorm(t, 16)
	backend := func() (pid int) {
		if err := root(t).QueryRow(t.Context(), `SELECT backend FROM `+schemaOf(s.dsn)+`.owner`).Scan(&pid); err != nil {
			t.Error(err)
		}
		return pid
	}
	listener := func() (pid int) {
		if err := root(t).QueryRow(t.Context(), `SELECT a.pid FROM pg_stat_activity a JOIN pg_locks l ON l.pid = a.pid AND l.locktype = 'advisory'
			WHERE a.query LIKE '%LISTEN%' AND a.query LIKE '%"' || $1::text || '"%'`, schemaOf(s.dsn)).Scan(&pid); err != nil {
			t.Error(err)
		}
		return pid
	}
	harms := []struct {
		name string
		do   func()
	}{
		{"the session that writes is ended", func() { terminate(t, backend()) }},
		{"the session that holds the lock is ended", func() { terminate(t, listener()) }},
		{"another process has taken over", func() {
			if _, err := root(t).Exec(context.Background(), `UPDATE `+schemaOf(s.dsn)+`.owner SET epoch = epoch + 1`); err != nil {
				t.Error(err)
			}
		}},
		{"the server crashes", func() {
			if err := server.Crash(context.Background()); err != nil {
				t.Error(err)
			}
		}},
	}
	if !server.Own() {
		harms = harms[:3]
	}
	for round := range 2 {
		for _, h := range harms {
			s.blow(db, int32(100+round*333), h.do)
			if err := db.Close(); err != nil {
				t.Error(err)
			}
			db = open(t, s.dsn, &postgres.Options{Patience: 10 * time.Second})
			s.check(db)
		}
	}
	t.Logf("%d commits were acknowledged, %d harms", s.sent, 2*len(harms))
}

func schemaOf(dsn string) string {
	for i := len(dsn) - 1; ; i-- {
		if dsn[i] == '=' {
			return dsn[i+1:]
		}
	}
}

const killVariable = "POSTGRES_TEST_KILL"

var errKilled = errors.New("killed")

// TestKill kills a process that commits, between sending a transaction and
// reading the answer among others, and wants every acknowledged head back.
func TestKill(t *testing.T) {
	if dsn := os.Getenv(killVariable); dsn != "" {
		commitForEver(t, dsn)
		return
	}
	dsn := place(t)
	acknowledged, kept := int64(0), 0
	for round := range 6 {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKill$")
		cmd.Env = append(os.Environ(), killVariable+"="+dsn)
		if round%2 == 1 { // it kills itself, with a transaction under way
			cmd.Env = append(cmd.Env, "POSTGRES_TEST_SENT=40")
		}
		var complaints bytes.Buffer
		cmd.Stderr = &complaints
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; (round%2 == 1 || n < 50) && lines.Scan(); n++ {
			if _, err := fmt.Sscanf(lines.Text(), "head %d", &acknowledged); err != nil {
				t.Fatalf("%q: %v; %s", lines.Text(), err, &complaints)
			}
		}
		_ = cmd.Process.Kill() // it may be dead
		for lines.Scan() {     // what it still said before it died
			_, _ = fmt.Sscanf(lines.Text(), "head %d", &acknowledged)
		}
		_ = cmd.Wait() // it was killed
		db := open(t, dsn, &postgres.Options{Patience: 10 * time.Second})
		events := 0
		for _, err := range db.Events(t.Context(), "r", 0) {
			if events++; err != nil {
				t.Fatal(err)
			}
		}
		info, err := db.Run(t.Context(), "r")
		if err != nil || info.Head < acknowledged || info.Head > acknowledged+1 || int64(events) != info.Head || acknowledged == 0 {
			t.Fatalf("round %d: head %d with %d events, %d were acknowledged: %v; %s", round, info.Head, events, acknowledged, err, &complaints)
		}
		if info.Head > acknowledged {
			kept++
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d of 6 transactions were durable though their process died before it knew", kept)
}

// commitForEver says each head once it is acknowledged, until it is killed.
func commitForEver(t *testing.T, dsn string) {
	left := -1
	if text := os.Getenv("POSTGRES_TEST_SENT"); text != "" {
		if _, err := fmt.Sscan(text, &left); err != nil {
			t.Fatal(err)
		}
	}
	db := open(t, dsn, &postgres.Options{Patience: 10 * time.Second, Fault: func(point string) error {
		if point != postgres.FaultSent {
			return nil
		}
		if left--; left != 0 {
			return nil
		}
		p, err := os.FindProcess(os.Getpid())
		if err == nil {
			err = p.Kill()
		}
		if err != nil {
			return err
		}
		<-t.Context().Done()
		return errKilled
	}})
	if err := db.Commit(t.Context(), []daruma.Tx{free("r")})[0]; err != nil && daruma.KindOf(err) != daruma.KindExists {
		t.Fatal(err)
	}
	claims, err := db.Claim(t.Context(), daruma.Claim{Node: "a"})
	if err != nil || len(claims.Runs) != 1 {
		t.Fatal(claims, err)
	}
	info := claims.Runs[0].Run
	fmt.Println("head", info.Head)
	for head := info.Head; ; head++ {
		tx := daruma.Tx{Run: "r", Head: head, Epoch: info.Epoch, Events: []daruma.Event{event("judged", fmt.Sprint(head))}}
		if err := db.Commit(t.Context(), []daruma.Tx{tx})[0]; err != nil {
			t.Fatal(err)
		}
		fmt.Println("head", head+1)
	}
}
