// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package hangfs

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/shoenig/test/must"
)

func TestMount_SquashesRoot(t *testing.T) {
	const user = 12345
	m := mountedBy(t, NewSquashing)
	private := filepath.Join(m.Backing, "private")
	must.NoError(t, os.Mkdir(private, 0o700))
	must.NoError(t, os.Chown(private, user, user))
	must.NoError(t, os.Mkdir(filepath.Join(m.Backing, "open"), 0o777))
	must.NoError(t, os.Chmod(filepath.Join(m.Backing, "open"), 0o777))

	asUser := func(script string) error {
		cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", script)
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user, NoSetGroups: false}}
		return cmd.Run()
	}
	file := filepath.Join(m.Path, "private", "file")
	must.NoError(t, asUser("umask 077; echo text > "+file+" && mv "+file+" "+file+"2 && cat "+file+"2 && ls "+filepath.Dir(file)+" && cd "+filepath.Dir(file)))

	_, err := os.ReadFile(file + "2")
	must.ErrorIs(t, err, os.ErrPermission)
	_, err = os.ReadDir(filepath.Dir(file))
	must.ErrorIs(t, err, os.ErrPermission)
	must.ErrorIs(t, syscall.Access(filepath.Dir(file), 1), os.ErrPermission) // search
	must.ErrorIs(t, os.Remove(file+"2"), os.ErrPermission)
	must.ErrorIs(t, os.WriteFile(file, nil, 0o600), os.ErrPermission)

	own := filepath.Join(m.Path, "open", "roots")
	must.NoError(t, os.WriteFile(own, nil, 0o600))
	must.ErrorIs(t, os.Chown(own, user, user), os.ErrPermission)
	var st syscall.Stat_t
	must.NoError(t, syscall.Stat(filepath.Join(m.Backing, "open", "roots"), &st))
	must.Eq(t, nobody, int(st.Uid))
}
