// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package around

import (
	"strings"
	"testing"
	"unicode"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output/around/aroundtest"
)

// read has a reader take the lines of a text.
func read(text string) Said {
	var r Reader
	var s Said
	for line := range strings.Lines(text) {
		line = strings.Trim(line, " \n")
		switch {
		case line == "":
			r.Blank()
		case !r.Take(&s, []byte(line)):
			r.Words(&s, []byte(line))
		}
	}
	return s
}

func TestReader_takesTheRankThatFailedFirst(t *testing.T) {
	const node = "on node lsdyna-node-1-crash02 "
	for name, c := range map[string]struct{ text, crash, exit string }{
		"Open MPI":                       {aroundtest.OpenMPI, "mpirun: rank 1 with PID 0 " + node + "exited on signal 9 (Killed).", ""},
		"Open MPI, as Debian calls it":   {strings.Replace(aroundtest.OpenMPI, "mpirun", "mpirun.openmpi", 1), "mpirun: rank 1 with PID 0 " + node + "exited on signal 9 (Killed).", ""},
		"Open MPI 5, on two lines":       {aroundtest.OpenMPI5, "mpirun: rank 1 with PID 4711 " + node + "exited on signal 9 (Killed).", ""},
		"Open MPI, the others' SIGTERM":  {aroundtest.SIGTERM + aroundtest.OpenMPI, "mpirun: rank 1 with PID 0 " + node + "exited on signal 9 (Killed).", ""},
		"Hydra, a signal":                {aroundtest.Hydra("9", "Killed (signal 9)"), "mpiexec: a rank (process 4711) " + node + "exited on signal: Killed (signal 9)", "mpiexec: a rank (process 4711) " + node + "ended with exit code 9"},
		"Hydra, an exit code":            {aroundtest.Hydra("3", ""), "", "mpiexec: a rank (process 4711) " + node + "ended with exit code 3"},
		"Hydra, two ranks":               {aroundtest.Hydra("3", "") + strings.ReplaceAll(aroundtest.Hydra("4", ""), "4711", "4712"), "", "mpiexec: a rank (process 4711) " + node + "ended with exit code 3"},
		"Hydra, the others' SIGTERM":     {aroundtest.SIGTERM + aroundtest.Hydra("3", ""), "", "mpiexec: a rank (process 4711) " + node + "ended with exit code 3"},
		"Hydra, SIGTERM itself":          {aroundtest.SIGTERM + aroundtest.Hydra("78", ""), "forrtl: error (78): process killed (SIGTERM)", "mpiexec: a rank (process 4711) " + node + "ended with exit code 78"},
		"Hydra, a crash that has a name": {"forrtl: severe (174): SIGSEGV\n" + aroundtest.Hydra("174", ""), "forrtl: severe (174): SIGSEGV", "mpiexec: a rank (process 4711) " + node + "ended with exit code 174"},
		"Intel MPI":                      {aroundtest.IntelMPI, "mpiexec: rank 1 (process 4711) " + node + "exited on signal: 9 (Killed)", ""},
		"Intel MPI, two ranks":           {aroundtest.IntelMPI + strings.ReplaceAll(aroundtest.IntelMPI, "RANK 1", "RANK 0"), "mpiexec: rank 1 (process 4711) " + node + "exited on signal: 9 (Killed)", ""},
		"Intel MPI, the first without":   {"=   RANK 0 PID 1 RUNNING AT a\n" + aroundtest.IntelMPI, "mpiexec: rank 1 (process 4711) " + node + "exited on signal: 9 (Killed)", ""},
		"a code without a process":       {"=   EXIT CODE: 9\n=   KILLED BY SIGNAL: 9 (Killed)\n", "", ""},
		"a code that is none":            {"=   PID 1 RUNNING AT a\n=   EXIT CODE: none\n", "", ""},
		"a signal without a notice":      {"signal 9 (Killed).\n", "", ""},
		"a process without a place":      {"=   PID 4711\n=   EXIT CODE: 9\n", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := read(c.text)
			must.Eq(t, []string{c.crash, c.exit}, []string{s.Crash, s.RankExit})
		})
	}
}

