// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

func TestUser_OfTheSolver(t *testing.T) {
	needRoot(t)
	n := newNode(t)
	r := n.start(n.script(`grep -E '^(Uid|Gid|Groups):' /proc/self/status; echo "USER=$USER LOGNAME=$LOGNAME"; echo end; sleep 3600`))
	r.says("end")
	out := r.read("stdout")
	nobody, err := user.Lookup("nobody")
	must.NoError(t, err)
	must.Eq(t, strings.Repeat(nobody.Uid+"\t", 3)+nobody.Uid, statusField(out, "Uid"))
	must.Eq(t, strings.Repeat(nobody.Gid+"\t", 3)+nobody.Gid, statusField(out, "Gid"))
	must.SliceNotContains(t, strings.Fields(statusField(out, "Groups")), "0")
	must.StrContains(t, out, "USER=nobody LOGNAME=nobody")
	info, err := os.Stat(filepath.Join(r.folder, "stdout"))
	must.NoError(t, err)
	must.Eq(t, "-rw-r--r--", info.Mode().String())
}
