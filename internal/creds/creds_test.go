// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package creds

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/rawcall"
)

func TestSupplementaryGroups(t *testing.T) {
	for name, c := range map[string]struct {
		u    User
		want []uint32
	}{
		"a user without root's": {User{UID: 5, Groups: []int{0, 4, 0, 6}}, []uint32{4, 6}},
		"root keeps it":         {User{UID: 0, Groups: []int{0, 4}}, []uint32{0, 4}},
		"none":                  {User{UID: 5}, nil},
		"nonsense":              {User{UID: 5, Groups: []int{-1}}, nil},
	} {
		if got := c.u.supplementary(); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestString(t *testing.T) {
	for want, u := range map[string]User{"ada": {UID: 5, Name: "ada"}, "5": {UID: 5}} {
		if got := u.String(); got != want {
			t.Errorf("%+v is %q", u, got)
		}
	}
}

// stranger is a user that owns nothing.
const stranger = 54321

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("another user's rights need root")
	}
}

// field returns a line of a status file, its values separated by single blanks.
func field(status, key string) string {
	_, rest, _ := strings.Cut(status, "\n"+key+":")
	line, _, _ := strings.Cut(rest, "\n")
	return strings.Join(strings.Fields(line), " ")
}

func TestDo_HasTheUsersRights(t *testing.T) {
	needRoot(t)
	u := User{UID: stranger, GID: stranger, Groups: []int{0, 4}}
	var seen string
	err := u.Do(func() error {
		status, err := os.ReadFile("/proc/thread-self/status")
		seen = string(status)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	id := fmt.Sprint(stranger)
	for key, want := range map[string]string{"Uid": "0 " + id + " 0 " + id, "Gid": "0 " + id + " 0 " + id, "Groups": "4", "CapEff": "0000000000000000"} {
		if got := field(seen, key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
}

func TestDo_LeavesNoThreadBehindWithItsRights(t *testing.T) {
	needRoot(t)
	u := User{UID: stranger, GID: stranger}
	var wait sync.WaitGroup
	for range 50 {
		wait.Go(func() {
			err := u.Do(func() error { return os.WriteFile("/proc/sys/kernel/hostname", nil, 0) })
			if !errors.Is(err, os.ErrPermission) {
				t.Errorf("got %v", err)
			}
		})
	}
	wait.Wait()
	files, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		status, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended
		}
		for _, key := range []string{"Uid", "Gid"} {
			if got := field(string(status), key); got != "0 0 0 0" {
				t.Errorf("%s: %s is %q", file, key, got)
			}
		}
	}
}

// The kernel tells apart who signals a thread by its real and saved user, and who
// changes its scheduling by its capabilities, too.
func TestDo_KeepsTheThreadOutOfTheUsersReach(t *testing.T) {
	needRoot(t)
	u := User{UID: stranger, GID: stranger}
	for name, reach := range map[string]string{
		"signals": "kill -0 $1", "its nice value": "renice -n 19 -p $1", "its affinity": "taskset -p 1 $1", "its environment": "cat /proc/$1/environ",
	} {
		t.Run(name, func(t *testing.T) {
			must := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			script := reach + " || exit 7"
			if _, err := exec.LookPath(strings.Fields(reach)[0]); err != nil {
				t.Skip(err)
			}
			try := func(tid int) int {
				cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", script, "sh", fmt.Sprint(tid))
				cmd.Dir = "/"
				cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: stranger, Gid: stranger}}
				_ = cmd.Run()
				return cmd.ProcessState.ExitCode()
			}
			own := exec.CommandContext(t.Context(), "/bin/sleep", "3600")
			own.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: stranger, Gid: stranger}}
			must(own.Start())
			if got := try(own.Process.Pid); got != 0 {
				t.Errorf("of a process of his own: exit code %d", got)
			}
			must(own.Process.Kill())
			_ = own.Wait() // killed

			tids, tried := make(chan int), make(chan struct{})
			go func() {
				defer close(tried)
				if got := try(<-tids); got != 7 {
					t.Errorf("of the thread that acts as him: exit code %d", got)
				}
			}()
			must(u.Do(func() error {
				tids <- syscall.Gettid()
				<-tried
				return nil
			}))
		})
	}
}

// BenchmarkDo is what each look into a run folder costs more than as root.
func BenchmarkDo(b *testing.B) {
	u := User{UID: stranger, GID: stranger, Groups: []int{4, 6}}
	for b.Loop() {
		if err := u.Do(func() error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}

func TestBecome_ChangesAllIDsForGood(t *testing.T) {
	needRoot(t)
	for name, c := range map[string]struct {
		u      User
		groups string
	}{
		"a user with groups": {User{UID: stranger, GID: stranger + 1, Groups: []int{0, 4, 6}}, "4 6"},
		"a user without":     {User{UID: stranger, GID: stranger + 1}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			status := become(t, c.u)
			uid, gid := fmt.Sprint(c.u.UID), fmt.Sprint(c.u.GID)
			for key, want := range map[string]string{
				"Uid": strings.Join([]string{uid, uid, uid, uid}, " "), "Gid": strings.Join([]string{gid, gid, gid, gid}, " "),
				"Groups": c.groups, "CapPrm": "0000000000000000",
			} {
				if got := field(status, key); got != want {
					t.Errorf("%s is %q, want %q", key, got, want)
				}
			}
		})
	}
}

// become returns the status of a process that has become the user.
func become(t *testing.T, u User) string {
	t.Helper()
	who, err := json.Marshal(u)
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command("/proc/self/exe")
	child.Env = append(os.Environ(), becomeEnv+"="+string(who))
	out, err := child.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

const becomeEnv = "CREDS_BECOME"

func TestMain(m *testing.M) {
	if who := os.Getenv(becomeEnv); who != "" {
		if err := showAs(who); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// showAs prints what the kernel says of the main thread once it is the user.
func showAs(who string) error {
	runtime.LockOSThread()
	var u User
	if err := json.Unmarshal([]byte(who), &u); err != nil {
		return err
	}
	var l rawcall.List
	if err := errors.Join(u.Become(&l), l.Run()); err != nil {
		return err
	}
	status, err := os.ReadFile("/proc/thread-self/status")
	fmt.Print(string(status))
	return err
}