func TestReader_boundsWhatLaunchersSay(t *testing.T) {
	evil := "\x1b[2J\x00\x7f\u0085\u2028\xff" + strings.Repeat("x", 900) + strings.Repeat("y", 5000)
	for name, text := range map[string]string{
		"Open MPI": "mpirun noticed that process rank " + evil,
		"two":      "prterun noticed that process rank 1 exited on\nsignal " + evil,
		"Hydra":    "=   PID " + evil[:300] + " RUNNING AT " + evil[:300] + "\n=   EXIT CODE: 9" + evil + "\nYOUR APPLICATION TERMINATED WITH THE EXIT STRING: " + evil,
		"Intel":    "=   RANK " + evil[:300] + " PID " + evil[:100] + " RUNNING AT " + evil[:300] + "\n=   KILLED BY SIGNAL: " + evil,
	} {
		t.Run(name, func(t *testing.T) {
			s := read(text + "\n")
			must.NotEq(t, "", s.Crash+s.RankExit)
			for _, text := range []string{s.Crash, s.RankExit} {
				must.LessEq(t, maxText, len(text))
				must.False(t, strings.ContainsFunc(text, unicode.IsControl), must.Sprintf("%q", text))
				must.StrNotContains(t, text, "\u2028")
			}
		})
	}
}

// A clone goes on where the reader was, and changes nothing of it.
func TestReader_cloneIsAnother(t *testing.T) {
	var r Reader
	var s, other Said
	r.Words(&Said{}, []byte("prterun noticed that process rank 0 with PID 1 on node "+strings.Repeat("n", 200)+" exited on")) // there is room behind the next one
	r.Words(&s, []byte("prterun noticed that process rank 1 with PID 4711 on node crash02 exited on"))
	clone := r.Clone()
	other = s
	must.True(t, clone.Take(&other, []byte("signal 11 (Segmentation fault).")))
	must.Eq(t, 11, other.CrashSignal)
	must.True(t, r.Take(&s, []byte("signal 9 (Killed).")))
	must.Eq(t, Said{Crash: "mpirun: rank 1 with PID 4711 on node crash02 exited on signal 9 (Killed).", CrashSignal: 9}, s)
	must.StrContains(t, string(clone.noticed), "Segmentation")
}

func TestMerge_keepsWhatSaysMost(t *testing.T) {
	killed, crashed := Said{Crash: "a kill", CrashSignal: 9}, Said{Crash: "a crash", CrashSignal: 11, Limit: "time"}
	must.Eq(t, crashed, Merge(killed, crashed))
	must.Eq(t, crashed, Merge(crashed, killed))
	must.Eq(t, killed, Merge(killed, Said{Crash: "another kill", CrashSignal: 9}))
	must.Eq(t, killed, Merge(killed, Said{}))
	must.Eq(t, killed, Merge(Said{}, killed))
}

// What a launcher says is not cut before the signal, by which the verdict is told.
func TestReader_keepsTheSignalBehindALongHost(t *testing.T) {
	host := "lsdyna-node-1023-" + strings.Repeat("n", 63)
	for name, text := range map[string]string{
		"Open MPI": strings.Replace(aroundtest.OpenMPI, "lsdyna-node-1-crash02", host, 1),
		"Hydra":    strings.Replace(aroundtest.Hydra("9", "Killed (signal 9)"), "lsdyna-node-1-crash02", host, 1),
		"Intel":    strings.Replace(aroundtest.IntelMPI, "lsdyna-node-1-crash02", host, 1),
	} {
		s := read(text)
		must.Eq(t, 9, s.CrashSignal, must.Sprint(name))
		must.StrContains(t, s.Crash, "Killed", must.Sprint(name))
	}
}
