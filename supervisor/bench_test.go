// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package supervisor

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor/program"
)

// BenchmarkStart measures from Start to the executed solver, the CPU time of supervisor
// and solver up to their ends, and the private memory of a supervisor whose solver runs.
// Supervisors are the small program, as in the plugin that is built by make; its pages
// count as private as long as there is one supervisor only.
func BenchmarkStart(b *testing.B) {
	path := filepath.Join(b.TempDir(), "shim")
	build := exec.CommandContext(b.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, "./program/shim")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	small, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	program.Embed(small)
	for name, stage := range map[string]string{"forked": "", "executed stage": "1"} {
		b.Run(name, func(b *testing.B) {
			b.Setenv(stageVariable, stage)
			var private, took float64
			began := childrenCPU(b)
			for range b.N {
				private, took = measure(b, private, took)
			}
			b.ReportMetric(private/float64(b.N)/(1<<20), "MiB-private/op")
			b.ReportMetric(took/float64(b.N)/1e6, "ms-to-exec/op")
			b.ReportMetric(float64(childrenCPU(b)-began)/float64(b.N)/1e6, "ms-cpu/op")
		})
	}
}

// childrenCPU is the CPU time of the processes that have ended below this one.
func childrenCPU(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_CHILDREN, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func measure(b *testing.B, private, took float64) (float64, float64) {
	b.Helper()
	dir, run := b.TempDir(), b.TempDir()
	lock, err := lockRecord(dir)
	if err != nil {
		b.Fatal(err)
	}
	spec := &Spec{
		TaskID: "bench", Command: "/bin/sleep", Args: []string{"1000"}, Dir: run,
		User: User{UID: os.Getuid(), GID: os.Getgid()}, Cgroups: Cgroups{Mode: CgroupNone}, StdoutName: "stdout", StderrName: "stderr",
	}
	begin := time.Now()
	p, err := Start(b.Context(), Launch{Dir: dir, Lock: lock, Spec: spec})
	if err != nil {
		b.Fatal(err)
	}
	took += float64(time.Since(begin))
	defer p.Close()
	r, err := p.Record()
	if err != nil {
		b.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond) //nolint:forbidigo // nothing tells: it gives memory back right after the launch
	private += float64(privateBytes(b, r.SupervisorPID))
	tree, err := p.Tree()
	if err != nil {
		b.Fatal(err)
	}
	if err := tree.Kill(b.Context()); err != nil {
		b.Fatal(err)
	}
	<-p.Done()
	return private, took
}

// privateBytes is what would be free without this process.
func privateBytes(tb testing.TB, pid int) int64 {
	tb.Helper()
	f, err := os.Open("/proc/" + strconv.Itoa(pid) + "/smaps_rollup")
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	var total int64
	scan := bufio.NewScanner(f)
	for scan.Scan() {
		fields := strings.Fields(scan.Text())
		if len(fields) == 3 && (fields[0] == "Private_Clean:" || fields[0] == "Private_Dirty:") {
			kib, _ := strconv.ParseInt(fields[1], 10, 64)
			total += kib << 10
		}
	}
	return total
}
