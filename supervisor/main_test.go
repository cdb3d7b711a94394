// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package supervisor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/durable"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/kerneltest"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor/shim"
)

// The test binary plays every part: as itself it is the plugin; package
// shim's init makes it a supervisor or a stage; and with one of these words
// as its first argument it is a solver that needs more than a shell, or a plugin
// that a test may kill.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		if play, ok := parts[os.Args[1]]; ok {
			os.Exit(play(os.Args[2:]))
		}
	}
	os.Exit(inOwnFolder(m.Run))
}

// inOwnFolder runs tests in a folder for temporary files of this process's own, and
// fails where they leave a supervisor behind. One test runs others in a process beside.
func inOwnFolder(run func() int) int {
	dir, err := os.MkdirTemp("", "supervisor-test-")
	if err == nil {
		err = errors.Join(os.Chmod(dir, 0o755), os.Setenv("TMPDIR", dir))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	code := run()
	left := supervisors()
	for deadline := time.Now().Add(testPatience); len(left) > 0 && time.Now().Before(deadline); left = supervisors() {
		time.Sleep(10 * time.Millisecond) // one that has told how its solver ended is about to end, too
	}
	if len(left) > 0 {
		fmt.Fprintln(os.Stderr, "tests have left supervisors behind, of these records:", slices.Collect(maps.Values(left)))
		return 1
	}
	return code
}

// supervisors returns the record of each supervisor of this process's tests, by its
// pid. One that has ended has no arguments any more.
func supervisors() map[int]string {
	found := map[int]string{}
	pids, _ := procfs.PIDs(procfs.Root)
	for _, pid := range pids {
		if args := arguments(pid); len(args) == 3 && args[1] == shim.SuperviseCommand && strings.HasPrefix(args[2], os.TempDir()+"/") {
			found[pid] = args[2]
		}
	}
	return found
}

func arguments(pid int) []string {
	data, err := durable.ReadFile(filepath.Join(procfs.Root, strconv.Itoa(pid), "cmdline"), 1<<20)
	if err != nil {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(data), "\x00"), "\x00")
}

var parts = map[string]func(args []string) int{
	"solver-threads": startThreads,
	"solver-eat":     eatMemory,
	"solver-talk":    talk,
	"plugin":         playPlugin,
	"old-kernel":     onOldKernel,
}

// onOldKernel runs tests of this program with no system call that Linux 4.18 does not
// have.
func onOldKernel(args []string) int {
	answer, _ := strconv.Atoi(args[0])
	err := kerneltest.Exec(unix.Errno(answer), "/proc/self/exe", append(os.Args[:1], args[1:]...), os.Environ())
	fmt.Println(err)
	return 1
}

// startThreads keeps starting threads, each from the last, and says when the
// first few run.
func startThreads([]string) int {
	fmt.Println("threads")
	for n := 0; ; n++ {
		begun := make(chan bool)
		go func() {
			runtime.LockOSThread() // ends with its goroutine
			close(begun)
			time.Sleep(30 * time.Millisecond)
		}()
		<-begun
		time.Sleep(2 * time.Millisecond)
	}
}

// eatMemory takes more memory than it is told that there is.
func eatMemory(args []string) int {
	mib, _ := strconv.Atoi(args[0])
	var held [][]byte
	for range mib {
		held = append(held, bytes.Repeat([]byte{1}, 1<<20))
	}
	return len(held) & 1 << 8 // 0, but not for the compiler
}

// talk writes so many numbered lines.
func talk(args []string) int {
	lines, _ := strconv.Atoi(args[0])
	for n := range lines {
		fmt.Fprintf(os.Stdout, "line %09d\n", n)
	}
	return 0
}

// playPlugin launches the task of a record directory, and stops for ever at
// the point it is told, for somebody to kill it there.
func playPlugin(args []string) int {
	dir, until := args[0], args[1]
	lock, err := lockRecord(dir)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	l := Launch{Dir: dir, Lock: lock, Env: os.Environ()}
	if until == "ready" {
		l.Ready = func(pid int) error {
			fmt.Println("ready", pid)
			select {}
		}
	}
	p, err := Start(context.Background(), l)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	r, _ := p.Record()
	fmt.Println("started", r.PID)
	select {}
}

// lockRecord takes the lock that Launch wants.
func lockRecord(dir string) (*os.File, error) {
	return durable.Lock(lockPath(dir), os.O_RDWR|os.O_CREATE)
}

// bornWithTHP is what this process found before Start changed it.
var bornWithTHP = func() string {
	about, _ := os.ReadFile("/proc/self/status")
	_, rest, _ := strings.Cut(string(about), "THP_enabled:\t")
	return rest[:min(1, len(rest))]
}()

