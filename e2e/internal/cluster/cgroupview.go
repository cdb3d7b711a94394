// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/proc"
)

// A cgroupView is a cgroup of its own in each hierarchy, and namespaces in which
// these appear as the roots of /sys/fs/cgroup. Nomad 1.11 reads the client's
// cgroup_parent from its configuration and then ignores it (client/lib/cgroupslib:
// NomadCgroupParent is never set), so two clients on one machine would rewrite
// each other's cpusets; this keeps them apart. It also says for certain which
// processes an agent caused: nobody moves them out of the pids hierarchy.
//
// The namespaces live in a holder process, so that they, and Nomad's mounts in
// them, outlast the agent as they would on a machine.
type cgroupView struct {
	roots  []viewRoot
	binds  []Bind   // further mounts in the namespace
	net    *Network // nil: the machine's
	agents []string // the cgroups that agents start in
	pids   viewRoot // that of the pids controller
	// Full paths of util-linux' programs: busybox' shell would take its own.
	unshare, nsenter string
	holder           *exec.Cmd
	stdin            io.Closer // the holder ends, and kills what is left, when it closes
}

// A viewRoot is one hierarchy: dir outside the view is mount inside.
type viewRoot struct{ dir, mount string }

const (
	cgroupRoot  = "/sys/fs/cgroup"
	controllers = "+cpuset +cpu +io +memory +pids"
)

// joinScript moves the shell into the cgroups named by its first arguments, up
// to "--", and becomes the command after it.
const joinScript = `while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs" || exit 1; shift; done; shift; exec "$@"`

// holdScript makes each cgroup the root of its hierarchy's mount, makes further binds
// (the arguments: cgroup, mount point, …; file, place, …), and then waits for its input to end. On cgroups v2 it
// leaves the root first, which with processes in it could have no controllers.
// If nobody has cleaned up when the input ends, the tests were killed: then it
// kills what they left behind.
const holdScript = `
pids=$1; shift
while [ $# -gt 0 ]; do mount --bind "$1" "$2" || exit 1; shift 2; done
if [ -e /sys/fs/cgroup/cgroup.subtree_control ]; then
  mkdir /sys/fs/cgroup/agent && echo $$ > /sys/fs/cgroup/agent/cgroup.procs &&
    echo '` + controllers + `' > /sys/fs/cgroup/cgroup.subtree_control || exit 1
fi
echo ready
cat > /dev/null
for pid in $(find "$pids" -name cgroup.procs -exec cat {} + 2> /dev/null); do
  [ "$pid" = $$ ] || kill -KILL "$pid" 2> /dev/null
done
exit 0`

// newCgroupView makes a view with this name; nil, without an error, where there
// are no cgroups that we may change.
func newCgroupView(name string, binds []Bind, network *Network) (_ *cgroupView, err error) {
	mounts, err := v1Mounts("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	v2 := exists(filepath.Join(cgroupRoot, "cgroup.subtree_control"))
	v1 := mounts["pids"] != "" && mounts["cpuset"] != ""
	if os.Geteuid() != 0 || !v1 && !v2 {
		return nil, nil
	}
	if v2 {
		mounts = map[string]string{"pids": cgroupRoot}
		if err := os.WriteFile(filepath.Join(cgroupRoot, "cgroup.subtree_control"), []byte(controllers), 0o644); err != nil {
			return nil, fmt.Errorf("cgroup view: %w", err)
		}
	}
	v := &cgroupView{binds: binds, net: network, pids: viewRoot{filepath.Join(mounts["pids"], name), mounts["pids"]}}
	defer func() {
		if err != nil {
			_ = v.remove()
		}
	}()
	if v.unshare, err = exec.LookPath("unshare"); err != nil {
		return nil, fmt.Errorf("cgroup view (install util-linux): %w", err)
	}
	if v.nsenter, err = exec.LookPath("nsenter"); err != nil {
		return nil, fmt.Errorf("cgroup view (install util-linux): %w", err)
	}
	for _, mount := range slices.Sorted(distinct(mounts)) {
		dir := filepath.Join(mount, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			return nil, fmt.Errorf("cgroup view: %w", err)
		}
		v.roots = append(v.roots, viewRoot{dir, mount})
		v.agents = append(v.agents, dir)
	}
	if v1 {
		if err := copyCpuset(mounts["cpuset"], name); err != nil {
			return nil, err
		}
	}
	if err := v.hold(); err != nil {
		return nil, err
	}
	if v2 {
		v.agents = []string{filepath.Join(v.pids.dir, "agent")}
	}
	return v, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// distinct yields the distinct mount points: one may serve several controllers.
func distinct(mounts map[string]string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		seen := map[string]bool{}
		for _, m := range mounts {
			if !seen[m] && !yield(m) {
				return
			}
			seen[m] = true
		}
	}
}

// v1Mounts returns the mount point of each v1 controller, from a mountinfo file.
func v1Mounts(mountinfo string) (map[string]string, error) {
	f, err := os.Open(mountinfo)
	if err != nil {
		return nil, fmt.Errorf("cgroup hierarchies: %w", err)
	}
	defer func() { _ = f.Close() }()
	mounts := map[string]string{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		// proc(5): … root mountpoint options [fields] - type source superoptions
		mount, filesystem, ok := strings.Cut(lines.Text(), " - ")
		fields, fsFields := strings.Fields(mount), strings.Fields(filesystem)
		if !ok || len(fields) < 5 || len(fsFields) < 3 || fsFields[0] != "cgroup" {
			continue
		}
		for option := range strings.SplitSeq(fsFields[2], ",") {
			switch option {
			case "cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids":
				mounts[option] = fields[4]
			}
		}
	}
	return mounts, lines.Err()
}

// copyCpuset gives the view's cpuset what its parent has: a v1 cpuset starts
// empty, and no process may enter it then.
func copyCpuset(mount, name string) error {
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		value, err := os.ReadFile(filepath.Join(mount, file))
		if err != nil {
			return fmt.Errorf("cgroup view: %w", err)
		}
		if err := os.WriteFile(filepath.Join(mount, name, file), value, 0o644); err != nil {
			return fmt.Errorf("cgroup view: %w", err)
		}
	}
	return nil
}

