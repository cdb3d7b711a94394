// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package durable

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// limit bounds what these tests read, in bytes.
const limit = 4096

// Invariant: a crash at every step of the write path recovers to the old record
// or to the new one, never to a mix.

// model is a disk with a page cache. What a crash leaves of it is what was synced,
// plus any selection of what was not: POSIX promises no order between them.
type model struct {
	failAt int   // the call that fails; counted from 1, 0: none
	fail   error // and how
	crash  int   // the call before which the power fails; 0: never
	short  bool  // every write takes one byte only
	calls  []string

	files  map[int]*file  // by inode
	names  map[string]int // the directory as processes see it
	stable map[string]int // the directory as it is on the disk
	moves  []move         // changes of the directory that are not yet on the disk
	open   map[int]int    // descriptor → inode; the directory is inode 0
	next   int
}

type file struct {
	data   []byte // as processes see it
	synced int    // so many bytes of it are on the disk for certain
}

type move struct {
	from, to string // from "": a new name; to "": a name removed
	inode    int
}

var errPower = errors.New("the power failed")

func newModel(old []byte) *model {
	m := &model{files: map[int]*file{}, names: map[string]int{}, stable: map[string]int{}, open: map[int]int{}, next: 10}
	if old != nil {
		m.files[1] = &file{old, len(old)}
		m.names["pid"], m.stable["pid"] = 1, 1
	}
	return m
}

func (m *model) step(call string) error {
	m.calls = append(m.calls, call)
	switch len(m.calls) {
	case m.crash:
		panic(errPower)
	case m.failAt:
		return m.fail
	}
	return nil
}

func (m *model) descriptor(inode int) int {
	m.next++
	m.open[m.next] = inode
	return m.next
}

func (m *model) openDir(string) (int, error) {
	if err := m.step("open directory"); err != nil {
		return -1, err
	}
	return m.descriptor(0), nil
}

func (m *model) create(_ int, name string) (int, error) {
	if err := m.step("create"); err != nil {
		return -1, err
	}
	if _, ok := m.names[name]; ok {
		return -1, syscall.EEXIST
	}
	m.next++
	m.files[m.next] = &file{}
	m.names[name] = m.next
	m.moves = append(m.moves, move{"", name, m.next})
	return m.descriptor(m.next), nil
}

func (m *model) write(fd int, p []byte) (int, error) {
	if err := m.step("write"); err != nil {
		return 0, err
	}
	if m.short {
		p = p[:1]
	}
	f := m.files[m.open[fd]]
	f.data = append(f.data, p...)
	return len(p), nil
}

func (m *model) fsync(fd int) error {
	if err := m.step("fsync"); err != nil {
		return err
	}
	if inode := m.open[fd]; inode != 0 {
		m.files[inode].synced = len(m.files[inode].data)
		return nil
	}
	m.stable, m.moves = maps.Clone(m.names), nil
	return nil
}

func (m *model) close(fd int) error {
	delete(m.open, fd)
	return m.step("close")
}

func (m *model) rename(_ int, from, to string) error {
	if err := m.step("rename"); err != nil {
		return err
	}
	m.moves = append(m.moves, move{from, to, m.names[from]})
	m.names[to] = m.names[from]
	delete(m.names, from)
	return nil
}

func (m *model) unlink(_ int, name string) error {
	if err := m.step("unlink"); err != nil {
		return err
	}
	m.moves = append(m.moves, move{name, "", m.names[name]})
	delete(m.names, name)
	return nil
}

// afterCrash returns every content that "pid" may have once the power is back:
// every subset of the directory's unsynced changes, every length of the
// unsynced data, which may also be zeros.
func (m *model) afterCrash() [][]byte {
	var contents [][]byte
	for subset := range 1 << len(m.moves) {
		dir := maps.Clone(m.stable)
		for i, mv := range m.moves {
			if subset>>i&1 == 0 {
				continue
			}
			delete(dir, mv.from)
			if mv.to != "" {
				dir[mv.to] = mv.inode
			}
		}
		inode, ok := dir["pid"]
		if !ok {
			contents = append(contents, nil)
			continue
		}
		f := m.files[inode]
		for n := f.synced; n <= len(f.data); n++ {
			contents = append(contents, f.data[:n], append(slices.Clone(f.data[:n]), make([]byte, len(f.data)-n)...))
		}
	}
	return contents
}

