// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package pages_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"
)

// runOf is a run folder of our own: a run that is at 60 % of its problem time, with two
// dumps, warnings of two kinds and global statistics.
func runOf(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "crash-front")
	must.NoError(t, os.Mkdir(dir, 0o755))
	begin := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	var out, stats strings.Builder
	out.WriteString(`
      Date: 11/22/2026      Time: 10:00:00
      ___________________________________________________
     |                                                   |
     |  LS-DYNA, A Program for Nonlinear Dynamic         |
     |  Analysis of Structures in Three Dimensions       |
     |  Date    : 04/12/2024    Time: 14:40:30           |
     |  Version : smp d R14                              |
     |  Revision: R14.1-205-geb5348f751                  |
     |                                                   |
     |  Platform   : Xeon64 System                       |
     |  Hostname   : compute-7                           |
     |  Precision  : Double precision (I8R8)             |
     |___________________________________________________|

 Executing with LSTC network license

 Command line options: i=main.k
                       ncpu=2

 termination time                  = 1.000E-02

 initialization completed

`)
	stats.WriteString(" CRUSH OF A BOX\n                    ls-dyna smp d R14 R14.1_205 date 11/22/2026\n")
	row := func(name string, v float64) {
		fmt.Fprintf(&stats, " %s%s%14.5E\n", name, strings.Repeat(".", 31-len(name)), v)
	}
	for i := range 61 {
		at, problem := begin.Add(time.Duration(10*i)*time.Second), float64(i)*1e-4
		event := "flush i/o buffers"
		switch i {
		case 20:
			event = "write d3dump01 file"
		case 40:
			event = "write d3dump02 file"
		case 30, 31, 32:
			out.WriteString(" *** Warning 40538 (SOL+538)\n     a hinge <script>alert(1)</script> opens\n\n")
		case 50:
			out.WriteString(" *** Warning 20282 (STR+282)\n     part 12 has no section\n\n")
		}
		fmt.Fprintf(&out, "%8d t %.4E dt %.2E %-29s%s\n", 100*i+1, problem, 1e-6, event, at.Format("01/02/06 15:04:05"))
		fmt.Fprintf(&stats, "\n\n dt of cycle%8d is controlled by shell           4711 of part        12\n\n", 100*i+1)
		kinetic := 900 - 10*float64(i)
		row("time", problem)
		row("time step", 1e-6)
		row("kinetic energy", kinetic)
		row("internal energy", 1000-kinetic)
		row("hourglass energy ", float64(i)/10)
		row("sliding interface energy", -float64(i)/20)
		row("total energy", 1000)
		row("total energy / initial energy", 1+float64(i)/6000)
		stats.WriteString("\n\n")
		row("added mass", float64(i)*1e-5)
		row("percentage increase", float64(i)/40)
	}
	for name, content := range map[string]string{
		"stdout": out.String(), "glstat": stats.String(), "main.k": "*KEYWORD\n*END\n",
		"d3dump01": strings.Repeat("d", 3000), "d3dump02": strings.Repeat("d", 3100), "d3plot": strings.Repeat("p", 5000), "d3plot01": strings.Repeat("p", 5000),
		".lsdyna-history.json": `[{"run":"a/b/c","job_id":"crash","node":"n1","started_at":"2026-11-22T09:00:00Z","began":"starting from the deck","ended_at":"2026-11-22T09:30:00Z","outcome":"killed","reason":"killed by signal 9","exit_code":137,"signal":9,"restart_file":""}]`,
	} {
		must.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644))
	}
	return dir
}
