package store_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"

	"github.com/keyturner/keyturner/rotation"
	"github.com/keyturner/keyturner/store"
)

// writers is how many users turnWriter writes about, one after another.
const writers = 7

// turnWriter makes writes that can be told apart: the nth is about user n%writers, and tells n, in a document of a size that depends
// on it. Whatever a file is, it has to be what some number of the writes left.
type turnWriter struct {
	s              *store.Bolt
	kept           [writers]rotation.Progress
	begun, written atomic.Uint64
}

func turnUser(i uint64) rotation.UserRef {
	return rotation.UserRef{Account: ci.Account, Name: "user-" + strconv.FormatUint(i, 10)}
}

func turnTrail(n uint64) []rotation.Entry {
	return []rotation.Entry{{Detail: strings.Repeat(strconv.FormatUint(n, 10)+",", int(n*7919%4000))}}
}

func (w *turnWriter) write(t *testing.T) {
	n := w.begun.Add(1) - 1
	p := &w.kept[n%writers]
	p.User, p.Trail = turnUser(n%writers), turnTrail(n)
	var err error
	if p.Rev == 0 {
		*p, err = w.s.Create(t.Context(), *p)
	} else {
		*p, err = w.s.Replace(t.Context(), *p)
	}
	if err != nil {
		t.Error(err)
	}
	w.written.Add(1)
}

