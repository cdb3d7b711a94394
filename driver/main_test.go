// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/nomad/client/lib/cgroupslib"
	"github.com/hashicorp/nomad/client/lib/numalib"
	"github.com/hashicorp/nomad/nomad/structs"
	"github.com/hashicorp/nomad/plugins/base"
	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/topology"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/settings"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/creds/credstest"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/nomadcgroup"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor/supervisortest"
)

// The test binary plays the plugin, and executes supervisors from the small program as
// `make` embeds it. The solvers are the stand-in solver
// and shell scripts.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "plugin" {
		os.Exit(playPlugin(os.Args[2:]))
	}
	os.Exit(setUp(m))
}

func setUp(m *testing.M) int {
	flag.Parse()
	if flag.Lookup("test.parallel").Value.String() == fmt.Sprint(runtime.GOMAXPROCS(0)) {
		_ = flag.Set("test.parallel", "8") // they wait more than they work
	}
	dir, err := os.MkdirTemp("", "lsdyna-driver-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	_ = os.Chmod(dir, 0o755)
	standin = filepath.Join(dir, "standin_smp_d_R14")
	build := exec.Command("go", "build", "-o", standin, "../example/solver")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the stand-in solver: %v\n%s", err, out)
		return 1
	}
	if err := supervisortest.BuildProgram(filepath.Join(dir, "supervisor")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	directory = filepath.Join(dir, "directory")
	if err := makeDirectory(); err != nil {
		fmt.Fprintln(os.Stderr, "make the directory of users:", err)
		return 1
	}
	if cgroups() {
		defer removeCgroups(cgroupslib.NomadCgroupParent)
		cgroupslib.NomadCgroupParent = testParent + strconv.Itoa(os.Getpid())
		if nomadcgroup.Below("/sys/fs/cgroup").V2 {
			cgroupslib.NomadCgroupParent += ".slice"
		}
		defer removeCgroups(cgroupslib.NomadCgroupParent)
		topo, _, err := topology.Discover("")
		if err == nil {
			err = cgroupslib.Init(hclog.NewNullLogger(), topo.Online.String())
		}
		if err == nil {
			err = setPartition("share", topo.Online.String())
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "set up cgroups:", err)
			return 1
		}
	}
	return m.Run()
}

// testParent begins the name of this process's cgroup parent. Nomad's own
// tests look for "nomad" in it.
const testParent = "nomad-lsdyna-test-"

// setPartition says which cores are in a partition, as the client does: share
// for all tasks without cores of their own, reserve for the others.
func setPartition(name, cpus string) error {
	return os.WriteFile(filepath.Join(partition(name), "cpuset.cpus"), []byte(cpus+"\n"), 0o644)
}

// partition is the cgroup of a partition.
func partition(name string) string {
	if nomadcgroup.Below("/sys/fs/cgroup").V2 {
		return filepath.Join("/sys/fs/cgroup", cgroupslib.NomadCgroupParent, name+".slice")
	}
	return filepath.Join("/sys/fs/cgroup/cpuset", cgroupslib.NomadCgroupParent, name)
}

// removeCgroups removes a cgroup parent of this process's own.
func removeCgroups(parent string) {
	if !strings.HasPrefix(parent, testParent) {
		return
	}
	for _, pattern := range []string{"/sys/fs/cgroup/" + parent, "/sys/fs/cgroup/*/" + parent} {
		roots, _ := filepath.Glob(pattern)
		for _, root := range roots {
			var dirs []string
			_ = filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
				if err == nil && entry.IsDir() {
					dirs = append(dirs, path)
				}
				return nil
			})
			for _, dir := range slices.Backward(dirs) {
				_ = os.Remove(dir)
			}
		}
	}
}

// standin is the path of the stand-in solver.
var standin string

// cgroups tells whether tasks can have cgroups here. The kernel's folders of cgroups
// may be written to by a root alone that passes over their modes.
func cgroups() bool {
	return os.Geteuid() == 0 && cgroupslib.GetMode() != cgroupslib.OFF && !credstest.IsSquashed()
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
}

// needCPUs skips where the machine has fewer physical cores than a test needs.
func needCPUs(t *testing.T, n int) {
	t.Helper()
	topo, _, err := topology.Discover("")
	must.NoError(t, err)
	var own unix.CPUSet
	must.NoError(t, unix.SchedGetaffinity(0, &own))
	if got := min(topo.PhysicalCores(), own.Count()); got < n {
		t.Skipf("needs %d physical cores, this machine has %d", n, got)
	}
}

func needCgroups(t *testing.T) {
	t.Helper()
	if !cgroups() {
		t.Skip("needs root and cgroups")
	}
}

// patience is how long anything may take before a test fails.
const patience = time.Minute

// eventually waits for something that nothing announces.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if is() {
			return
		}
	}
	t.Fatalf("after %s still not: %s", patience, what)
}

var nomadTopology = sync.OnceValue(func() *numalib.Topology { return numalib.Scan(numalib.PlatformScanners(false)) })

// persist turns a handle into what the client has of it after a restart: it
// keeps it in msgpack, and the driver's configuration is not part of that.
func persist(t *testing.T, handle *drivers.TaskHandle) *drivers.TaskHandle {
	t.Helper()
	data, err := structs.Encode(structs.NodeRegisterRequestType, handle)
	must.NoError(t, err)
	var back drivers.TaskHandle
	must.NoError(t, structs.Decode(data[1:], &back))
	return &back
}

// alive tells whether a process runs.
func alive(pid int) bool {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil || !strings.HasPrefix(statusField(string(data), "State"), "Z") {
		return err == nil
	}
	// The first thread of a process may be gone before the others are, and
	// with them its files.
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	return err == nil && len(threads) > 1
}

// endProcess kills a process and waits until it is gone.
func endProcess(t *testing.T, pid int) {
	t.Helper()
	must.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	eventually(t, fmt.Sprintf("process %d is gone", pid), func() bool { return !alive(pid) })
}

// solversIn returns the live processes whose working directory is a folder and
// that are no shell's children besides.
func solversIn(t *testing.T, folder string) []int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	must.NoError(t, err)
	var pids []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if cwd, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid)); err == nil && cwd == folder && alive(pid) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// pluginPart is what a plugin in a process of its own is told.
type pluginPart struct {
	Config settings.Config
	Cfg    *drivers.TaskConfig
	Task   settings.TaskConfig
}

// playPlugin is a plugin in a process of its own: it starts a task and stays,
// for a test to kill.
func playPlugin(args []string) int {
	fail := func(err error) int {
		fmt.Println("failed:", err)
		return 1
	}
	data, err := os.ReadFile(args[0])
	if err != nil {
		return fail(err)
	}
	var part pluginPart
	if err := json.Unmarshal(data, &part); err != nil {
		return fail(err)
	}
	d := New(context.Background(), hclog.NewNullLogger())
	var config []byte
	if err := errors.Join(base.MsgPackEncode(&config, &part.Config), part.Cfg.EncodeConcreteDriverConfig(&part.Task)); err != nil {
		return fail(err)
	}
	if err := d.SetConfig(&base.Config{PluginConfig: config, AgentConfig: &base.AgentConfig{Driver: &base.ClientDriverConfig{}}}); err != nil {
		return fail(err)
	}
	fmt.Println("starting")
	if _, _, err := d.StartTask(part.Cfg); err != nil {
		return fail(err)
	}
	fmt.Println("started")
	select {}
}
