// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package pidfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func TestParse(t *testing.T) {
	cases := map[string]struct {
		text string
		want Record
		err  error
	}{
		"both lines": {
			"12345\n{\"cores\":[0,1,2,3],\"start_time\":8123456,\"boot_id\":\"b\"}\n",
			Record{PID: 12345, Cores: []int{0, 1, 2, 3}, StartTime: 8123456, BootID: "b"}, nil,
		},
		"what the older tool wrote":       {"77\n{\"cores\": [4, 2]}", Record{PID: 77, Cores: []int{4, 2}}, nil},
		"no affinity":                     {"77\n{\"cores\":[]}\n", Record{PID: 77, Cores: []int{}}, nil},
		"a key we do not know":            {"7\n{\"cores\":[1],\"job\":{\"a\":[1]}}\n", Record{PID: 7, Cores: []int{1}, Extra: extra("job", `{"a":[1]}`)}, nil},
		"a supervisor":                    {"7\n{\"cores\":[1],\"supervisor_pid\":6,\"supervisor_start_time\":5}\n", Record{PID: 7, Cores: []int{1}, SupervisorPID: 6, SupervisorStartTime: 5}, nil},
		"blanks and a carriage return":    {" 7 \r\n {\"cores\":[1]} \r\n\n", Record{PID: 7, Cores: []int{1}}, nil},
		"one line":                        {"7\n", Record{PID: 7}, ErrNoCores},
		"one line without an end":         {"7", Record{PID: 7}, ErrNoCores},
		"an empty second line":            {"7\n\n", Record{PID: 7}, ErrNoCores},
		"a second line that is no JSON":   {"7\ncores 1 2\n", Record{PID: 7}, ErrNoCores},
		"a torn second line":              {"7\n{\"cores\":[1,2", Record{PID: 7}, ErrNoCores},
		"a list":                          {"7\n[1,2]\n", Record{PID: 7}, ErrNoCores},
		"no cores":                        {"7\n{\"start_time\":5}\n", Record{PID: 7, StartTime: 5}, ErrNoCores},
		"cores in another case":           {"7\n{\"Cores\":[1]}\n", Record{PID: 7, Extra: extra("Cores", "[1]")}, ErrNoCores},
		"cores null":                      {"7\n{\"cores\":null}\n", Record{PID: 7}, ErrNoCores},
		"cores of words":                  {"7\n{\"cores\":[\"1\"]}\n", Record{PID: 7}, ErrNoCores},
		"a negative core":                 {"7\n{\"cores\":[-1]}\n", Record{PID: 7}, ErrNoCores},
		"a core beyond all machines":      {"7\n{\"cores\":[8192]}\n", Record{PID: 7}, ErrNoCores},
		"half a core":                     {"7\n{\"cores\":[1.5]}\n", Record{PID: 7}, ErrNoCores},
		"a core twice":                    {"7\n{\"cores\":[1,1]}\n", Record{PID: 7}, ErrNoCores},
		"two lists of cores":              {"7\n{\"cores\":[1],\"cores\":[2]}\n", Record{PID: 7}, ErrNoCores},
		"a third line":                    {"7\n{\"cores\":[1]}\n8\n", Record{PID: 7}, ErrNoCores},
		"something behind the object":     {"7\n{\"cores\":[1]} {}\n", Record{PID: 7}, ErrNoCores},
		"an identity of the wrong type":   {"7\n{\"cores\":[1],\"start_time\":\"5\"}\n", Record{PID: 7}, ErrNoCores},
		"a negative start time":           {"7\n{\"cores\":[1],\"start_time\":-5}\n", Record{PID: 7}, ErrNoCores},
		"a supervisor that cannot be":     {"7\n{\"cores\":[1],\"supervisor_pid\":4294967296}\n", Record{PID: 7}, ErrNoCores},
		"nothing":                         {"", Record{}, ErrNoPID},
		"only the second line":            {"{\"cores\":[1]}\n", Record{}, ErrNoPID},
		"pid 0":                           {"0\n{\"cores\":[1]}\n", Record{}, ErrNoPID},
		"a negative pid":                  {"-7\n{\"cores\":[1]}\n", Record{}, ErrNoPID},
		"a pid with a sign":               {"+7\n{\"cores\":[1]}\n", Record{}, ErrNoPID},
		"a pid beyond the kernel's":       {"99999999999\n", Record{}, ErrNoPID},
		"a pid with something behind it":  {"7 8\n", Record{}, ErrNoPID},
		"bytes that are no text, at last": {"\x00\xff\n", Record{}, ErrNoPID},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := Parse([]byte(c.text))
			if !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
				t.Errorf("error %v, want %v", err, c.err)
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func extra(key, value string) map[string]json.RawMessage {
	return map[string]json.RawMessage{key: json.RawMessage(value)}
}

// randomRecord is any record that can be written.
func randomRecord(r *rand.Rand) Record {
	rec := Record{PID: 1 + r.IntN(1<<22), Cores: []int{}}
	rec.Cores = append(rec.Cores, r.Perm(MaxCPU + 1)[:r.IntN(200)]...)
	if r.IntN(2) == 0 {
		rec.StartTime, rec.BootID = r.Uint64(), strconv.FormatUint(r.Uint64(), 36)
	}
	if r.IntN(2) == 0 {
		rec.SupervisorPID, rec.SupervisorStartTime = 1+r.IntN(1<<22), r.Uint64()
	}
	for n := range r.IntN(3) {
		if rec.Extra == nil {
			rec.Extra = map[string]json.RawMessage{}
		}
		rec.Extra[fmt.Sprintf("key %d \"\n", n)] = json.RawMessage(`{"a":[null,1.5e300,"\u2028"]}`)
	}
	return rec
}

func TestRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		want := randomRecord(r)
		data, err := want.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := Parse(data)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%s\ngot  %+v\nwant %+v (%v)", data, got, want, err)
		}
		older(t, data, want)
	}
}

