// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package shim

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// A call on a file of a dead file server returns when the server is back, or never.
// The supervisor ends all the same, and what the other stream has to say is copied.
func TestFinish_WaitsForNoFileSystem(t *testing.T) {
	for name, reader := range map[string]bool{"with a reader": true, "without a reader": false} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			spec := &Spec{StdoutFIFO: filepath.Join(dir, "alloc", "logs", "out"), StderrFIFO: filepath.Join(dir, "alloc", "logs", "err")}
			if err := os.MkdirAll(filepath.Dir(spec.StdoutFIFO), 0o700); err != nil {
				t.Fatal(err)
			}
			var fifos []*os.File
			for _, path := range []string{spec.StdoutFIFO, spec.StderrFIFO} {
				if err := syscall.Mkfifo(path, 0o600); err != nil {
					t.Fatal(err)
				}
				if !reader {
					continue
				}
				f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				fifos = append(fifos, f)
			}
			l := newLogCopier(spec)
			l.take([]int{file(t, dir, "stdout", "never read\n"), file(t, dir, "stderr", "last words\n")})
			back := make(chan struct{})
			l.streams[0].pread = func(int, []byte, int64) (int, error) {
				<-back
				return 0, syscall.EIO
			}
			l.start()
			defer l.inotify.Close()
			finished := make(chan time.Duration)
			go func() {
				began := time.Now()
				l.finish()
				finished <- time.Since(began)
			}()
			select {
			case took := <-finished:
				if took < stalledDrain || took > LongestDrain {
					t.Errorf("it took %s", took)
				}
			case <-time.After(30 * time.Second):
				t.Error("it waits for the file system")
			}
			if reader {
				got := make([]byte, 100)
				if n, err := fifos[1].Read(got); err != nil || string(got[:n]) != "last words\n" {
					t.Errorf("stderr %q, %v", got[:n], err)
				}
			}
			close(back)
			l.end.Wait()
		})
	}
}

// file makes an output file and opens it as the stage does.
func file(t *testing.T, dir, name, content string) int {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	return fd
}
