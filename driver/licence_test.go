// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/settings"
)

// canary is a licence server's name that must not show anywhere.
const canary = "zq7canary"

// loudNode is a node whose driver logs everything into a buffer, and whose
// configuration holds the canary in each place that takes a licence.
func loudNode(t *testing.T) (*node, *syncBuffer) {
	log := &syncBuffer{}
	n := newNode(t, func(c *settings.Config) {
		c.License = &settings.LicenseConfig{Type: "network", Server: "31010@" + canary + ".example"}
		c.Solvers["other"] = settings.SolverConfig{Path: standin, Env: map[string]string{"ANSYSLMD_LICENSE_FILE": "1055@" + canary + "-two"}}
	})
	n.log = &hclog.LoggerOptions{Level: hclog.Trace, Output: log}
	n.restart()
	return n, log
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// Whatever a solver prints, the licence server in it goes nowhere: each path by
// which a solver's text comes into an event, a result or a log has a run here.
func TestLicence_NoTextOfTheSolverTellsTheServer(t *testing.T) {
	for name, c := range map[string]struct{ prints, says string }{
		"last words":         {` *** asking ` + canary + `.example\n`, "last words"},
		"licence trouble":    {` [license/error] no licence from 31010@` + canary + `.example\n [license/error] No license on server ` + canary + `\n`, "no licence"},
		"error of the run":   {` *** Error 40500 (SOL+500)\n     asked 1055@` + canary + `-two and ` + canary + `.example\n\n E r r o r   t e r m i n a t i o n\n`, "40500"},
		"termination reason": {` *** termination due to ` + canary + `-two ***\n E r r o r   t e r m i n a t i o n\n`, "termination due to"},
		"crash":              {`forrtl: severe (174): ` + strings.ToUpper(canary) + `.example\n`, "forrtl"},
		"student limit":      {` *** Error 70043 (OTH+43)\n     limit of ` + canary + `.example\n`, "70043"},
	} {
		t.Run(name, func(t *testing.T) {
			n, log := loudNode(t)
			r := n.start(n.script("printf '" + c.prints + "'; exit 3"))
			result := r.wait()
			must.False(t, result.Successful())
			must.ErrorContains(t, result.Err, c.says)
			must.StrContains(t, strings.ToLower(r.read("stdout")), canary, must.Sprint("the test printed nothing"))
			n.hears(r.id, c.says)
			n.checkNoCanary(r, log)
		})
	}
}

func TestLicence_StartTimeoutTellsNoServer(t *testing.T) {
	n, log := loudNode(t)
	j := n.script(`printf '     |  Version : smp d R14     |\n [license/error] no license on 31010@` + canary + `.example\n'; sleep 600`)
	j.config += "\n start_timeout = \"100ms\""
	r := n.start(j)
	must.ErrorContains(t, r.wait().Err, "within start_timeout")
	n.hears(r.id, "Ending the solver")
	n.checkNoCanary(r, log)
}

// checkNoCanary looks at all that the driver leaves of a run.
func (n *node) checkNoCanary(r *run, log *syncBuffer) {
	n.t.Helper()
	texts := map[string]string{"events": strings.Join(n.said(r.id), "\n"), "log": log.String()}
	if res := r.task().Result(); res.Err != nil {
		texts["result"] = res.Err.Error()
	}
	must.NoError(n.t, filepath.WalkDir(n.config.StateDir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			data, readErr := os.ReadFile(path)
			texts[path], err = string(data), readErr
		}
		return err
	}))
	for where, text := range texts {
		must.StrNotContains(n.t, strings.ToLower(text), canary, must.Sprint(where))
	}
}

func TestLicence_AWaitIsSaidOnceAndItsEndToo(t *testing.T) {
	n := newNode(t)
	r := n.start(n.script(`printf '     |  Version : smp d R14     |\n Waiting for a license\n'
while [ ! -e go ]; do sleep 0.01; done
printf ' Executing with LSTC network license\n'
while [ ! -e end ]; do sleep 0.01; done`))
	n.hears(r.id, "Waiting for a licence")
	must.NoError(t, os.WriteFile(filepath.Join(r.folder, "go"), nil, 0o644))
	n.hears(r.id, "Got a licence within")
	must.NoError(t, os.WriteFile(filepath.Join(r.folder, "end"), nil, 0o644))
	r.wait()
	must.Eq(t, 1, strings.Count(strings.Join(n.said(r.id), "\n"), "Waiting for a licence"))
}
