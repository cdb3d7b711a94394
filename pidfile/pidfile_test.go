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
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/procfs"
)

func TestParse(t *testing.T) {
	cases := map[string]struct {
		text string
		want Record
		err  error
	}{
		"both lines": {
			"12345\n{\"cores\":[0,1,2,3],\"start_time\":8123456,\"boot_id\":\"b\"}\n",
			Record{PID: 12345, Cores: []int{0, 1, 2, 3}, StartTime: 8123456, BootID: "b"},
			nil,
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
		"a core beyond all machines":      {"7\n{\"cores\":[2048]}\n", Record{PID: 7}, ErrNoCores},
		"the last core there may be":      {"7\n{\"cores\":[2047]}\n", Record{PID: 7, Cores: []int{2047}}, nil},
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
	rec.Cores = append(rec.Cores, r.Perm(cpuset.MaxCPUs)[:r.IntN(200)]...)
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

func TestRead_AndWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	if _, err := Read(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	want := Record{PID: 7, Cores: []int{3, 1}, StartTime: 8, BootID: "b", SupervisorPID: 6, SupervisorStartTime: 5}
	if err := Write(path, want); err != nil {
		t.Fatal(err)
	}
	if got, err := Read(path); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	if err := Write(path, Record{}); !errors.Is(err, ErrNoPID) {
		t.Errorf("no pid: %v", err)
	}
	if err := os.WriteFile(path, append([]byte("1\n"), bytes.Repeat([]byte(" "), MaxBytes)...), 0o600); err != nil {
		t.Fatal(err)
	}
	// The words: nothing that was read, and is no pid, may be the reason.
	if r, err := Read(path); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("too much: %+v, %v", r, err)
	}
}

func TestRecord_NamesTwoProcesses(t *testing.T) {
	r := Record{PID: 7, StartTime: 8, BootID: "b", SupervisorPID: 6, SupervisorStartTime: 5}
	if got, want := r.Solver(), (procfs.Identity{PID: 7, StartTicks: 8, BootID: "b"}); got != want {
		t.Errorf("solver %+v", got)
	}
	if got, want := r.Supervisor(), (procfs.Identity{PID: 6, StartTicks: 5, BootID: "b"}); got != want {
		t.Errorf("supervisor %+v", got)
	}
	boot, err := procfs.BootID(procfs.Root)
	if err != nil {
		t.Fatal(err)
	}
	self, err := procfs.StartTicks(procfs.Root, os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		r                  Record
		solver, supervisor bool
	}{
		"the solver":     {Record{PID: os.Getpid(), StartTime: self, BootID: boot}, true, false},
		"the supervisor": {Record{SupervisorPID: os.Getpid(), SupervisorStartTime: self, BootID: boot}, false, true},
		"neither":        {Record{PID: os.Getpid(), StartTime: self + 1, BootID: boot, SupervisorPID: os.Getpid()}, false, false},
	} {
		if got := c.r.Alive(procfs.Root); got != c.solver {
			t.Errorf("%s: solver alive %v", name, got)
		}
		if got := c.r.SupervisorAlive(procfs.Root); got != c.supervisor {
			t.Errorf("%s: supervisor alive %v", name, got)
		}
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
