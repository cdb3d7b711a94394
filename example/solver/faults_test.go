// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

const (
	banners     = "t e r m i n a t i o n"
	errorWords  = "E r r o r   t e r m i n a t i o n"
	normalWords = "N o r m a l    t e r m i n a t i o n"
)

func TestFaultsThatEndInAnExitCode(t *testing.T) {
	for name, c := range map[string]struct {
		fault string
		code  int
		says  []string
		not   []string
	}{
		"error termination":             {"error=20", exitError, []string{" *** Error 40500 (SOL+500)\n", " Problem cycle      =        20\n", errorWords}, []string{normalWords}},
		"error termination with exit 0": {"error=20,exit_code=0", 0, []string{errorWords}, nil},
		"normal termination, exit 9":    {"exit_code=9", 9, []string{normalWords}, nil},
		"negative volume on request":    {"negative_volume=7", exitError, []string{"*** Error 40509 (SOL+509)", "cycle 7\n", errorWords}, nil},
		"licence refused":               {"license_refused", exitError, []string{"[license/error]"}, []string{banners, "Executing with"}},
		"element limit":                 {"element_limit=100", exitError, []string{" *** Error 70043 (OTH+43)\n     Number of elements( 648) exceeds limit 100\n"}, []string{banners}},
		"element limit not reached":     {"element_limit=1000", 0, []string{normalWords}, nil},
		"vanishing without a banner":    {"vanish=10", 0, []string{"flush i/o buffers"}, []string{banners}},
		"short of the end time":         {"short=0.0005", 0, []string{normalWords}, []string{"*** termination", "Problem cycle      =        31"}},
		"licence wait that ends":        {"license_wait=0.05", 0, []string{normalWords, "Executing with"}, nil},
		"a fault that is none":          {"nonsense", exitError, nil, []string{normalWords}},
	} {
		t.Run(name, func(t *testing.T) {
			j := solve(t, c.code, folder(t, "solid_bar_impact"), "i=main.k", "ncycle=30", "STANDIN_FAULT="+c.fault)
			demand(t, j.stdout(), c.says...)
			refuse(t, j.stdout(), c.not...)
		})
	}
}

func TestFaultsThatEndInASignal(t *testing.T) {
	for fault, want := range map[string]syscall.Signal{"abort=10": syscall.SIGABRT, "segv=10": syscall.SIGSEGV, "kill=10": syscall.SIGKILL} {
		t.Run(fault, func(t *testing.T) {
			j := start(t, folder(t, "solid_bar_impact"), "i=main.k", "STANDIN_FAULT="+fault)
			j.wait()
			if status := j.cmd.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != want {
				t.Errorf("ended with %v, not %v", j.cmd.ProcessState, want)
			}
			refuse(t, j.stdout(), banners)
		})
	}
}

func TestFaultInTheDeck(t *testing.T) {
	dir := folder(t, "solid_bar_impact")
	deck := read(t, filepath.Join(dir, "main.k"))
	write(t, filepath.Join(dir, "main.k"), strings.Replace(deck, "*TITLE", "$ standin: error=5 exit_code=3\n*TITLE", 1))
	demand(t, solve(t, 3, dir, "i=main.k").stdout(), errorWords, "cycle      =         5\n")
}

func TestSIGTERMIsNotGraceful(t *testing.T) {
	j := start(t, folder(t, "solid_bar_impact"), "i=main.k", "STANDIN_PACE=5ms")
	j.says("write d3plot file")
	terminate(t, j)
	if code := j.wait(); code != exitSIGTERM {
		t.Errorf("exit code %d", code)
	}
	demand(t, j.err.String(), "forrtl: error (78): process killed (SIGTERM)\nImage ")
	refuse(t, j.stdout(), banners, "write d3dump")
}

func terminate(t *testing.T, j *job) {
	t.Helper()
	if err := j.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}

func TestIgnoringSIGTERM(t *testing.T) {
	j := start(t, folder(t, "solid_bar_impact"), "i=main.k", "STANDIN_FAULT=ignore_sigterm", "STANDIN_PACE=1ms", "STANDIN_POLL=1", "ncycle=150")
	j.says("write d3plot file")
	terminate(t, j)
	if code := j.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	demand(t, j.stdout(), normalWords)
}