// hold starts the holder and waits until the view is there.
func (v *cgroupView) hold() error {
	args := append([]string{v.unshare, "--mount", "--cgroup"}, v.net.namespaces()...)
	args = append(args, "sh", "-c", holdScript, "holder", v.pids.mount)
	for _, root := range v.roots {
		args = append(args, root.dir, root.mount)
	}
	for _, bind := range v.binds {
		args = append(args, bind.From, bind.At)
	}
	cmd := exec.Command("sh", append([]string{"-c", joinScript, "join"}, v.joinArgs(args...)...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // ^C in a terminal is for whoever closes the view
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("cgroup view: %w", err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("cgroup view: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("cgroup view: %w", err)
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
		_ = stdin.Close()
		return fmt.Errorf("cgroup view: holder says %q (%w): %w: %s", line, err, cmd.Wait(), stderr.String())
	}
	v.holder, v.stdin = cmd, stdin
	if v.net != nil {
		return v.net.connect(cmd.Process.Pid, v.nsenter)
	}
	return nil
}

func (v *cgroupView) joinArgs(command ...string) []string {
	return append(append(slices.Clone(v.agents), "--"), command...)
}

// command is exec.Command inside the view. The pid stays the command's own.
func (v *cgroupView) command(name string, args ...string) *exec.Cmd {
	enter := append([]string{v.nsenter, "--target", fmt.Sprint(v.holder.Process.Pid), "--mount", "--cgroup"}, v.net.namespaces()...)
	join := v.joinArgs(append(append(enter, "--", name), args...)...)
	return exec.Command("sh", append([]string{"-c", joinScript, "join"}, join...)...)
}

// Inside is exec.CommandContext with the mounts that the agent and its tasks see, also
// while the agent is down. It is in none of the agent's cgroups.
func (a *Agent) Inside(ctx context.Context, name string, args ...string) *exec.Cmd {
	v := a.cgroups
	if v == nil {
		return exec.CommandContext(ctx, name, args...)
	}
	enter := []string{"--target", fmt.Sprint(v.holder.Process.Pid), "--mount", "--", name}
	return exec.CommandContext(ctx, v.nsenter, append(enter, args...)...)
}

// processes returns what is in the view, without its holder.
func (v *cgroupView) processes() ([]proc.Process, error) {
	all, err := proc.InCgroup(v.pids.dir)
	holder := v.holder.Process.Pid
	return slices.DeleteFunc(all, func(p proc.Process) bool { return p.PID == holder || p.PPID == holder }), err
}

// remove ends the holder and removes the cgroups, which must be empty else.
func (v *cgroupView) remove() error {
	var errs []error
	if v.holder != nil {
		if v.net != nil {
			errs = append(errs, v.net.disconnect())
		}
		errs = append(errs, v.stdin.Close(), v.holder.Wait())
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	for _, root := range v.roots {
		// A cgroup stays busy for a moment after its last process.
		errs = append(errs, Poll(ctx, "removal of cgroup "+root.dir, func() (bool, string, error) {
			err := removeTree(root.dir)
			return err == nil, fmt.Sprint(err), nil
		}))
	}
	return errors.Join(errs...)
}

// outside returns what a path below /sys/fs/cgroup inside the view is outside.
func (v *cgroupView) outside(path string) string {
	for _, root := range v.roots {
		if below, ok := strings.CutPrefix(path, root.mount+"/"); ok {
			return filepath.Join(root.dir, below)
		}
	}
	return path
}

// removeTree removes a cgroup and those below it; their files go with them.
func removeTree(dir string) error {
	var dirs []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, d := range slices.Backward(dirs) {
		if err := os.Remove(d); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
