// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package procfs

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestIdentity(t *testing.T) {
	root := t.TempDir()
	put := func(path, text string) {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	stat := func(command, state string, start string) string {
		return "7 (" + command + ") " + state + " 1 7 7 0 -1 4194560 1 1 1 1 1 1 1 1 20 0 1 0 " + start + " 1000 1 18446744073709551615\n"
	}
	put("sys/kernel/random/boot_id", "b\n")
	put("7/stat", stat("ls) Z 9 (dyna", "S", "8123456"))
	put("8/stat", stat("x", "Z", "5"))
	put("9/stat", "9 (short) S 1 2\n")
	put("10/stat", "")
	if start, err := StartTicks(root, 7); err != nil || start != 8123456 {
		t.Errorf("start time %d, %v", start, err)
	}
	for _, pid := range []int{9, 10, 11} {
		if start, err := StartTicks(root, pid); err == nil {
			t.Errorf("process %d: start time %d", pid, start)
		}
	}
	if _, err := StartTicks(root, 11); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no process: %v", err)
	}
	cases := map[string]struct {
		id   Identity
		want bool
	}{
		"the process":        {Identity{PID: 7, StartTicks: 8123456, BootID: "b"}, true},
		"another start time": {Identity{PID: 7, StartTicks: 8123455, BootID: "b"}, false},
		"another boot":       {Identity{PID: 7, StartTicks: 8123456, BootID: "c"}, false},
		"no start time":      {Identity{PID: 7, BootID: "b"}, false},
		"no boot":            {Identity{PID: 7, StartTicks: 8123456}, false},
		"a zombie":           {Identity{PID: 8, StartTicks: 5, BootID: "b"}, false},
		"nobody":             {Identity{PID: 11, StartTicks: 5, BootID: "b"}, false},
	}
	for name, c := range cases {
		if got := c.id.Alive(root); got != c.want {
			t.Errorf("%s: alive %v", name, got)
		}
	}
}

func TestIdentityOfThisProcess(t *testing.T) {
	boot, err := BootID(Root)
	if err != nil || len(boot) != 36 {
		t.Errorf("boot id %q, %v", boot, err)
	}
	start, err := StartTicks(Root, os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	r := Identity{PID: os.Getpid(), StartTicks: start, BootID: boot}
	if !r.Alive(Root) {
		t.Error("not alive")
	}
	child := exec.Command("true")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	began, err := StartTicks(Root, child.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	child.Wait()
	if (Identity{PID: child.Process.Pid, StartTicks: began, BootID: boot}).Alive(Root) {
		t.Error("alive after its end")
	}
}

// A command may be named so that it looks like the rest of the line.
func TestParseStat(t *testing.T) {
	const rest = " S 1 7 9 0 -1 4194560 1 1 1 1 1 1 1 1 20 0 1 0 8123456 1000 1"
	want := Stat{State: 'S', PPID: 1, Session: 9, Threads: 1, StartTicks: 8123456}
	for name, stat := range map[string]string{
		"a name":               "7 (ls-dyna)" + rest,
		"spaces and brackets":  "7 (ls) Z 9 (dyna)" + rest,
		"nothing but brackets": "7 ()) (()" + rest,
	} {
		if got, err := ParseStat([]byte(stat)); err != nil || got != want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for name, stat := range map[string]string{
		"empty":     "",
		"short":     "7 (x) S 1 7",
		"no state":  "7 (x) 15" + rest[2:],
		"no number": "7 (x) S x" + rest[4:],
	} {
		if got, err := ParseStat([]byte(stat)); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("7 (ls) Z 9 (dyna) S 1 7 7 0 -1 4194560 1 1 1 1 1 1 1 1 20 0 1 0 8123456 1000"))
	f.Add([]byte(""))
	f.Add([]byte(")"))
	f.Fuzz(func(t *testing.T, stat []byte) {
		if s, err := ParseStat(stat); err != nil && s != (Stat{}) {
			t.Fatalf("an error and %+v", s)
		}
	})
}

func TestPIDs(t *testing.T) {
	pids, err := PIDs(Root)
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, pid := range pids {
		found = found || pid == os.Getpid()
	}
	if !found {
		t.Errorf("this process is not among %v", pids)
	}
	if _, err := PIDs(filepath.Join(t.TempDir(), "nothing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}
