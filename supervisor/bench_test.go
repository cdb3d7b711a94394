// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package supervisor

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// BenchmarkStart measures from Start to the executed solver, and the private
// memory of a supervisor whose solver runs. It does so for this test's binary; the
// plugin's is larger, and measured by `make bench`.
func BenchmarkStart(b *testing.B) {
	var private, took float64
	for range b.N {
		private, took = measure(b, private, took)
	}
	b.ReportMetric(private/float64(b.N)/(1<<20), "MiB-private/op")
	b.ReportMetric(took/float64(b.N)/1e6, "ms-to-exec/op")
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
