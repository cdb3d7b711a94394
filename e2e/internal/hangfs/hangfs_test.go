// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package hangfs

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	Main()
	if path := os.Getenv("HANGFS_TEST_FORSAKEN"); path != "" {
		forsake(path)
	}
	os.Exit(m.Run())
}

// mounted returns a mount that ends with the test.
func mounted(t *testing.T) *Mount {
	t.Helper()
	return mountedBy(t, New)
}

func mountedBy(t *testing.T, mount func(backing, path string) (*Mount, error)) *Mount {
	t.Helper()
	if why := Missing(); why != "" {
		t.Skip(why)
	}
	dir := t.TempDir()
	for below := dir; below != os.TempDir() && below != "/"; below = filepath.Dir(below) {
		must.NoError(t, os.Chmod(below, 0o755))
	}
	backing, path := filepath.Join(dir, "backing"), filepath.Join(dir, "mounted")
	must.NoError(t, os.Mkdir(backing, 0o755))
	must.NoError(t, os.Mkdir(path, 0o755))
	m, err := mount(backing, path)
	must.NoError(t, err)
	t.Cleanup(func() {
		must.NoError(t, m.Close())
		must.False(t, isMounted(t, path))
	})
	return m
}

func isMounted(t *testing.T, path string) bool {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	must.NoError(t, err)
	return strings.Contains(string(mounts), " "+path+" ")
}

// A visitor is a shell that looks into the mount when it is told to.
type visitor struct {
	*exec.Cmd
	t    *testing.T
	tell func()        // to look
	says *bufio.Reader // a line when it is ready to, and its last words
	once sync.Once
	done chan struct{}
}

// visit starts a visitor, who says "ready" first.
func visit(t *testing.T, m *Mount, script string) *visitor {
	t.Helper()
	v := &visitor{Cmd: exec.Command("sh", "-c", "echo ready; read x; "+script+" && echo done"), t: t, done: make(chan struct{})}
	in, err := v.StdinPipe()
	must.NoError(t, err)
	out, err := v.StdoutPipe()
	must.NoError(t, err)
	v.says = bufio.NewReader(out)
	v.tell = func() { must.NoError(t, in.Close()) }
	must.NoError(t, v.Start())
	t.Cleanup(func() {
		must.NoError(t, m.Resume())
		_ = v.Process.Kill() // it may have ended
		<-v.reap().done
	})
	must.Eq(t, "ready\n", v.line())
	return v
}

func (v *visitor) line() string {
	v.t.Helper()
	line, err := v.says.ReadString('\n')
	must.NoError(v.t, err)
	return line
}

// reap waits for the visitor's end in the background.
func (v *visitor) reap() *visitor {
	v.once.Do(func() {
		go func() {
			_ = v.Wait() // in some tests it is killed
			close(v.done)
		}()
	})
	return v
}

// ends reports whether the visitor ends within a time.
func (v *visitor) ends(within time.Duration) bool {
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-v.done:
		return true
	case <-timer.C:
		return false
	}
}

// in waits until the visitor's thread is in the state, by /proc/PID/stat.
func (v *visitor) in(state string) {
	v.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", v.Process.Pid))
		must.NoError(v.t, err)
		_, rest, _ := strings.Cut(string(stat), ") ")
		if strings.HasPrefix(rest, state) {
			return
		}
	}
	v.t.Fatalf("the visitor is never in state %s", state)
}

// short is long enough for what must happen at once to be seen not to happen.
const short = 300 * time.Millisecond

func TestMount_ShowsItsFolder(t *testing.T) {
	m := mounted(t)
	must.NoError(t, os.WriteFile(filepath.Join(m.Backing, "old"), []byte("old"), 0o644))
	below, behind := filepath.Join(m.Path, "run"), filepath.Join(m.Backing, "run")
	must.NoError(t, os.Mkdir(below, 0o755))
	must.NoError(t, os.Chown(below, 65534, 65534))

	// As a task's user does, with the rights of one.
	cmd := exec.Command("sh", "-c", "umask 027; echo one > a; echo two >> a; mv a b; mkdir d; cat ../old b; ! touch ../new 2> /dev/null")
	cmd.Dir = below
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	must.NoError(t, err, must.Sprint(string(out)))
	must.Eq(t, "oldone\ntwo\n", string(out))
	var st unix.Stat_t
	must.NoError(t, unix.Stat(filepath.Join(behind, "b"), &st))
	must.Eq(t, 65534, st.Uid)
	must.Eq(t, 0o640, st.Mode&0o777)

	must.ErrorIs(t, unix.Renameat2(unix.AT_FDCWD, filepath.Join(below, "b"), unix.AT_FDCWD, filepath.Join(below, "d"), unix.RENAME_NOREPLACE), unix.EEXIST)
	must.NoError(t, os.WriteFile(filepath.Join(behind, "b"), []byte("behind its back"), 0o644))
	data, err := os.ReadFile(filepath.Join(below, "b"))
	must.NoError(t, err)
	must.Eq(t, "behind its back", string(data))
}