// writeUntilCrash runs one write on the model and reports whether the power failed.
func writeUntilCrash(m *model, data []byte) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = p.(error)
		}
	}()
	return writeWhole(m, "/records/pid", data)
}

func TestCrashAtEverySystemCall(t *testing.T) {
	oldRecord, newRecord := alternating(0), alternating(1)
	for name, old := range map[string][]byte{"over an old record": oldRecord, "the first record": nil} {
		for _, short := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, short writes %v", name, short), func(t *testing.T) {
				whole := newModel(old)
				whole.short = short
				if err := writeUntilCrash(whole, newRecord); err != nil {
					t.Fatal(err)
				}
				if len(whole.calls) < 8 {
					t.Fatalf("only %v: the seam is not where the calls are", whole.calls)
				}
				for crash := 1; crash <= len(whole.calls); crash++ {
					m := newModel(old)
					m.short, m.crash = short, crash
					if err := writeUntilCrash(m, newRecord); !errors.Is(err, errPower) {
						t.Fatalf("crash %d: %v", crash, err)
					}
					onlyOldOrNew(t, fmt.Sprintf("crash before call %d (%s)", crash, m.calls[crash-1]), m.afterCrash(), old, newRecord)
				}
				// After it returned there is only the new.
				onlyOldOrNew(t, "crash after the write", whole.afterCrash(), newRecord, newRecord)
			})
		}
	}
}

func onlyOldOrNew(t *testing.T, when string, contents [][]byte, old, fresh []byte) {
	t.Helper()
	for _, c := range contents {
		if !bytes.Equal(c, old) && !bytes.Equal(c, fresh) {
			t.Errorf("%s: %q", when, c)
		}
	}
}

// The model itself must be able to fail: writers that forget a step are caught.
func TestModelCatchesCarelessWriters(t *testing.T) {
	old, fresh := []byte("1\n"), []byte("22222\n")
	careless := map[string]func(d disk) error{
		"no fsync of the file": func(d disk) error {
			dir, _ := d.openDir("")
			fd, _ := d.create(dir, "t")
			d.write(fd, fresh)
			d.close(fd)
			d.rename(dir, "t", "pid")
			return d.fsync(dir)
		},
		"no fsync of the directory": func(d disk) error {
			dir, _ := d.openDir("")
			fd, _ := d.create(dir, "t")
			d.write(fd, fresh)
			d.fsync(fd)
			return d.rename(dir, "t", "pid")
		},
		"remove and rename": func(d disk) error {
			dir, _ := d.openDir("")
			fd, _ := d.create(dir, "t")
			d.write(fd, fresh)
			d.fsync(fd)
			d.unlink(dir, "pid")
			d.rename(dir, "t", "pid")
			return d.fsync(dir)
		},
	}
	for name, write := range careless {
		caught := false
		for crash := 1; crash <= 8; crash++ {
			m := newModel(old)
			m.crash = crash
			err := func() (err error) {
				defer func() {
					if p := recover(); p != nil {
						err = p.(error)
					}
				}()
				return write(m)
			}()
			for _, c := range m.afterCrash() {
				done := err == nil // then the old record is a loss, too
				caught = caught || !bytes.Equal(c, fresh) && (!bytes.Equal(c, old) || done)
			}
		}
		if !caught {
			t.Errorf("%s: not caught", name)
		}
	}
}

// A call that fails leaves the old record (or, when the rename is done, the new)
// and no temporary file, and the error says which call it was.
func TestFailureOfEverySystemCall(t *testing.T) {
	old, fresh := alternating(0), alternating(1)
	whole := newModel(old)
	if err := writeWhole(whole, "pid", fresh); err != nil {
		t.Fatal(err)
	}
	for n, call := range whole.calls {
		for _, failure := range []error{syscall.EIO, syscall.ENOSPC, syscall.EDQUOT} {
			m := newModel(old)
			m.failAt, m.fail = n+1, failure
			err := writeWhole(m, "pid", fresh)
			last := n == len(whole.calls)-1 // closing the directory, of no consequence
			if !last && !errors.Is(err, failure) {
				t.Errorf("%s fails: error %v", call, err)
			}
			content := m.files[m.names["pid"]].data
			renamed := slices.Contains(whole.calls[:n], "rename")
			if want := map[bool][]byte{false: old, true: fresh}[renamed]; !bytes.Equal(content, want) {
				t.Errorf("%s fails: %q", call, content)
			}
			if len(m.names) != 1 {
				t.Errorf("%s fails: left %v", call, m.names)
			}
			if len(m.open) > 0 {
				t.Errorf("%s fails: descriptors left open: %v", call, m.open)
			}
		}
	}
}

