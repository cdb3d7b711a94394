// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package kerneltest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// The words that make this binary hide and then look.
const (
	hideWord = "hide"
	lookWord = "look"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == hideWord {
		answer, _ := strconv.Atoi(os.Args[2])
		fmt.Println(Exec(unix.Errno(answer), "/proc/self/exe", []string{os.Args[0], lookWord}, os.Environ()))
		os.Exit(1)
	}
	if len(os.Args) == 2 && os.Args[1] == lookWord {
		fmt.Println(look())
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// look says what the kernel answers to system calls of several ages.
func look() string {
	said := ""
	_, err := unix.PidfdOpen(os.Getpid(), 0)
	said += fmt.Sprintf("pidfd_open: %v", err)
	said += fmt.Sprintf(", close_range: %v", unix.CloseRange(1<<20, 1<<20, 0))
	said += fmt.Sprintf(", faccessat2: %v", unix.Faccessat2(unix.AT_FDCWD, "/", unix.R_OK, unix.AT_EACCESS))
	var st unix.Statx_t
	return said + fmt.Sprintf(", statx: %v", unix.Statx(unix.AT_FDCWD, "/", 0, unix.STATX_BASIC_STATS, &st))
}

func TestExec(t *testing.T) {
	for name, c := range map[string]struct {
		answer unix.Errno
		want   string
	}{
		"an old kernel":                {Unknown, "function not implemented"},
		"an old container's profile":   {Denied, "operation not permitted"},
		"a kernel without close_range": {unix.EINVAL, "invalid argument"},
	} {
		t.Run(name, func(t *testing.T) {
			if WithGlibc && c.answer != Unknown {
				t.Skip("glibc starts no thread then; needs a test that is built without cgo")
			}
			out, err := exec.Command("/proc/self/exe", hideWord, strconv.Itoa(int(c.answer))).CombinedOutput()
			if err != nil {
				t.Fatal(errors.Join(err, errors.New(string(out))))
			}
			want := fmt.Sprintf("pidfd_open: %[1]s, close_range: %[1]s, faccessat2: %[1]s, statx: <nil>", c.want)
			if got := string(bytes.TrimSpace(out)); got != want {
				t.Errorf("the kernel answers %q, want %q", got, want)
			}
		})
	}
}
