// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package exposition

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/shoenig/test/must"
)

// cores is a registry with one metric.
func cores(v float64) prometheus.Gatherer {
	registry := prometheus.NewRegistry()
	gauge := prometheus.NewGauge(prometheus.GaugeOpts{Name: "cores", Help: "Cores."})
	gauge.Set(v)
	registry.MustRegister(gauge)
	return registry
}

const text = "# HELP cores Cores.\n# TYPE cores gauge\ncores 7\n"

func TestWriteFile_replacesTheFileWhole(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	for name, prepare := range map[string]func(t *testing.T, file string){
		"where there is none": func(*testing.T, string) {},
		"what is there": func(t *testing.T, file string) {
			must.NoError(t, os.WriteFile(file, []byte("old"), 0o600))
		},
		"what a killed process left": func(t *testing.T, file string) {
			must.NoError(t, os.WriteFile(temporary(file), []byte("half and much longer than what is written now, so that its rest would be seen"), 0o600))
		},
		"but not what a link leads to": func(t *testing.T, file string) {
			other := filepath.Join(t.TempDir(), "other")
			must.NoError(t, os.WriteFile(other, []byte("another's"), 0o600))
			must.NoError(t, os.Symlink(other, temporary(file)))
			t.Cleanup(func() {
				data, err := os.ReadFile(other)
				must.NoError(t, err)
				must.Eq(t, "another's", string(data))
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "lsdyna.prom")
			prepare(t, file)
			must.NoError(t, WriteFile(file, cores(7)))
			data, err := os.ReadFile(file)
			must.NoError(t, err)
			must.Eq(t, text, string(data))
			info, err := os.Stat(file)
			must.NoError(t, err)
			must.Eq(t, 0o644, info.Mode())
			entries, err := os.ReadDir(dir)
			must.NoError(t, err)
			must.Len(t, 1, entries)
		})
	}
}

func TestWriteFile_leavesNothingWhereItCannotReplace(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "lsdyna.prom")
	must.NoError(t, os.MkdirAll(filepath.Join(file, "x"), 0o755)) // no file replaces that
	must.Error(t, WriteFile(file, cores(7)))
	entries, err := os.ReadDir(dir)
	must.NoError(t, err)
	must.Len(t, 1, entries)
}

func TestRepeat_goesOnAfterErrorsAndTellsEachOnce(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	full, gone := errors.New("disk full"), errors.New("gone")
	results := []error{full, full, nil, full, gone, nil}
	ticks := make(chan time.Time, len(results))
	for range results {
		ticks <- time.Time{}
	}
	var told []string
	rounds := 0
	Repeat(ctx, ticks, func(context.Context) error {
		err := results[rounds]
		if rounds++; rounds == len(results) {
			cancel()
		}
		return err
	}, func(s string) { told = append(told, s) })
	must.Eq(t, len(results), rounds)
	must.Eq(t, []string{"disk full", "disk full", "gone"}, told)
}

func TestRepeat_doesNotTellOfItsOwnEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	Repeat(ctx, nil, func(ctx context.Context) error {
		cancel()
		return ctx.Err()
	}, func(s string) { t.Error(s) })
}
