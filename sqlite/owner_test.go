package sqlite_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/sqlite"
)

func TestOwnerIsNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j.db")
	db := open(t, path, nil)
	_, err := sqlite.Open(t.Context(), path, nil)
	if daruma.KindOf(err) != daruma.KindExists || !strings.Contains(err.Error(), fmt.Sprint("pid ", os.Getpid())) || !strings.Contains(err.Error(), " since 2") {
		t.Errorf("second open: %v", err)
	}
	link := filepath.Join(t.TempDir(), "link.db")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Open(t.Context(), link, nil); daruma.KindOf(err) != daruma.KindExists {
		t.Errorf("by another name: %v", err)
	}
	for _, name := range []string{path, path + ".lock", path + ".sock"} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v, want mode 0600", name, info.Mode(), err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path + ".sock"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
	open(t, path, nil)
}

// TestFarAway: a path too long for a socket has it in a folder of its own,
// which goes with it.
func TestFarAway(t *testing.T) {
	far := filepath.Join(t.TempDir(), strings.Repeat("far", 40))
	if err := os.Mkdir(far, 0o700); err != nil {
		t.Fatal(err)
	}
	short := t.TempDir()
	t.Setenv("TMPDIR", short)
	db := open(t, filepath.Join(far, "j.db"), nil)
	if sockets, err := filepath.Glob(filepath.Join(short, "*", "sock")); err != nil || len(sockets) != 1 {
		t.Errorf("sockets: %v, %v; want one", sockets, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(short); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestReaderBesideOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j.db")
	if _, err := sqlite.OpenReader(t.Context(), path); daruma.KindOf(err) != daruma.KindNotFound {
		t.Errorf("without a file: %v", err)
	}
	db := open(t, path, nil)
	r, err := sqlite.OpenReader(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	grown(t, db, "r")
	if info, err := r.Run(t.Context(), "r"); err != nil || info.Head != 5 {
		t.Errorf("got %+v, %v", info, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, err := range r.Events(t.Context(), "r", 0) {
		if n++; err != nil {
			t.Error(err)
		}
	}
	if n != 5 {
		t.Errorf("%d events without an owner, want 5", n)
	}
	alone, err := sqlite.OpenReader(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer alone.Close()
	if _, err := alone.Run(t.Context(), "r"); err != nil {
		t.Error(err)
	}
}

// free is a Tx that starts a run held by nobody.
func free(id string) daruma.Tx {
	tx := start(id)
	tx.Node = ""
	return tx
}

func TestSocket(t *testing.T) {
	for name, file := range map[string]string{"short": "j.db", "long": strings.Repeat("long", 40) + ".db"} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), file)
			if _, err := sqlite.Dial(t.Context(), path); daruma.KindOf(err) != daruma.KindUnavailable {
				t.Errorf("without an owner: %v", err)
			}
			db := open(t, path, nil)
			access, err := sqlite.Connect(t.Context(), path, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer access.Close()
			r, ok := access.(*sqlite.Remote)
			if !ok || r.Owner().PID != os.Getpid() || len(r.Owner().Socket) > 100 {
				t.Fatalf("connected as %T: %+v", access, r)
			}
			keyed := free("keyed")
			keyed.Keys = []daruma.KeyClaim{{Key: "k", Fingerprint: daruma.DigestOf(nil)}}
			second := free("second")
			second.Keys = keyed.Keys
			txs := []daruma.Tx{keyed, start("held"), {Run: "keyed", Head: 1, Events: []daruma.Event{event("judged")}}, {Run: "bad"}, second}
			want := []daruma.Kind{0, daruma.KindDenied, daruma.KindDenied, daruma.KindInvalid, daruma.KindExists}
			got := r.Commit(t.Context(), txs)
			for i, err := range got {
				if (err == nil) != (want[i] == 0) || daruma.KindOf(err) != want[i] {
					t.Errorf("Tx %d: %v, want %v", i, err, want[i])
				}
			}
			if k, ok := errors.AsType[*daruma.KeyTaken](got[4]); !ok || k.Run != "keyed" || !k.Same {
				t.Errorf("the key's holder is lost on the way: %v", got[4])
			}
			raise := daruma.Tx{Spends: []daruma.Spend{{Op: daruma.SpendRaise, Budget: "b", Grant: "raise:1", Amount: 5}}}
			draw := daruma.Tx{Spends: []daruma.Spend{raise.Spends[0], {Budget: "b", Limit: 9, Grant: "g", Amount: 5}}}
			if got := r.Commit(t.Context(), []daruma.Tx{draw, raise, raise}); daruma.KindOf(got[0]) != daruma.KindDenied || got[1] != nil || daruma.KindOf(got[2]) != daruma.KindExists {
				t.Errorf("a draw, a raise, the same raise: %v", got)
			}
			if all, err := r.Budgets(t.Context()); err != nil || len(all) != 1 || all[0].Raised != 5 || all[0].Spent != 0 {
				t.Errorf("budgets: %+v, %v", all, err)
			}
			woken(t, db)
			p := daruma.Post{Run: "keyed", Topic: "cancel", Key: "1", By: "user:ann", Payload: []byte(`{"text":"stop"}`)}
			for i, want := range []bool{true, false} {
				if fresh, err := r.Post(t.Context(), p); err != nil || fresh != want {
					t.Errorf("post %d: %v, %v", i, fresh, err)
				}
			}
			woken(t, db)
			p.Key = ""
			if _, err := r.Post(t.Context(), p); daruma.KindOf(err) != daruma.KindInvalid {
				t.Errorf("bad post: %v", err)
			}
			claims, err := db.Claim(t.Context(), daruma.Claim{Node: "a"})
			if err != nil || len(claims.Runs) != 1 || len(claims.Runs[0].Posts) != 1 || string(claims.Runs[0].Posts[0].Payload) != `{"text":"stop"}` {
				t.Errorf("claims: %+v, %v", claims, err)
			}
			if info, err := r.Run(t.Context(), "keyed"); err != nil || info.Node != "a" {
				t.Errorf("read: %+v, %v", info, err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			p.Key = "2"
			if _, err := r.Post(t.Context(), p); daruma.KindOf(err) != daruma.KindUnavailable {
				t.Errorf("after the owner: %v", err)
			}
			next, err := sqlite.Connect(t.Context(), path, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer next.Close()
			if _, ok := next.(*sqlite.DB); !ok {
				t.Errorf("connected as %T, want the owner itself", next)
			}
		})
	}
}

// The door itself refuses what a well-behaved client would not send.
func TestSocketRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j.db")
	db := open(t, path, nil)
	grown(t, db, "r")
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path+".sock")
		},
	}}
	for body, status := range map[string]int{
		`[{"Run":"r","Head":5,"Epoch":1}]`: http.StatusBadRequest,
		`[{"Keys":[{"Key":"k"}]}]`:         http.StatusBadRequest,
		`[{"Run":"n","Node":"x"}]`:         http.StatusBadRequest,
		`{`:                                http.StatusBadRequest,
		`[{"Run":"n"}]`:                    http.StatusOK, // with a verdict: no type, no event
	} {
		res, err := client.Post("http://owner/v1/commit", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != status {
			t.Errorf("%s: status %d, want %d", body, res.StatusCode, status)
		}
	}
	if info, err := db.Run(t.Context(), "r"); err != nil || info.Head != 5 {
		t.Errorf("got %+v, %v", info, err)
	}
}

func woken(t *testing.T, db *sqlite.DB) {
	t.Helper()
	select {
	case <-db.Wake():
	default:
		t.Error("not woken")
	}
}

// TestKill kills a process that commits and wants every acknowledged head back.
func TestKill(t *testing.T) {
	if path := os.Getenv("SQLITE_TEST_KILL"); path != "" {
		commitForEver(t, path)
		return
	}
	path := filepath.Join(t.TempDir(), "j.db")
	acknowledged := int64(0)
	for round := range 3 {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKill$")
		cmd.Env = append(os.Environ(), "SQLITE_TEST_KILL="+path)
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
		for n := 0; n < 50 && lines.Scan(); n++ {
			if _, err := fmt.Sscanf(lines.Text(), "head %d", &acknowledged); err != nil {
				t.Fatalf("%q: %v; %s", lines.Text(), err, &complaints)
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() { // what it still said before it died
			_, _ = fmt.Sscanf(lines.Text(), "head %d", &acknowledged)
		}
		_ = cmd.Wait() // it was killed
		if round == 1 {
			// A reader may come before the next owner.
			r, err := sqlite.OpenReader(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			if info, err := r.Run(t.Context(), "r"); err != nil || info.Head < acknowledged {
				t.Errorf("a reader after the kill: %+v, %v", info, err)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
		db := open(t, path, nil)
		events := 0
		for _, err := range db.Events(t.Context(), "r", 0) {
			if events++; err != nil {
				t.Fatal(err)
			}
		}
		info, err := db.Run(t.Context(), "r")
		if err != nil || info.Head < acknowledged || info.Head > acknowledged+1 || int64(events) != info.Head || acknowledged == 0 {
			t.Fatalf("round %d: head %d with %d events, %d were acknowledged: %v", round, info.Head, events, acknowledged, err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// commitForEver says each head once it is acknowledged, until it is killed.
func commitForEver(t *testing.T, path string) {
	db := open(t, path, nil)
	tx := free("r")
	if err := db.Commit(t.Context(), []daruma.Tx{tx})[0]; err != nil && daruma.KindOf(err) != daruma.KindExists {
		t.Fatal(err)
	}
	claims, err := db.Claim(t.Context(), daruma.Claim{Node: "a"})
	if err != nil || len(claims.Runs) != 1 {
		t.Fatal(claims, err)
	}
	info := claims.Runs[0].Run
	for head := info.Head; ; head++ {
		tx := daruma.Tx{Run: "r", Head: head, Epoch: info.Epoch, Events: []daruma.Event{event("judged")}}
		if err := db.Commit(t.Context(), []daruma.Tx{tx})[0]; err != nil {
			t.Fatal(err)
		}
		fmt.Println("head", head+1)
	}
}
