// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
)

// Where packages put things; pluginDir is the default.
const (
	pluginDir  = "/opt/nomad/data/plugins"
	packedName = "nomad-driver-lsdyna"
)

// root is this machine once more, for dpkg and rpm to change: an overlay on its root file
// system.
type root struct {
	t   *testing.T
	dir string
}

// newRoot mounts a root, or skips the test where that cannot be.
func newRoot(t *testing.T) root {
	t.Helper()
	requireRoot(t)
	layers := worldReadable(t)
	for _, name := range []string{"upper", "work", "root"} {
		must.NoError(t, os.Mkdir(filepath.Join(layers, name), 0o755))
	}
	r := root{t: t, dir: filepath.Join(layers, "root")}
	options := fmt.Sprintf("lowerdir=/,upperdir=%s/upper,workdir=%[1]s/work", layers)
	if err := unix.Mount("overlay", r.dir, "overlay", 0, options); err != nil {
		t.Skipf("no overlay of the root file system can be mounted here: %v", err)
	}
	t.Cleanup(func() { must.NoError(t, unix.Unmount(r.dir, unix.MNT_DETACH)) })
	r.bind("/dev", "/dev")
	return r
}

func (r root) path(name string) string { return filepath.Join(r.dir, name) }

// bind shows a folder of this machine in the root.
func (r root) bind(from, at string) {
	r.t.Helper()
	must.NoError(r.t, os.MkdirAll(r.path(at), 0o755))
	must.NoError(r.t, unix.Mount(from, r.path(at), "", unix.MS_BIND, ""))
	r.t.Cleanup(func() { must.NoError(r.t, unix.Unmount(r.path(at), unix.MNT_DETACH)) })
}

// run runs a tool that works on the root, and in it runs packages' scripts, and returns
// what they said.
func (r root) run(name string, args ...string) string {
	r.t.Helper()
	out, err := exec.CommandContext(r.t.Context(), name, args...).CombinedOutput() // the disk may be busy
	must.NoError(r.t, err, must.Sprintf("%s %s\n%s", name, strings.Join(args, " "), out))
	r.t.Logf("%s %s\n%s", name, strings.Join(args, " "), out)
	return string(out)
}

// A packager is a tool that installs packages of one format. Each function works on the
// root alone, and returns what packages' scripts said.
type packager struct {
	tool, pattern   string // the packages' names
	install, remove func(r root, what string) string
	purge           func(r root) string // nil: there is no such thing
}

func dpkg(r root, args ...string) string {
	r.t.Helper()
	return r.run("dpkg", append([]string{"--root=" + r.dir, "--no-triggers"}, args...)...)
}

// The root has no packages of rpm's that ours could depend on, such as that of /bin/sh.
func rpm(r root, args ...string) string {
	r.t.Helper()
	return r.run("rpm", append([]string{"--root=" + r.dir, "--nodeps"}, args...)...)
}

var packagers = map[string]packager{
	"deb": {
		tool:    "dpkg",
		pattern: "*_" + runtime.GOARCH + ".deb",
		install: func(r root, file string) string { return dpkg(r, "--force-confold", "-i", file) },
		remove:  func(r root, name string) string { return dpkg(r, "-r", name) },
		purge:   func(r root) string { return dpkg(r, "-P", packedName) },
	},
	"rpm": {
		tool:    "rpm",
		pattern: "*." + map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH] + ".rpm",
		install: func(r root, file string) string { return rpm(r, "-U", file) },
		remove:  func(r root, name string) string { return rpm(r, "-e", name) },
	},
}

// file is the package of a version, as `make test-packages` builds them.
func (p packager) file(t *testing.T, version string) string {
	t.Helper()
	if _, err := exec.LookPath(p.tool); err != nil {
		t.Skipf("needs %s: %v", p.tool, err)
	}
	dir := os.Getenv("LSDYNA_E2E_PACKAGES")
	if dir == "" {
		t.Skip("`make test-packages` builds the packages for this test")
	}
	found, err := filepath.Glob(filepath.Join(dir, version, p.pattern))
	must.NoError(t, err)
	must.Len(t, 1, found)
	return found[0]
}

// The whole life of a package: it is installed, a pinned run goes on while it is upgraded
// and removed, and state_dir stays when it is purged.
func TestPackage_RunsGoOnWhileItIsUpgradedAndRemoved(t *testing.T) {
	for format, p := range packagers {
		t.Run(format, func(t *testing.T) { wholeLife(t, p) })
	}
}