const testPatience = time.Minute

// eventually waits for something that no descriptor tells of.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(testPatience); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if is() {
			return
		}
	}
	t.Fatalf("after %s still not: %s", testPatience, what)
}

// task is one task under test.
type task struct {
	t    *testing.T
	dir  string // record directory
	run  string // run folder
	spec Spec
	env  []string
}

// nobody is the user that tasks run as when the tests are root.
var nobody = User{UID: 65534, GID: 65534, Name: "nobody", Home: "/nonexistent"}

func asRoot() bool { return os.Geteuid() == 0 }

func newTask(t *testing.T, command string, args ...string) *task {
	t.Helper()
	base := t.TempDir()
	// The user has to get through to the run folder.
	for dir := base; strings.HasPrefix(dir, os.TempDir()+"/"); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	k := &task{t: t, dir: filepath.Join(base, "record"), run: filepath.Join(base, "run")}
	for _, dir := range []string{k.dir, k.run} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	user := User{UID: os.Getuid(), GID: os.Getgid()}
	if asRoot() {
		user = nobody
		if err := os.Chown(k.run, user.UID, user.GID); err != nil {
			t.Fatal(err)
		}
	}
	k.spec = Spec{
		TaskID: t.Name(), Command: command, Args: args, Dir: k.run, User: user,
		Cgroups: Cgroups{Mode: CgroupNone}, StdoutName: "stdout", StderrName: "stderr",
	}
	k.env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "TOKEN=secret-for-nobody"}
	t.Cleanup(k.end)
	return k
}

func shell(t *testing.T, script string) *task {
	t.Helper()
	return newTask(t, "/bin/sh", "-c", script)
}

// self is this test binary in one of its parts, where the user can execute it.
func self(t *testing.T, part string, args ...string) *task {
	t.Helper()
	k := newTask(t, "/", append([]string{part}, args...)...)
	exe, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	k.spec.Command = filepath.Join(filepath.Dir(k.run), "solver")
	if err := os.WriteFile(k.spec.Command, exe, 0o755); err != nil {
		t.Fatal(err)
	}
	return k
}

func (k *task) launch() (*Process, error) {
	lock, err := lockRecord(k.dir)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(k.t.Context(), testPatience)
	defer cancel()
	return Start(ctx, Launch{Dir: k.dir, Lock: lock, Spec: &k.spec, Env: k.env})
}

func (k *task) start() *Process {
	k.t.Helper()
	p, err := k.launch()
	if err != nil {
		k.t.Fatalf("start: %v\nsupervisor's log: %s", err, k.read(k.dir, "supervisor.log"))
	}
	k.t.Cleanup(p.Close)
	return p
}

// end leaves nothing of the task behind.
func (k *task) end() {
	p, err := Open(k.dir)
	if err != nil {
		return
	}
	defer p.Close()
	ctx, cancel := context.WithTimeout(context.Background(), testPatience)
	defer cancel()
	if tree, err := p.Tree(); err == nil {
		if err := tree.Kill(ctx); err != nil {
			k.t.Error(err)
		}
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		k.t.Errorf("the supervisor of %s did not end; its log: %s", k.dir, k.read(k.dir, "supervisor.log"))
	}
}

func (k *task) wait(p *Process) ExitRecord {
	k.t.Helper()
	exit, err := k.outcome(p)
	if err != nil {
		k.t.Fatalf("wait: %v", err)
	}
	return exit
}

func (k *task) outcome(p *Process) (ExitRecord, error) {
	k.t.Helper()
	ctx, cancel := context.WithTimeout(k.t.Context(), testPatience)
	defer cancel()
	exit, err := p.Wait(ctx)
	if ctx.Err() != nil {
		k.t.Fatalf("the task did not end; supervisor's log: %s", k.read(k.dir, "supervisor.log"))
	}
	return exit, err
}