// The kernel's implementation makes the very calls that the model is told of.
func TestSystemCallsAreTheModels(t *testing.T) {
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("strace is not here")
	}
	path, trace := filepath.Join(t.TempDir(), "pid"), filepath.Join(t.TempDir(), "trace")
	cmd := exec.Command("strace", "-f", "-y", "-e", "trace=openat,open,creat,write,pwrite64,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,ftruncate,truncate,link,linkat", "-o", trace, "/proc/self/exe")
	cmd.Args[len(cmd.Args)-1], _ = os.Executable()
	cmd.Env = append(os.Environ(), "DURABLE_WRITE_ONCE="+path)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("strace does not work here: %v: %s", err, out)
	}
	log, err := os.Open(trace)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	var calls []string
	for scan := bufio.NewScanner(log); scan.Scan(); {
		line := scan.Text()
		if !strings.Contains(line, filepath.Dir(path)) {
			continue
		}
		_, call, _ := strings.Cut(line, " ")
		call, _, _ = strings.Cut(strings.TrimSpace(call), "(")
		if call == "openat" && strings.Contains(line, "O_CREAT") {
			call = "create"
		}
		calls = append(calls, call)
	}
	want := []string{"openat", "create", "write", "fsync", "renameat", "fsync"}
	if !slices.Equal(calls, want) {
		t.Errorf("calls %v, want %v", calls, want)
	}
}

// Killed at any moment, over and over, by a signal instead of the power.
func TestWriterKilledAtRandom(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	if err := WriteFile(path, alternating(0)); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for round := range 15 {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), "DURABLE_WRITE_FOREVER="+path)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// A different moment each time; what matters is only that it is none
		// of the writer's choosing.
		for end := time.Now().Add(time.Duration(5+round) * time.Millisecond); time.Now().Before(end); {
			got, err := ReadFile(path, limit)
			if err != nil || !isAlternating(got) {
				t.Fatalf("while it writes: %q, %v", got, err)
			}
		}
		cmd.Process.Kill()
		cmd.Wait()
		got, err := ReadFile(path, limit)
		if err != nil || !isAlternating(got) {
			t.Fatalf("after the kill: %q, %v", got, err)
		}
	}
}

// alternating are two contents of a pid file, of different length.
func alternating(n int) []byte {
	if n%2 == 0 {
		return []byte("111\n{\"cores\":[0,1],\"start_time\":1,\"boot_id\":\"b\"}\n")
	}
	return []byte("222\n{\"cores\":[2,3,4],\"start_time\":2,\"boot_id\":\"b\"}\n")
}

func isAlternating(data []byte) bool {
	return bytes.Equal(data, alternating(0)) || bytes.Equal(data, alternating(1))
}

func TestMain(m *testing.M) {
	if path := os.Getenv("DURABLE_WRITE_ONCE"); path != "" {
		if err := WriteFile(path, alternating(0)); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if path := os.Getenv("DURABLE_WRITE_FOREVER"); path != "" {
		for n := 0; ; n++ {
			if err := WriteFile(path, alternating(n)); err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
		}
	}
	os.Exit(m.Run())
}

func TestConcurrentWriters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	done := make(chan error)
	for w := range 4 {
		go func() {
			var failed error
			for n := range 50 {
				failed = errors.Join(failed, WriteFile(path, alternating(w+n)))
			}
			done <- failed
		}()
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if r, err := ReadFile(path, limit); err != nil || !isAlternating(r) {
		t.Errorf("%q, %v", r, err)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("left %v, %v", entries, err)
	}
}