func wholeLife(t *testing.T, p packager) {
	first, next := p.file(t, "first"), p.file(t, "next")
	r := newRoot(t)
	stateDir := r.path("/var/lib/" + packedName)
	s := &site{t: t, scratch: worldReadable(t)}
	s.Agent = newClient(t, cluster.Config{Plugin: binary(t, packedName), StateDir: stateDir})
	plugins := s.Path("plugins")
	must.NoError(t, os.RemoveAll(plugins))
	must.NoError(t, os.Mkdir(plugins, 0o755))
	r.bind(plugins, pluginDir)
	s.Config.Plugin = r.path("/usr/bin/" + packedName)

	must.StrContains(t, p.install(r, first), "Nomad was not touched")
	must.Eq(t, []string{packedName}, names(t, plugins))
	version, err := exec.CommandContext(within(t), r.path("/usr/bin/"+packedName), "version").CombinedOutput()
	must.NoError(t, err, must.Sprint(string(version)))
	must.StrContains(t, string(version), "supervisor: embedded") // as make build has it
	s.begun(r)
	// It outlasts what dpkg and rpm do on a busy machine.
	running := s.start(jobHCL{name: "package", folder: s.deck("package", "solid_bar_impact"), config: "ncpu = 1", env: "STANDIN_PACE = \"200ms\"\nSTANDIN_POLL = \"5\""})
	s.waitCycles(running)
	before, cores := running.pidFile(), running.checkCores()
	program := programOf(t, before.SupervisorPID)
	unharmed := func() {
		t.Helper()
		must.Eq(t, before, running.pidFile())
		must.Eq(t, cores, running.checkCores())
		must.Eq(t, program, programOf(t, before.SupervisorPID))
	}

	must.StrContains(t, p.install(r, next), "What runs keeps the old one")
	must.Eq(t, []string{packedName}, names(t, plugins))
	unharmed()
	began := time.Now()
	must.NoError(t, s.Restart(within(t)))
	running.recovered()
	running.said(began, "Restored "+allocator.Name(cores)+" from the pid file")
	s.version(nextVersion)
	unharmed()

	removed := p.remove(r, packedName)
	must.StrContains(t, removed, "Solvers that run go on")
	must.StrContains(t, removed, "KillMode=process") // the drop-in with it is gone
	must.Eq(t, []string{}, names(t, plugins))
	unharmed()
	if p.purge != nil {
		must.StrContains(t, p.purge(r), "stays")
	}
	_, err = os.Stat(r.path("/etc/default/" + packedName))
	must.ErrorIs(t, err, os.ErrNotExist)
	unharmed() // its record is in state_dir
	must.NoError(t, s.StopJob(within(t), "package", false))
	running.wait(api.AllocClientStatusComplete, cluster.TaskEvent("lsdyna", "dump d3dump01 written"))
	must.Len(t, 0, running.solvers())
}

// begun starts the site's agent with the package's stand-in.
func (s *site) begun(r root) {
	s.t.Helper()
	var err error
	s.solver, err = s.InstallBinary(r.path("/usr/lib/"+packedName+"/lsdyna-standin"), "standin_smp_d_R14")
	must.NoError(s.t, err)
	s.Config.PluginConfig = s.pluginConfig("")
	start(s.t, s.Agent)
	must.NoError(s.t, s.WaitDriverHealthy(within(s.t), cluster.DriverName))
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must.NoError(t, err)
	found := []string{}
	for _, e := range entries {
		found = append(found, e.Name())
	}
	return found
}

// PLUGIN_DIR of /etc/default says where the plugin goes, "" for nowhere. What is there and
// is not the package's is not removed with it.
func TestPackage_PutsThePluginWhereItIsTold(t *testing.T) {
	for format, p := range packagers {
		for name, c := range map[string]placing{
			"another folder": {dir: "/srv/with blank/plugins", want: []string{packedName}, left: []string{}},
			"nowhere":        {dir: "", want: []string{}, left: []string{}},
			"changed since":  {dir: "/srv/plugins", foreign: true, want: []string{packedName}, left: []string{packedName}},
		} {
			t.Run(format+" "+name, func(t *testing.T) { c.check(t, p) })
		}
	}
}

// placing is a PLUGIN_DIR and what is there when the package is installed and removed.
type placing struct {
	dir        string
	foreign    bool // the plugin is replaced by a stranger before the package is removed
	want, left []string
}

func (c placing) check(t *testing.T, p packager) {
	first := p.file(t, "first")
	r := newRoot(t)
	place := "/srv/none"
	if c.dir != "" {
		place = c.dir
	}
	must.NoError(t, os.MkdirAll(r.path(place), 0o755))
	must.NoError(t, os.MkdirAll(r.path("/etc/default"), 0o755))
	must.NoError(t, os.WriteFile(r.path("/etc/default/"+packedName), fmt.Appendf(nil, "PLUGIN_DIR=%q\n", c.dir), 0o644))
	p.install(r, first)
	must.Eq(t, c.want, names(t, r.path(place)))
	if c.foreign {
		must.NoError(t, os.WriteFile(r.path(filepath.Join(c.dir, packedName)), []byte("other"), 0o755))
	}
	p.remove(r, packedName)
	must.Eq(t, c.left, names(t, r.path(place)))
}
