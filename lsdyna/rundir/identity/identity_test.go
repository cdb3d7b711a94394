// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package identity

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/launch"
)

func solver(t *testing.T, name, content string) lsdyna.Solver {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	must.NoError(t, os.WriteFile(path, []byte(content), 0o755))
	return lsdyna.Solver{Name: "r14", Path: path}
}

func TestNew(t *testing.T) {
	s, cmd := solver(t, "ls-dyna", "12345"), launch.Command{Ranks: 4, Threads: 2}
	id, err := New("1f", s, launch.Options{JobID: "crash7"}, cmd)
	must.NoError(t, err)
	must.Eq(t, Identity{Deck: "1f", Solver: "ls-dyna:5", Parallel: lsdyna.SMP, Precision: lsdyna.Double, Processors: 8, Ranks: 4, JobID: "crash7"}, id)

	elsewhere, err := New("1f", solver(t, "ls-dyna", "54321"), launch.Options{JobID: "crash7"}, cmd)
	must.NoError(t, err)
	must.Eq(t, "", id.Difference(elsewhere), must.Sprint("its path differs from client to client"))
	larger, err := New("1f", solver(t, "ls-dyna", "123456"), launch.Options{JobID: "crash7"}, cmd)
	must.NoError(t, err)
	must.Eq(t, "the solver was ls-dyna:5 and is ls-dyna:6", id.Difference(larger))

	s.Path += ".gone"
	_, err = New("1f", s, launch.Options{}, cmd)
	must.ErrorIs(t, err, os.ErrNotExist)
	must.ErrorContains(t, err, "identify the solver")
}

// Whatever of an identity changes, a dump is of another run, and the text says what.
func TestDifference(t *testing.T) {
	was := Identity{Deck: "1f", Solver: "dyna:5", Parallel: lsdyna.MPP, Precision: lsdyna.Double, Processors: 8, Ranks: 4, JobID: "a"}
	must.Eq(t, "", was.Difference(was))
	seen := map[string]bool{}
	for want, change := range map[string]func(*Identity){
		"the deck or a file it includes was changed":                                  func(i *Identity) { i.Deck = "2e" },
		"the solver was dyna:5 and is dyna:6":                                         func(i *Identity) { i.Solver = "dyna:6" },
		"the solver was mpp double precision and is hybrid double precision":          func(i *Identity) { i.Parallel = lsdyna.Hybrid },
		"the solver was mpp double precision and is mpp single precision":             func(i *Identity) { i.Precision = lsdyna.Single },
		"the run had 8 processors in 4 ranks and has 16 in 4":                         func(i *Identity) { i.Processors = 16 },
		"the run had 8 processors in 4 ranks and has 8 in 8":                          func(i *Identity) { i.Ranks = 8 },
		`jobid was "a" and is ""`:                                                     func(i *Identity) { i.JobID = "" },
		"the deck or a file it includes was changed, before anything else that was\n": func(i *Identity) { *i = Identity{} },
	} {
		now := was
		change(&now)
		must.StrHasPrefix(t, was.Difference(now), want)
		for f := range reflect.TypeFor[Identity]().NumField() {
			if !reflect.ValueOf(was).Field(f).Equal(reflect.ValueOf(now).Field(f)) {
				seen[reflect.TypeFor[Identity]().Field(f).Name] = true
			}
		}
	}
	must.Eq(t, reflect.TypeFor[Identity]().NumField(), len(seen), must.Sprint("each part is compared"))
}

// Records of every version have these names.
func TestIdentity_asJSON(t *testing.T) {
	const text = `{"deck":"1f","solver":"dyna:5","parallel":"mpp","precision":"double","processors":8,"ranks":4,"jobid":"a"}`
	var id Identity
	must.NoError(t, json.Unmarshal([]byte(text), &id))
	data, err := json.Marshal(id)
	must.NoError(t, err)
	must.Eq(t, text, string(data))
}
