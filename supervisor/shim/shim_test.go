// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package shim

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/durable"
)

// Every import, also of a package without initialisation, waits for its turn in
// the alphabet among everything the plugin links, and this package with it. So
// whatever sorts behind "github.com/nomad-driver-lsdyna" may only be what os and
// encoding/json need anyway.
func TestImports(t *testing.T) {
	list := func(what ...string) []string {
		out, err := exec.Command("go", append([]string{"list", "-deps"}, what...)...).Output()
		if err != nil {
			t.Skipf("go list: %v", err)
		}
		return strings.Fields(string(out))
	}
	needed := list("os", "encoding/json")
	for _, path := range list(".") {
		if strings.HasPrefix(path, "github.com/nomad-driver-lsdyna/") {
			continue
		}
		if path > "github.com/nomad-driver-lsdyna" && !slices.Contains(needed, path) {
			t.Errorf("imports %s, which makes every supervisor larger", path)
		}
	}
}

func TestExitRecordRoundTrip(t *testing.T) {
	for name, r := range map[string]ExitRecord{
		"an exit": {
			Version: ExitVersion, TaskID: "t", PID: 5, StartTime: 6, BootID: "b", Code: 3,
			Rusage: Rusage{UserTime: time.Second, SystemTime: time.Millisecond, MaxRSSBytes: 1 << 40}, FinishedAt: time.Now().UTC(),
		},
		"a signal":        {Version: ExitVersion, PID: 5, StartTime: 6, BootID: "b", Code: 139, Signal: 11, CoreDumped: true, OOMKilled: true},
		"a failed launch": {Version: ExitVersion, Code: -1, LaunchError: "execute x: no such file"},
	} {
		dir := t.TempDir()
		if err := writeExit(dir, r); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadExit(dir); err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
}

func FuzzParseExit(f *testing.F) {
	f.Add([]byte(`{"version":1,"pid":5,"start_time":6,"boot_id":"b","code":0}`))
	f.Add([]byte(`{"version":1,"code":-1,"launch_error":"x"}`))
	f.Add([]byte(`{"version":1,"pid":5,"start_time":6,"boot_id":"b","code":137,"signal":9}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := ParseExit(data)
		if err != nil {
			if !reflect.DeepEqual(r, ExitRecord{}) {
				t.Fatalf("an error and %+v", r)
			}
			return
		}
		if r.LaunchError == "" && (r.PID <= 0 || r.Code < 0 || r.Code > 255) {
			t.Fatalf("believed %+v", r)
		}
	})
}

func FuzzReadMessage(f *testing.F) {
	var b bytes.Buffer
	WriteMessage(&b, Order{Env: []string{"A=<b>"}, Go: true})
	f.Add(b.Bytes())
	f.Add([]byte{0, 0, 0, 2, '{', '}'})
	f.Add([]byte{255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, data []byte) {
		var o Order
		_ = ReadMessage(bytes.NewReader(data), &o)
	})
}

func TestMessages(t *testing.T) {
	var b bytes.Buffer
	want := Order{Env: []string{"A=<b>&\u2028", "EMPTY="}, Go: true}
	if err := WriteMessage(&b, want); err != nil {
		t.Fatal(err)
	}
	half := b.Bytes()[:b.Len()/2]
	var got Order
	if err := ReadMessage(bytes.NewReader(half), &got); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("half a message: %v", err)
	}
	if err := ReadMessage(&b, &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	if err := ReadMessage(&b, &got); !errors.Is(err, io.EOF) {
		t.Errorf("no message: %v", err)
	}
}

func FuzzReadSpec(f *testing.F) {
	f.Add([]byte(`{"version":1,"command":"/x","dir":"/y","cgroups":{"mode":"none"},"stdout_name":"o","stderr_name":"e"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(dir+"/"+durable.SpecFile, data, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := ReadSpec(dir)
		if err == nil && s.Validate() != nil {
			t.Fatalf("read what is not valid: %+v", s)
		}
	})
}

func TestBelow(t *testing.T) {
	for path, want := range map[string][2]string{
		"/data/alloc/id/alloc/logs/.t.fifo": {"/data/alloc/id", "alloc/logs/.t.fifo"},
		"/a/b/c":                            {"/a", "b/c"},
		"/fifo":                             {"/", "fifo"},
	} {
		if dir, rel := below(path, userComponents); dir != want[0] || rel != want[1] {
			t.Errorf("below(%s) = %s, %s", path, dir, rel)
		}
	}
}
