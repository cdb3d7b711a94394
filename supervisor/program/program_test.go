// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package program

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/shoenig/test/must"
	"golang.org/x/sys/unix"
)

// A binary of plain `go build` has none.
func TestSeal_Nothing(t *testing.T) {
	_, err := seal(nil)
	must.ErrorIs(t, err, ErrNone)
}

func TestSeal_NobodyWritesToIt(t *testing.T) {
	content := []byte("a program")
	fd, err := seal(content)
	must.NoError(t, err)
	defer unix.Close(fd)
	_, err = unix.Pwrite(fd, []byte("X"), 0)
	must.ErrorIs(t, err, unix.EPERM)
	must.ErrorIs(t, unix.Ftruncate(fd, 0), unix.EPERM)
	got := make([]byte, 100)
	n, err := unix.Pread(fd, got, 0)
	must.NoError(t, err)
	must.Eq(t, string(content), string(got[:n]))
	_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_FUTURE_WRITE)
	must.ErrorIs(t, err, unix.EPERM)
}

// Whatever descriptors a child gets, in whatever order, it executes the program.
func TestEmbedded_IsExecuted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shim")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", path, "./shim")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	must.NoError(t, err, must.Sprint(string(out)))
	small, err := os.ReadFile(path)
	must.NoError(t, err)
	Embed(small)
	must.Eq(t, len(small), Size())

	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	must.NoError(t, err)
	defer null.Close()
	high, err := unix.FcntlInt(null.Fd(), unix.F_DUPFD_CLOEXEC, 500)
	must.NoError(t, err)
	defer unix.Close(high)
	for name, order := range map[string]func(said uintptr) []uintptr{
		"low":  func(said uintptr) []uintptr { return []uintptr{null.Fd(), said, said} },
		"high": func(said uintptr) []uintptr { return []uintptr{uintptr(high), said, said, uintptr(high)} },
		"to be moved": func(said uintptr) []uintptr {
			return []uintptr{uintptr(high), said, said, uintptr(high), 0, 1, 2, 0, 1, 2}
		},
	} {
		t.Run(name, func(t *testing.T) {
			read, write, err := os.Pipe()
			must.NoError(t, err)
			defer read.Close()
			files := order(write.Fd())
			p, err := Embedded(files)
			must.NoError(t, err)
			pid, err := syscall.ForkExec(p.Path, []string{"it", "supervise", "/nowhere"}, &syscall.ProcAttr{Files: files})
			must.NoError(t, err)
			must.NoError(t, p.Close())
			must.NoError(t, write.Close())
			said := make([]byte, 1000)
			n, _ := read.Read(said)
			var status syscall.WaitStatus
			for {
				if _, err = syscall.Wait4(pid, &status, 0, nil); !errors.Is(err, syscall.EINTR) {
					break
				}
			}
			must.NoError(t, err)
			must.Eq(t, 2, status.ExitStatus())
			must.True(t, strings.HasPrefix(string(said[:n]), "supervise is called by the driver itself"), must.Sprint(string(said[:n])))
		})
	}
}