func TestMount_HangsEachLook(t *testing.T) {
	m := mounted(t)
	must.NoError(t, os.WriteFile(filepath.Join(m.Path, "file"), []byte("text"), 0o666))
	for name, look := range map[string]string{
		"stat of the mount": "stat " + m.Path,
		"a name":            "stat " + m.Path + "/file",
		"a missing name":    "! stat " + m.Path + "/missing 2> /dev/null",
		"a list":            "ls " + m.Path,
		"a read":            "cat < " + m.Path + "/file",
		"a new file":        "echo > " + m.Path + "/new",
		"free space":        "df " + m.Path,
		"rights":            "test -w " + m.Path + "/file",
	} {
		t.Run(name, func(t *testing.T) {
			v := visit(t, m, look)
			must.NoError(t, m.Hang())
			v.tell()
			v.reap()
			must.False(t, v.ends(short))
			must.NoError(t, m.Resume())
			must.True(t, v.ends(patience))
			must.True(t, v.ProcessState.Success())
		})
	}
}

// What is open already hangs, too, and what is said of a process does not.
func TestMount_HangsWithOpenFiles(t *testing.T) {
	m := mounted(t)
	file := filepath.Join(m.Path, "file")
	must.NoError(t, os.WriteFile(file, []byte("text"), 0o666))
	reader := visit(t, m, "exec < "+file+"; echo open; while [ -e "+m.Path+"/go ]; do :; done; cat")
	must.NoError(t, os.WriteFile(filepath.Join(m.Path, "go"), nil, 0o666))
	reader.tell()
	must.Eq(t, "open\n", reader.line())
	must.NoError(t, m.Hang())
	must.NoError(t, os.Remove(filepath.Join(m.Backing, "go")))
	cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/0", reader.Process.Pid))
	must.NoError(t, err)
	must.Eq(t, file, cwd)
	// With the file open it can be killed, as on NFS.
	must.NoError(t, reader.Process.Kill())
	must.True(t, reader.reap().ends(patience))
	must.NoError(t, m.Resume())
	must.NoError(t, m.Resume())
	_, err = os.Stat(file)
	must.NoError(t, err)
}

func TestMount_HangsInARequest(t *testing.T) {
	for name, free := range map[string]func(*Mount) error{"resumed": (*Mount).Resume, "closed": (*Mount).Close} {
		t.Run(name, func(t *testing.T) {
			m := mounted(t)
			v := visit(t, m, "while :; do [ -e "+m.Path+"/x ]; done")
			v.tell()
			must.NoError(t, m.HangWith(v.Process.Pid))
			must.NoError(t, v.Process.Kill())
			v.in("D")
			must.False(t, v.reap().ends(short))
			must.NoError(t, free(m))
			must.True(t, v.ends(patience))
		})
	}
}

func TestMount_RefusesTwoHangs(t *testing.T) {
	m := mounted(t)
	must.NoError(t, m.Hang())
	must.ErrorContains(t, m.Hang(), "hangs already")
}

func TestNew_FailsInWords(t *testing.T) {
	if why := Missing(); why != "" {
		t.Skip(why)
	}
	dir := t.TempDir()
	_, err := New(filepath.Join(dir, "none"), dir)
	must.ErrorContains(t, err, filepath.Join(dir, "none"))
	must.False(t, isMounted(t, dir))
	_, err = New(dir, filepath.Join(dir, "none"))
	must.ErrorContains(t, err, "no such file")
}

// forsake is a program that mounts, has the mount hang and then waits for its end.
func forsake(path string) {
	m, err := New(os.TempDir(), path)
	if err == nil {
		err = m.Hang()
	}
	fmt.Println(err)
	select {}
}

func TestMount_EndsWithItsProgram(t *testing.T) {
	if why := Missing(); why != "" {
		t.Skip(why)
	}
	path := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "HANGFS_TEST_FORSAKEN="+path)
	out, err := cmd.StdoutPipe()
	must.NoError(t, err)
	must.NoError(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	must.NoError(t, err)
	must.Eq(t, "<nil>\n", line)
	must.True(t, isMounted(t, path))
	must.NoError(t, cmd.Process.Kill())
	var ended *exec.ExitError
	must.True(t, errors.As(cmd.Wait(), &ended))
	for end := time.Now().Add(patience); isMounted(t, path); time.Sleep(time.Millisecond) {
		must.True(t, time.Now().Before(end))
	}
}