func TestIgnoringD3kil(t *testing.T) {
	dir := folder(t, "solid_bar_impact")
	write(t, filepath.Join(dir, killFile), "stop")
	solve(t, 0, dir, "i=main.k", "ncycle=30", "STANDIN_FAULT=ignore_d3kil")
	read(t, filepath.Join(dir, killFile))
}

// A hang and an endless wait for a licence look alike: alive, and silent.
func TestHangs(t *testing.T) {
	for fault, last := range map[string]string{"hang=1": "smallest", "license_wait=forever": " > i=main.k"} {
		t.Run(fault, func(t *testing.T) {
			j := start(t, folder(t, "solid_bar_impact"), "i=main.k", "STANDIN_FAULT="+fault)
			until(t, last, func() bool {
				text, _ := os.ReadFile(filepath.Join(j.dir, "messag"))
				return strings.Contains(j.stdout()+string(text), last)
			})
			refuse(t, j.stdout(), banners, "flush i/o")
			terminate(t, j)
			if code := j.wait(); code != exitSIGTERM {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

func TestRunningOutOfMemory(t *testing.T) {
	if raceDetector() {
		t.Skip("the race detector's own memory is beyond the limit")
	}
	dir := folder(t, "solid_bar_impact")
	j := launch(t, dir, []string{"prlimit", "--as=3000000000", executable(t)}, "i=main.k", "STANDIN_FAULT=oom=5")
	if code := j.wait(); code == 0 {
		t.Error("it ended as if nothing had happened")
	}
	demand(t, j.err.String(), "out of memory")
	refuse(t, j.stdout(), banners)
}

func raceDetector() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

func TestFloodOfWarnings(t *testing.T) {
	j := solve(t, 0, folder(t, "solid_bar_impact"), "i=main.k", "ncycle=3", "STANDIN_FAULT=warnings=100000")
	if n := strings.Count(j.file("messag"), " *** Warning 40282 (SOL+282)\n"); n != 100000 {
		t.Errorf("%d warnings in messag", n)
	}
	if n := strings.Count(j.stdout(), " *** Warning 40282 (SOL+282)\n"); n != stdoutLimit {
		t.Errorf("%d warnings on stdout, not %d", n, stdoutLimit)
	}
}

func TestTruncatedDump(t *testing.T) {
	dir := folder(t, "solid_bar_impact")
	if j := start(t, dir, "i=main.k", "ncycle=3", "STANDIN_FAULT=truncate_dump"); j.wait() != -1 {
		t.Fatal("it was not killed")
	}
	if _, err := decodeDump([]byte(read(t, filepath.Join(dir, "d3dump01")))); err == nil {
		t.Error("the dump is whole")
	}
}

func TestChildThatStays(t *testing.T) {
	dir := folder(t, "solid_bar_impact")
	j := solve(t, 0, dir, "i=main.k", "ncycle=3", "STANDIN_FAULT=child=60")
	child := 0
	until(t, "the child", func() bool {
		entries, _ := os.ReadDir("/proc")
		for _, e := range entries {
			pid, err := strconv.Atoi(e.Name())
			if err != nil || pid == j.cmd.Process.Pid {
				continue
			}
			if cwd, err := os.Readlink(filepath.Join("/proc", e.Name(), "cwd")); err == nil && cwd == dir {
				child = pid
			}
		}
		return child != 0
	})
	if sid, err := syscall.Getpgid(child); err != nil || sid != child {
		t.Errorf("child %d is in group %d: %v", child, sid, err)
	}
	if err := syscall.Kill(child, syscall.SIGKILL); err != nil {
		t.Error(err)
	}
}

func TestHelpNamesEveryFault(t *testing.T) {
	for name := range faultNames {
		if !strings.Contains(help, name) {
			t.Errorf("-help does not name %s", name)
		}
	}
}

func FuzzParseFaults(f *testing.F) {
	f.Add("hang=5,ignore_sigterm")
	f.Fuzz(func(t *testing.T, text string) {
		if faults, err := parseFaults([]string{text}); err == nil {
			for name := range faults {
				if _, known := faultNames[name]; !known {
					t.Errorf("took %q", name)
				}
			}
		}
	})
}