func (k *task) read(dir, name string) string {
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// says waits until the solver has written something.
func (k *task) says(text string) {
	k.t.Helper()
	eventually(k.t, "stdout says "+text, func() bool { return strings.Contains(k.read(k.run, "stdout"), text) })
}

// gate makes the FIFO "go" in the run folder; each call of what it returns lets one
// "read line < go" of the solver pass. The test keeps it open all the time: were it
// closed after each line, a solver that is quick to its next read would find the end
// of the file there.
func (k *task) gate() (letGo func()) {
	k.t.Helper()
	path := filepath.Join(k.run, "go")
	if err := syscall.Mkfifo(path, 0o666); err != nil {
		k.t.Fatal(err)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		k.t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(func() { f.Close() })
	return func() {
		k.t.Helper()
		if _, err := f.WriteString("\n"); err != nil {
			k.t.Fatal(err)
		}
	}
}

func tree(t *testing.T, p *Process) *Tree {
	t.Helper()
	tree, err := p.Tree()
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func record(t *testing.T, p *Process) (pid, supervisor int) {
	t.Helper()
	r, err := p.Record()
	if err != nil {
		t.Fatal(err)
	}
	return r.PID, r.SupervisorPID
}

func kill(t *testing.T, pid int) {
	t.Helper()
	if pid <= 1 {
		t.Fatalf("pid %d", pid)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

func gone(pid int) bool {
	stat, err := procfs.ReadStat(procfs.Root, pid)
	return err != nil || stat.Ended()
}

func status(t *testing.T, text, key string) string {
	t.Helper()
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, key+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	t.Fatalf("no %s in %q", key, text)
	return ""
}

// v1 makes the task cgroups of its own in the v1 hierarchies, reserving CPUs if
// given, as Nomad would.
func (k *task) v1(cpus string) {
	k.t.Helper()
	if !asRoot() {
		k.t.Skip("making cgroups needs root")
	}
	name := fmt.Sprintf("lsdyna-test-%d-%d", os.Getpid(), time.Now().UnixNano())
	c := Cgroups{Mode: CgroupV1}
	dirs := map[string]string{}
	for _, controller := range []string{"freezer", "cpu", "memory", "cpuset"} {
		parent := filepath.Join("/sys/fs/cgroup", controller)
		if _, err := os.Stat(filepath.Join(parent, "tasks")); err != nil {
			k.t.Skipf("no cgroup v1 %s hierarchy here", controller)
		}
		dir := filepath.Join(parent, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			k.t.Fatal(err)
		}
		k.t.Cleanup(func() { removeCgroup(k.t, dir) })
		dirs[controller] = dir
		c.Join = append(c.Join, dir)
	}
	c.Freezer, c.CPU, c.Memory = dirs["freezer"], dirs["cpu"], dirs["memory"]
	c.LeafCpuset, c.CPUs, c.Mems = dirs["cpuset"], cpus, "0"
	k.spec.Cgroups = c
	k.t.Cleanup(k.end) // before the cgroups go
}

// v2 does the same in a v2 hierarchy, which here has no controllers.
func (k *task) v2() {
	k.t.Helper()
	if !asRoot() {
		k.t.Skip("making cgroups needs root")
	}
	for _, root := range []string{"/sys/fs/cgroup/unified", "/sys/fs/cgroup"} {
		if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err != nil {
			continue
		}
		dir := filepath.Join(root, fmt.Sprintf("lsdyna-test-%d-%d", os.Getpid(), time.Now().UnixNano()))
		if err := os.Mkdir(dir, 0o755); err != nil {
			k.t.Fatal(err)
		}
		k.t.Cleanup(func() { removeCgroup(k.t, dir) })
		k.spec.Cgroups = Cgroups{Mode: CgroupV2, Join: []string{dir}, LeafCpuset: dir}
		k.t.Cleanup(k.end)
		return
	}
	k.t.Skip("no cgroup v2 hierarchy here")
}

func removeCgroup(t *testing.T, dir string) {
	eventually(t, dir+" is removed", func() bool {
		err := syscall.Rmdir(dir)
		return err == nil || errors.Is(err, os.ErrNotExist)
	})
}

// someCPUs returns n CPUs that this process may use.
func someCPUs(t *testing.T, n int) []int {
	t.Helper()
	out, err := exec.Command("sh", "-c", "grep Cpus_allowed_list /proc/self/status").Output()
	if err != nil {
		t.Fatal(err)
	}
	var cpus []int
	_, list, _ := strings.Cut(strings.TrimSpace(string(out)), "\t")
	for part := range strings.SplitSeq(list, ",") {
		from, to, found := strings.Cut(part, "-")
		a, _ := strconv.Atoi(from)
		b := a
		if found {
			b, _ = strconv.Atoi(to)
		}
		for c := a; c <= b; c++ {
			cpus = append(cpus, c)
		}
	}
	if len(cpus) < n {
		t.Skipf("needs %d CPUs, there are %v", n, cpus)
	}
	return cpus[:n]
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func shellOutput(script string) (string, error) {
	out, err := exec.Command("sh", "-c", script).Output()
	return string(out), err
}

// setOOMScore gives this process, and so what it starts, a score adjustment as
// systemd may have given it to Nomad; lowering it needs a capability.
func setOOMScore(t *testing.T) {
	t.Helper()
	const path = "/proc/self/oom_score_adj"
	old := read(t, path)
	if os.WriteFile(path, []byte("-300"), 0) != nil {
		if err := os.WriteFile(path, []byte("300"), 0); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { os.WriteFile(path, []byte(strings.TrimSpace(old)), 0) })
}
