// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"
)

// doe is a study with doe.sh, and with a nomad that only says what it is called with.
type doe struct {
	t          *testing.T
	dir, study string
}

func newDOE(t *testing.T) doe {
	t.Helper()
	d := doe{t: t, dir: t.TempDir()}
	d.study = filepath.Join(d.dir, "study")
	must.NoError(t, os.WriteFile(filepath.Join(d.dir, "nomad"), []byte("#!/bin/sh\n[ -z \"$FAILS\" ] || { echo no server >&2; exit 1; }\necho \"Dispatched Job ID = $*\"\n"), 0o700))
	must.NoError(t, os.WriteFile(filepath.Join(d.dir, "template.k"), []byte("*PARAMETER\nR thick <<thick>>\n"), 0o600))
	must.NoError(t, os.WriteFile(filepath.Join(d.dir, "mesh.k"), []byte("*NODE\n"), 0o600))
	return d
}

// call calls doe.sh with a table of designs.
func (d doe) call(designs string, env ...string) (string, error) {
	d.t.Helper()
	table := filepath.Join(d.dir, "designs.csv")
	must.NoError(d.t, os.WriteFile(table, []byte(designs), 0o600))
	cmd := exec.CommandContext(within(d.t), "../example/dispatch/doe.sh", filepath.Join(d.dir, "template.k"), table, d.study, filepath.Join(d.dir, "mesh.k"))
	cmd.Env = append(os.Environ(), append(env, "PATH="+d.dir+":"+os.Getenv("PATH"))...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// Who owns the folder of a design can lay links into it: a second call of root writes nothing
// there, nor changes the deck of a run that there is.
func TestDOE_TouchesNoFolderTwice(t *testing.T) {
	d := newDOE(t)
	out, err := d.call("design,thick\nthin,1.2\n")
	must.NoError(t, err, must.Sprint(out))
	must.StrContains(t, out, "thin: ")
	deck := filepath.Join(d.study, "thin", "main.k")
	text, err := os.ReadFile(deck)
	must.NoError(t, err)
	must.Eq(t, "*PARAMETER\nR thick 1.2\n", string(text))

	victim := filepath.Join(d.dir, "victim")
	must.NoError(t, os.WriteFile(victim, []byte("root's"), 0o600))
	must.NoError(t, os.Remove(filepath.Join(d.study, "thin", "mesh.k")))
	for _, name := range []string{"main.k.new", "mesh.k"} {
		must.NoError(t, os.Symlink(victim, filepath.Join(d.study, "thin", name)))
	}
	out, err = d.call("design,thick\nthin,9.9\nthick,1.8\n")
	must.NoError(t, err, must.Sprint(out))
	must.StrContains(t, out, "thick: ")
	text, err = os.ReadFile(victim)
	must.NoError(t, err)
	must.Eq(t, "root's", string(text))
	text, err = os.ReadFile(deck)
	must.NoError(t, err)
	must.Eq(t, "*PARAMETER\nR thick 1.2\n", string(text))
	must.Eq(t, []string{"main.k", "mesh.k"}, names(t, filepath.Join(d.study, "thick")))
	must.Eq(t, []string{"thick", "thin"}, names(t, d.study))
}

func TestDOE_FailsWhereItCannotGoOn(t *testing.T) {
	d := newDOE(t)
	out, err := d.call("design,speed\nthin,1.2\n")
	must.Error(t, err)
	must.StrContains(t, out, "has no column for these")
	must.Eq(t, []string{}, names(t, d.study))
	out, err = d.call("design,thick\nthin,1.2\nthick,1.8\n", "FAILS=1")
	must.Error(t, err, must.Sprint("nomad has dispatched nothing"))
	must.StrContains(t, out, "no server")
	out, err = d.call("design,thick\nthin,1.2\n") // again, with a server
	must.NoError(t, err, must.Sprint(out))
	must.StrContains(t, out, "thin: ")
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	must.NoError(t, os.Chown(d.study, 65534, 65534))
	out, err = d.call("design,thick\nthick,1.8\n")
	must.Error(t, err)
	must.StrContains(t, out, "is another user's: call this as that user")
}
