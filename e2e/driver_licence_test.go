// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
)

// Values of licence variables that must show nowhere: of the plugin's license
// block, and of a solver's env.
const (
	licenceCanary = "zq7canary"
	solverCanary  = "zq8canary"
)

// licenceSite is a site with a licence server that answers as a test says.
type licenceSite struct {
	*site
	dir string // holds lstc_qrun, what it does (answer), and the mark that it was asked
}

func newLicenceSite(t *testing.T) *licenceSite {
	t.Helper()
	l := &licenceSite{dir: t.TempDir()}
	l.answer(t, qrunTable(100))
	must.NoError(t, os.WriteFile(l.qrun(), fmt.Appendf(nil, "#!/bin/sh\n. %s/answer\n", l.dir), 0o755))
	l.site = newSite(t, fmt.Sprintf(`
    solver "other" {
      path = %q
      env {
        ANSYSLMD_LICENSE_FILE = "1055@%s"
        LSTC_FILE             = "/opt/%s"
      }
    }
    license {
      type   = "network"
      server = "31010@%s.example"
      qrun   = %q
    }`, binary(t, "lsdyna-standin"), solverCanary, solverCanary, licenceCanary, l.qrun()))
	return l
}

func (l *licenceSite) qrun() string { return filepath.Join(l.dir, "lstc_qrun") }

// answer sets the shell commands that lstc_qrun's next calls run.
func (l *licenceSite) answer(t *testing.T, script string) {
	t.Helper()
	next := filepath.Join(l.dir, "answer.next")
	// What is told as asked has its answer open already.
	must.NoError(t, os.WriteFile(next, fmt.Appendf(nil, "touch %s/asked\n%s", l.dir, script), 0o644))
	must.NoError(t, os.Rename(next, filepath.Join(l.dir, "answer")))
	must.NoError(t, os.RemoveAll(filepath.Join(l.dir, "asked")))
}

// asked tells whether lstc_qrun was called since its answer was set.
func (l *licenceSite) asked() bool {
	_, err := os.Stat(filepath.Join(l.dir, "asked"))
	return err == nil
}

// qrunTable is lstc_qrun's answer when so many licences are free. It exits with
// 1 even so.
func qrunTable(free int) string {
	return fmt.Sprintf(`cat <<'EOF'
LICENSE INFORMATION

PROGRAM          EXPIRATION CPUS  USED   FREE    MAX | QUEUE
---------------- ----------      ----- ------ ------ | -----
LS-DYNA          07/31/2030      %5d %6d    200 |     7
                   LICENSE GROUP %5d %6d    200 |     7
EOF
exit 1
`, 200-free, free, 200-free, free)
}

// job is a run of the example deck that is over in a moment.
func (l *licenceSite) job(name, env string) jobHCL {
	return jobHCL{name: name, folder: l.deck(name, "solid_bar_impact"), env: env}
}

func (l *licenceSite) submitAndWait(j jobHCL, status string, events ...string) {
	l.t.Helper()
	alloc := l.submit(j).wait(status)
	heard := cluster.Events(alloc, "lsdyna")
	must.True(l.t, containsAll(heard, events...), must.Sprintf("want %q among:\n%s", events, strings.Join(heard, "\n")))
}

func TestDriver_LicenceTroubleIsToldAndTellsNoServer(t *testing.T) {
	t.Parallel()
	l := newLicenceSite(t)
	completed, failed := api.AllocClientStatusComplete, api.AllocClientStatusFailed
	const asIf = "Could not ask the licence server, starting all the same: "

	l.submitAndWait(l.job("free", ""), completed, "ormal termination at the end time")
	must.True(t, l.asked(), must.Sprint("lstc_qrun was not asked"))

	l.answer(t, qrunTable(0))
	l.submitAndWait(l.job("none-free", ""), failed, "not enough free licences for LS-DYNA: asked 1, free 0 of 200, queue 7")

	l.answer(t, "head -c 3000000 /dev/urandom")
	l.submitAndWait(l.job("rubbish", ""), completed, asIf+"the licence server's answer holds no table", "ormal termination at the end time")

	l.answer(t, "echo ERROR: no answer from "+licenceCanary+".example, port 31010@"+licenceCanary)
	l.submitAndWait(l.job("server-error", ""), completed, asIf+"the licence server's answer is an error", "ormal termination at the end time")

	must.NoError(t, os.Rename(l.qrun(), l.qrun()+".away"))
	l.submitAndWait(l.job("missing", ""), completed, asIf, "no such file", "ormal termination at the end time")
	must.NoError(t, os.Rename(l.qrun()+".away", l.qrun()))

	l.answer(t, qrunTable(100))
	l.submitAndWait(l.job("refused", `STANDIN_FAULT = "license_refused"`), failed, "o licence: [license/error]")
	l.submitAndWait(jobHCL{name: "other", solver: "other", folder: l.deck("other", "solid_bar_impact")}, completed, "ormal termination at the end time")
	l.submitAndWait(l.job("student", `STANDIN_FAULT = "element_limit=10"`), failed, "licence does not cover a model of this size", "*** Error 70043")
	l.checkCanaries()
}