// writesIn tells which number of writes a file is the state after.
func writesIn(t *testing.T, path string) uint64 {
	t.Helper()
	s := openBolt(t, path)
	defer s.Close()
	var total uint64
	revs := map[rotation.UserRef]uint64{}
	err := s.Scan(t.Context(), func(p rotation.Progress) error {
		total += p.Rev
		revs[p.User] = p.Rev
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range min(total, writers) {
		rev := (total + writers - 1 - i) / writers
		p, err := s.Get(t.Context(), turnUser(i).ID())
		if err != nil || p.Rev != rev {
			t.Fatalf("after %d writes %s is at rev %d, not %d (%v): they are of different times", total, p.User, p.Rev, rev, err)
		}
		if diff := cmp.Diff(turnTrail((rev-1)*writers+i), p.Trail); diff != "" {
			t.Fatalf("after %d writes, %s (-want +got):\n%.500s", total, p.User, diff)
		}
	}
	return total
}

// TestBackup_Live copies a store that writes without a pause and holds its lock.
func TestBackup_Live(t *testing.T) {
	path, dir := filepath.Join(t.TempDir(), "keyturner.db"), t.TempDir()
	w := &turnWriter{s: openBolt(t, path)}
	w.write(t)
	var stop atomic.Bool
	var writer sync.WaitGroup
	writer.Go(func() {
		for !stop.Load() {
			w.write(t)
		}
	})
	defer func() {
		stop.Store(true)
		writer.Wait()
	}()
	rounds, tries := 40, 0
	for round := range rounds {
		if s, err := store.OpenBolt(path, store.Config{LockTimeout: time.Nanosecond}); err == nil {
			t.Fatalf("the store is not locked: %v", s)
		}
		backup, before := filepath.Join(dir, strconv.Itoa(round)), w.written.Load()
		_, err := store.BackupWhile(t.Context(), path, backup, func() { tries++ })
		after := w.begun.Load()
		if err != nil {
			t.Fatal(err)
		}
		if got := writesIn(t, backup); got < before || got > after {
			t.Fatalf("round %d: the copy is of write %d, which is not from %d to %d", round, got, before, after)
		}
		if _, err := store.Check(t.Context(), path); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d backups in %d tries, during %d writes", rounds, tries, w.written.Load())
}

// pairs writes two documents of one number in each transaction, among others that come, grow, shrink and go.
type pairs struct {
	db     *bbolt.DB
	random *rand.Rand
	n      int
}

func (p *pairs) write(tx *bbolt.Tx) error {
	b := tx.Bucket([]byte("entries"))
	entry := func(size int) []byte {
		return fmt.Appendf(nil, `{"schema":1,"detail":"%d %s"}`, p.n, strings.Repeat("x", size))
	}
	err := errors.Join(b.Put([]byte("a left"), entry(10)), b.Put([]byte("z right"), entry(10)))
	for range p.random.IntN(8) {
		other := []byte("other " + strconv.Itoa(p.random.IntN(60)))
		if p.random.IntN(3) == 0 {
			err = errors.Join(err, b.Delete(other))
		} else {
			err = errors.Join(err, b.Put(other, entry(p.random.IntN(20_000))))
		}
	}
	return err
}

// TestBackup_Race lets transactions run during the copy of pages, at full speed: without fsync. What is copied has to be the state
// after one of them.
func TestBackup_Race(t *testing.T) {
	for name, options := range map[string]*bbolt.Options{
		"default":        {NoSync: true},
		"small pages":    {NoSync: true, PageSize: 1 << 10},
		"large pages":    {NoSync: true, PageSize: 1 << 14},
		"no free list":   {NoSync: true, NoFreelistSync: true},
		"free list map":  {NoSync: true, FreelistType: bbolt.FreelistMapType},
		"not grown much": {NoSync: true, NoGrowSync: true},
	} {
		t.Run(name, func(t *testing.T) {
			path := boltFile(t, options, func(*bbolt.Tx) error { return nil })
			if err := openBolt(t, path).Close(); err != nil { // makes the buckets
				t.Fatal(err)
			}
			db, err := bbolt.Open(path, 0o600, options)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			p := &pairs{db: db, random: rand.New(rand.NewPCG(3, 4))}
			if err := db.Update(p.write); err != nil {
				t.Fatal(err)
			}
			rounds, tries := 15, 0
			for round := range rounds {
				tries += p.round(t, path, filepath.Join(t.TempDir(), strconv.Itoa(round)))
			}
			t.Logf("%d backups in %d tries, during %d transactions", rounds, tries, p.n)
		})
	}
}

// round makes a backup with a burst of transactions during each try, and tells how many tries it took.
func (p *pairs) round(t *testing.T, path, backup string) int {
	t.Helper()
	before, tries := p.n, 0
	var burst sync.WaitGroup
	_, err := store.BackupWhile(t.Context(), path, backup, func() {
		tries++
		burst.Wait()
		txs := p.random.IntN(4) * p.random.IntN(5)
		burst.Go(func() {
			for range txs {
				p.n++
				if err := p.db.Update(p.write); err != nil {
					t.Error(err)
				}
			}
		})
	})
	burst.Wait()
	if err != nil {
		t.Fatal(err)
	}
	var n [2]int
	all := dump(t, backup)
	for i, key := range []string{"entries/a left", "entries/z right"} {
		var e struct{ Detail string }
		err := json.Unmarshal([]byte(all[key]), &e)
		if err == nil {
			_, err = fmt.Sscanf(e.Detail, "%d", &n[i])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if n[0] != n[1] || n[0] < before || n[0] > p.n {
		t.Fatalf("transactions %d and %d are in one copy, made from %d to %d", n[0], n[1], before, p.n)
	}
	return tries
}

// TestBackup_Killed copies the file of another process that writes, is killed during a copy, and leaves the file as it is.
func TestBackup_Killed(t *testing.T) {
	path, dir := filepath.Join(t.TempDir(), "keyturner.db"), t.TempDir()
	for run := range 4 {
		child := exec.CommandContext(t.Context(), os.Args[0])
		child.Env = append(os.Environ(), childPath+"="+path)
		out, err := child.StdoutPipe()
		if err == nil {
			err = child.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		lines, acked := bufio.NewScanner(out), atomic.Uint64{}
		heard := make(chan struct{}, 1)
		var listener sync.WaitGroup
		listener.Go(func() {
			defer close(heard)
			for lines.Scan() {
				if rev, err := strconv.ParseUint(lines.Text(), 10, 64); err == nil {
					acked.Store(rev)
				}
				select {
				case heard <- struct{}{}:
				default:
				}
			}
		})
		name := func(what string) string { return filepath.Join(dir, what+strconv.Itoa(run)) }
		for i := range 5 {
			<-heard
			wantRev(t, path, name("alive"+strconv.Itoa(i)), acked.Load, func() {})
		}
		wantRev(t, path, name("dying"), acked.Load, func() { _ = child.Process.Kill() })
		_ = child.Wait()
		listener.Wait()
		wantRev(t, path, name("dead"), acked.Load, func() {})
		restored := name("restored")
		if _, err := store.Restore(t.Context(), name("dead"), restored); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(dump(t, path), dump(t, restored)); diff != "" {
			t.Errorf("run %d (-want +got):\n%.2000s", run, diff)
		}
		writable(t, restored)
	}
}

// wantRev makes a backup and expects what was acknowledged before in it.
func wantRev(t *testing.T, path, backup string, acked func() uint64, looked func()) {
	t.Helper()
	before := acked()
	if _, err := store.BackupWhile(t.Context(), path, backup, looked); err != nil {
		t.Fatal(err)
	}
	s := openBolt(t, backup)
	p, err := s.Get(t.Context(), ci.ID())
	if err != nil || p.Rev < before || uint64(len(p.Trail)) != p.Rev-1 {
		t.Errorf("%s: rev %d was acknowledged, and rev %d is there with %d entries (%v)", backup, before, p.Rev, len(p.Trail), err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestBackup_Scribbled: of a file with any damage, a copy is made if and only if the file can be opened, and says the same.
func TestBackup_Scribbled(t *testing.T) {
	path, dir := filledFile(t), t.TempDir()
	whole, used := readFile(t, path), int(usedBytes(t, path))
	random := rand.New(rand.NewPCG(5, 6))
	copied := 0
	for i := range 120 {
		broken := bytes.Clone(whole)
		for range 1 + random.IntN(16) {
			page := random.IntN(used / os.Getpagesize())
			broken[page*os.Getpagesize()+random.IntN(128)] ^= 1 << random.IntN(8)
		}
		file, backup := filepath.Join(dir, "file"+strconv.Itoa(i)), filepath.Join(dir, "backup"+strconv.Itoa(i))
		if err := os.WriteFile(file, broken, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := store.Backup(t.Context(), file, backup)
		if !bytes.Equal(broken, readFile(t, file)) {
			t.Fatalf("%d: the file was changed (error %v)", i, err)
		}
		s, openErr := store.OpenBolt(file, store.Config{})
		if openErr == nil {
			openErr = s.Close()
		}
		if (err == nil) != (openErr == nil) {
			t.Errorf("%d: open: %v; back up: %v", i, openErr, err)
		}
		if err != nil || openErr != nil {
			continue
		}
		copied++
		if diff := cmp.Diff(dump(t, file), dump(t, backup)); diff != "" {
			t.Errorf("%d (-want +got):\n%.1000s", i, diff)
		}
	}
	if copied == 0 || copied == 120 {
		t.Errorf("%d of 120 were copied", copied)
	}
}