// older reads a record the way the older tool does: the first line is a number,
// the second a JSON object with "cores".
func older(t *testing.T, data []byte, want Record) {
	t.Helper()
	lines := strings.Split(string(data), "\n")
	if len(lines) != 3 || lines[2] != "" {
		t.Fatalf("not two lines: %q", data)
	}
	pid, err := strconv.Atoi(lines[0])
	if err != nil || pid != want.PID {
		t.Fatalf("first line %q", lines[0])
	}
	var second map[string]any
	if err := json.Unmarshal([]byte(lines[1]), &second); err != nil {
		t.Fatal(err)
	}
	cores, ok := second["cores"].([]any)
	if !ok || len(cores) != len(want.Cores) {
		t.Fatalf("cores %v", second["cores"])
	}
	for i, c := range cores {
		if int(c.(float64)) != want.Cores[i] {
			t.Fatalf("cores %v, want %v", cores, want.Cores)
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	for name, r := range map[string]Record{
		"no pid":            {Cores: []int{1}},
		"a negative core":   {PID: 1, Cores: []int{-1}},
		"a core twice":      {PID: 1, Cores: []int{1, 1}},
		"a key of its own":  {PID: 1, Cores: []int{1}, Extra: extra("cores", "[2]")},
		"a key that is not": {PID: 1, Cores: []int{1}, Extra: extra("x", "{")},
		"too much":          {PID: 1, Cores: []int{1}, Extra: extra("x", `"`+strings.Repeat("x", MaxBytes)+`"`)},
	} {
		if data, err := r.Encode(); err == nil {
			t.Errorf("%s: %s", name, data)
		}
	}
}

func TestFirstLineOnlyRoundTrip(t *testing.T) {
	data, err := Record{PID: 5}.Encode()
	if err != nil || string(data) != "5\n" {
		t.Errorf("%q, %v", data, err)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"", "1", "1\n", "1\n{}", "1\n{\"cores\":[1,2],\"a\":1}\n", "1\n{\"cores\":[1]}\n2", "12345\n{\"cores\":[0],\"start_time\":1,\"boot_id\":\"x\",\"supervisor_pid\":3}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Parse(data)
		switch {
		case errors.Is(err, ErrNoPID):
			if !reflect.DeepEqual(r, Record{}) {
				t.Fatalf("a record without a pid: %+v", r)
			}
		case errors.Is(err, ErrNoCores):
			if r.PID <= 0 || r.Cores != nil {
				t.Fatalf("got %+v", r)
			}
		case err != nil:
			t.Fatalf("another error: %v", err)
		default:
			again, err := r.Encode()
			if err != nil {
				if len(data) > MaxBytes/8 {
					return // JSON's escapes may outgrow the limit
				}
				t.Fatalf("read but not written: %v", err)
			}
			back, err := Parse(again)
			if err != nil || back.PID != r.PID || !slices.Equal(back.Cores, r.Cores) || back.BootID != r.BootID || len(back.Extra) != len(r.Extra) {
				t.Fatalf("%q\n%q\n%+v\n%+v %v", data, again, r, back, err)
			}
		}
	})
}

func TestReadTakesNothingButAModestFile(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good")
	if err := Write(good, Record{PID: 1, Cores: []int{1}}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		plant func(path string) error
		want  string
	}{
		"a link":             {func(path string) error { return os.Symlink(good, path) }, "too many levels of symbolic links"},
		"a link to a device": {func(path string) error { return os.Symlink("/dev/zero", path) }, "too many levels of symbolic links"},
		"a FIFO":             {func(path string) error { return syscall.Mkfifo(path, 0o600) }, "not a regular file"},
		"a folder":           {func(path string) error { return os.Mkdir(path, 0o700) }, "not a regular file"},
		"too much": {func(path string) error {
			return os.WriteFile(path, append([]byte("1\n"), bytes.Repeat([]byte(" "), MaxBytes)...), 0o600)
		}, "larger than"},
	} {
		path := filepath.Join(dir, name)
		if err := c.plant(path); err != nil {
			t.Fatal(err)
		}
		// The words: nothing that was read, and is no pid, may be the reason.
		if r, err := Read(path); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	if _, err := Read(filepath.Join(dir, "nothing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

func TestWriteReplacesALink(t *testing.T) {
	dir := t.TempDir()
	victim, path := filepath.Join(dir, "victim"), filepath.Join(dir, "pid")
	if err := os.WriteFile(victim, []byte("untouched"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(victim, path); err != nil {
		t.Fatal(err)
	}
	if err := Write(path, Record{PID: 1, Cores: []int{1}}); err != nil {
		t.Fatal(err)
	}
	if data, _ := os.ReadFile(victim); string(data) != "untouched" {
		t.Error("the link was followed")
	}
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	linked := filepath.Join(t.TempDir(), "dir")
	if err := os.Symlink(dir, linked); err != nil {
		t.Fatal(err)
	}
	if err := Write(filepath.Join(linked, "pid"), Record{PID: 2}); err == nil {
		t.Error("a directory that is a link was followed")
	}
}

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
	if start, err := StartTime(root, 7); err != nil || start != 8123456 {
		t.Errorf("start time %d, %v", start, err)
	}
	for _, pid := range []int{9, 10, 11} {
		if start, err := StartTime(root, pid); err == nil {
			t.Errorf("process %d: start time %d", pid, start)
		}
	}
	if _, err := StartTime(root, 11); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no process: %v", err)
	}
	cases := map[string]struct {
		r    Record
		want bool
	}{
		"the process":        {Record{PID: 7, StartTime: 8123456, BootID: "b"}, true},
		"another start time": {Record{PID: 7, StartTime: 8123455, BootID: "b"}, false},
		"another boot":       {Record{PID: 7, StartTime: 8123456, BootID: "c"}, false},
		"no start time":      {Record{PID: 7, BootID: "b"}, false},
		"no boot":            {Record{PID: 7, StartTime: 8123456}, false},
		"a zombie":           {Record{PID: 8, StartTime: 5, BootID: "b"}, false},
		"nobody":             {Record{PID: 11, StartTime: 5, BootID: "b"}, false},
	}
	for name, c := range cases {
		if got := c.r.Alive(root); got != c.want {
			t.Errorf("%s: alive %v", name, got)
		}
		s := Record{SupervisorPID: c.r.PID, SupervisorStartTime: c.r.StartTime, BootID: c.r.BootID}
		if got := s.SupervisorAlive(root); got != c.want {
			t.Errorf("supervisor, %s: alive %v", name, got)
		}
	}
}

func TestIdentityOfThisProcess(t *testing.T) {
	boot, err := BootID("/proc")
	if err != nil || len(boot) != 36 {
		t.Errorf("boot id %q, %v", boot, err)
	}
	start, err := StartTime("/proc", os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	r := Record{PID: os.Getpid(), StartTime: start, BootID: boot}
	if !r.Alive("/proc") {
		t.Error("not alive")
	}
	child := exec.Command("true")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	began, err := StartTime("/proc", child.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	child.Wait()
	if (Record{PID: child.Process.Pid, StartTime: began, BootID: boot}).Alive("/proc") {
		t.Error("alive after its end")
	}
}

func TestContradicts(t *testing.T) {
	trusted := Record{PID: 5, StartTime: 50, BootID: "b", SupervisorPID: 4, SupervisorStartTime: 40}
	for name, c := range map[string]struct {
		r    Record
		want bool
	}{
		"the same":                 {trusted, false},
		"other cores":              {Record{PID: 5, Cores: []int{7}, StartTime: 50, BootID: "b"}, false},
		"no identity":              {Record{PID: 5}, false},
		"nothing":                  {Record{}, false},
		"another pid":              {Record{PID: 6, StartTime: 50, BootID: "b"}, true},
		"another start":            {Record{PID: 5, StartTime: 51, BootID: "b"}, true},
		"another boot":             {Record{PID: 5, StartTime: 50, BootID: "c"}, true},
		"another supervisor":       {Record{PID: 5, SupervisorPID: 3}, true},
		"another supervisor start": {Record{PID: 5, SupervisorPID: 4, SupervisorStartTime: 41}, true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.r.Contradicts(trusted); got != c.want {
				t.Errorf("got %t", got)
			}
			if c.r.Contradicts(Record{}) {
				t.Error("contradicts a record that tells nothing")
			}
		})
	}
}