func TestDriver_AWaitForALicenceBlocksNobody(t *testing.T) {
	t.Parallel()
	l := newLicenceSite(t)

	// The question to the server hangs; another task comes, runs and ends meanwhile.
	l.answer(t, "sleep 600")
	asking := l.submit(l.job("asking", ""))
	must.NoError(t, cluster.Poll(within(t), "lstc_qrun to be asked", func() (bool, string, error) { return l.asked(), "", nil }))
	l.answer(t, qrunTable(100))
	l.submitAndWait(l.job("meanwhile", ""), api.AllocClientStatusComplete, "ormal termination at the end time")
	asking.wait(api.AllocClientStatusComplete, cluster.TaskEvent("lsdyna", "did not answer in time"))

	// Two solvers wait for their licences themselves, one of them in vain.
	vain := l.job("vain", `STANDIN_FAULT = "license_wait=forever"`)
	vain.config = `start_timeout = "20s"`
	hanging := l.submit(vain)
	queued := l.submit(l.job("queued", `STANDIN_FAULT = "license_wait=20"`))
	queued.wait(api.AllocClientStatusComplete, cluster.TaskEvent("lsdyna", "Waiting for a licence"),
		cluster.TaskEvent("lsdyna", "Got a licence within"), cluster.TaskEvent("lsdyna", "ormal termination at the end time"))
	hanging.wait(api.AllocClientStatusFailed, cluster.TaskEvent("lsdyna", "Waiting for a licence"), cluster.TaskEvent("lsdyna", "(start_timeout 20s)"),
		cluster.TaskEvent("lsdyna", "Ending the solver: no licence and no start on the deck within start_timeout 20s"))
	must.Len(t, 0, hanging.solvers())
	l.checkCanaries()
}

// checkCanaries looks for the values of licence variables in everything that the
// site has written and tells: the agent's log with the plugin's, records, Nomad's
// own state, allocations with their events. What the solver itself prints
// is its own: it stays in the run folder and in the task's log.
func (l *licenceSite) checkCanaries() {
	t := l.t
	t.Helper()
	allocs, _, err := l.API.Allocations().List(nil)
	must.NoError(t, err)
	must.SliceNotEmpty(t, allocs)
	for _, stub := range allocs {
		alloc, _, err := l.API.Allocations().Info(stub.ID, nil)
		must.NoError(t, err)
		data, err := json.Marshal(alloc)
		must.NoError(t, err)
		noCanary(t, "allocation of job "+stub.JobID, data)
	}
	files := 0
	for _, root := range []string{l.LogPath(), l.StateDir(), l.Path("data")} {
		must.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() || strings.Contains(path, "/alloc/logs/") {
				return nil //nolint:nilerr // removed meanwhile
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return nil //nolint:nilerr // removed meanwhile
			}
			files++
			noCanary(t, path, data)
			return nil
		}))
	}
	must.Greater(t, 3, files)
}

func noCanary(t *testing.T, where string, data []byte) {
	t.Helper()
	lower := bytes.ToLower(data)
	for _, canary := range []string{licenceCanary, solverCanary} {
		if i := bytes.Index(lower, []byte(canary)); i >= 0 {
			t.Errorf("%s holds a licence variable's value: …%q…", where, data[max(0, i-200):min(len(data), i+100)])
		}
	}
}
