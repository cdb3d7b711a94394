// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
)

// A machine is a bare Debian in a folder.
type machine struct {
	root     *os.Root
	packages int
	view     *cluster.View
}

func newMachine() (_ *machine, err error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("needs root: it makes namespaces and cgroups")
	}
	for _, tool := range []string{"dpkg", "unshare", "chroot", "ip"} {
		if _, err := exec.LookPath(tool); err != nil {
			return nil, fmt.Errorf("needs dpkg, util-linux, coreutils and iproute2: %w", err)
		}
	}
	m := &machine{}
	dir, err := os.MkdirTemp("", "newcomer-")
	if err != nil {
		return nil, err
	}
	if m.root, err = os.OpenRoot(dir); err != nil {
		return nil, errors.Join(err, os.Remove(dir))
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.close())
		}
	}()
	if err := os.Chmod(dir, 0o755); err != nil { // tasks of any user walk through it
		return nil, err
	}
	if m.packages, err = installBase(m.root); err != nil {
		return nil, err
	}
	m.view, err = cluster.NewView(filepath.Base(dir))
	return m, err
}

// supply puts there what the pages suppose: Nomad on the PATH; in the user's folder the
// package and the checksums.
func (m *machine) supply(packages, nomad string) error {
	deb, err := only(filepath.Join(packages, "*_"+runtime.GOARCH+".deb"))
	if err != nil {
		return err
	}
	for _, c := range []struct{ from, to string }{
		{nomad, "/usr/bin/nomad"},
		{deb, "/root/" + filepath.Base(deb)},
		{filepath.Join(packages, "SHA256SUMS"), "/root/SHA256SUMS"},
	} {
		if err := copyAny(m.root, c.from, c.to); err != nil {
			return err
		}
	}
	return nil
}

// prepare makes the folder $1 a machine, from inside the namespaces, and becomes its shell. Of
// /dev it has this machine's, of the cgroups those of the view. The network leads nowhere, but
// has an interface with a default route, from which Nomad takes its address.
const prepare = `
set -e
mount -t proc proc "$1/proc"
mount -t sysfs sysfs "$1/sys"
mount --rbind /sys/fs/cgroup "$1/sys/fs/cgroup"
mount --rbind /dev "$1/dev"
hostname newcomer
ip link set lo up
ip link add eth0 type veth peer name switch0
ip link set switch0 up
ip link set eth0 up
ip addr add 192.168.7.10/24 dev eth0
ip route add default via 192.168.7.1
exec chroot "$1" /usr/bin/env -i HOME=/root USER=root LOGNAME=root TERM=dumb PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
  /bin/bash --norc -c 'cd; eval "$1"' bash "$2"
`

// shell is a shell of the machine with a script. Whatever it starts ends with it.
func (m *machine) shell(script string) *exec.Cmd {
	return m.view.Command("unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--fork", "--kill-child",
		"sh", "-c", prepare, "newcomer", m.root.Name(), script)
}

// agentLog is the end of the agent's log, where the pages have one written.
func (m *machine) agentLog() string {
	text, err := m.root.ReadFile("var/log/nomad.log")
	if err != nil {
		return err.Error()
	}
	const most = 6000
	return string(text[max(0, len(text)-most):])
}

// close removes the machine. Its mounts ended with its namespaces; were there one, what
// it shows would be removed, too.
func (m *machine) close() error {
	var err error
	if m.view != nil {
		err = m.view.Close()
	}
	mounts, readErr := os.ReadFile("/proc/self/mountinfo")
	if readErr != nil {
		return errors.Join(err, readErr)
	}
	dir := m.root.Name()
	if strings.Contains(string(mounts), " "+dir+"/") {
		return errors.Join(err, fmt.Errorf("%s stays: something is mounted below it", dir))
	}
	return errors.Join(err, m.root.Close(), os.RemoveAll(dir))
}
