// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/nomad/nomad/structs"
	"github.com/hashicorp/nomad/plugins/drivers"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/accounts"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/settings"
)

// dora is a user of the directory alone, and crash and secret are groups there. The
// directory has crash for nobody, too, and never answers about emil.
const (
	dora   = 61234
	doras  = 61000
	crash  = 61300
	secret = 61301
)

// directory is the folder of a getent and an id that know them. They are made before
// the first test: a program that is still being written somewhere cannot be executed.
var directory string

func makeDirectory() error {
	script := fmt.Sprintf(`#!/bin/sh
case "$*" in
"passwd dora") echo 'dora:x:%d:%d:Dora:/home/dora:/bin/sh' ;;
"group crash") echo 'crash:x:%d:dora,nobody' ;;
"-G dora") echo '%d %d %d' ;;
"-G nobody") echo '65534 %d' ;;
"passwd emil") : > ${0%%/*}/asked; exec sleep 3600 ;;
*) exit 2 ;;
esac
`, dora, doras, crash, doras, crash, secret, crash)
	err := os.Mkdir(directory, 0o755)
	for _, program := range []string{"getent", "id"} {
		err = errors.Join(err, os.WriteFile(filepath.Join(directory, program), []byte(script), 0o755))
	}
	return err
}

// newDirectoryNode is newNode for a node whose users are in the directory.
func newDirectoryNode(t *testing.T, adjust ...func(*settings.Config)) *node {
	needRoot(t)
	n := newNode(t, adjust...)
	n.Driver.accounts = accounts.New(n.Driver.ctx, accounts.Options{Programs: []string{directory}, Patience: 2 * patience})
	return n
}

// Who a directory says that the user is comes to the solver and to alloc exec, also
// after the driver was started anew.
func TestStart_UserAndGroupsOfTheDirectory(t *testing.T) {
	n := newDirectoryNode(t)
	j := n.script(`grep -E '^(Uid|Gid|Groups):' /proc/self/status; echo "USER=$USER HOME=$HOME"; echo end; sleep 3600`)
	j.user = "dora"
	j.config += "\n group = \"crash\""
	j.folder = n.folder(j.files)
	must.NoError(t, os.Chown(j.folder, dora, doras))
	r := n.start(j)
	r.says("end")
	check := func(status string) {
		t.Helper()
		four := func(id int) string { return strings.TrimSpace(strings.Repeat(fmt.Sprintf("%d\t", id), 4)) }
		must.Eq(t, four(dora), statusField(status, "Uid"))
		must.Eq(t, four(crash), statusField(status, "Gid"))
		must.Eq(t, fmt.Sprintf("%d %d %d", doras, crash, secret), statusField(status, "Groups"))
	}
	check(r.read("stdout"))
	must.StrContains(t, r.read("stdout"), "USER=dora HOME=/home/dora")
	n.restart()
	r.comeBack()
	result, err := n.ExecTask(r.id, []string{"/bin/cat", "/proc/self/status"}, patience)
	must.NoError(t, err)
	check(string(result.Stdout))
	r.stop()
}

func TestStart_GroupsOfTheDirectoryAreDenied(t *testing.T) {
	n := newDirectoryNode(t, func(c *settings.Config) { c.DeniedGIDs = "61300-61301" })
	for user, gid := range map[string]int{"": crash, "dora": crash} {
		j := standinJob("ncpu = 1")
		j.user = user
		_, _, err := n.StartTask(n.task(j))
		must.ErrorContains(t, err, fmt.Sprintf("is in group %d, which this node denies", gid))
		must.False(t, structs.IsRecoverable(err))
	}
}

func TestStart_GroupOfOthersIsRefused(t *testing.T) {
	n := newDirectoryNode(t)
	_, _, err := n.StartTask(n.task(standinJob("ncpu = 1\n group = \"61301\"")))
	must.ErrorContains(t, err, `user nobody is not in group "61301"`)
	must.False(t, structs.IsRecoverable(err))
}

// getent says the same of a user that is not there and of a directory that is down.
func TestStart_AUserWhomNobodyKnowsMayComeYet(t *testing.T) {
	n := newDirectoryNode(t)
	j := standinJob("ncpu = 1")
	j.user = "frida"
	_, _, err := n.StartTask(n.task(j))
	must.ErrorContains(t, err, `user "frida" is not known on this node, nor to its directory (getent passwd "frida"): create it`)
	must.True(t, structs.IsRecoverable(err))
}

func TestStart_ADirectoryThatHangsHoldsUpNobodyElse(t *testing.T) {
	n := newDirectoryNode(t)
	j := standinJob("ncpu = 1")
	j.user = "emil"
	cfg := n.task(j)
	ended := make(chan error, 1)
	go func() {
		_, _, err := n.StartTask(cfg)
		ended <- err
	}()
	eventually(t, "the directory is asked", func() bool {
		_, err := os.Stat(filepath.Join(directory, "asked"))
		return err == nil
	})
	must.Eq(t, drivers.HealthStateHealthy, n.fingerprint().Health)
	must.True(t, n.start(standinJob("ncpu = 1")).wait().Successful())
	select {
	case err := <-ended:
		t.Fatalf("the others may have waited for it: %v", err)
	default:
	}
	n.end()
	err := <-ended
	must.ErrorContains(t, err, "the directory does not answer")
	must.True(t, structs.IsRecoverable(err))
}
