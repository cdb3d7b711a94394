// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package rundir

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
)

// answerTimeout is how long Inspect waits for one answer of a file system.
const answerTimeout = 8 * time.Second

// Inspect reads a run folder or one output file to its end, or until ctx ends. A run
// without an end is Unknown, or Running with an ETA if the caller knows that it is
// running. The path is trusted, the folder's content is not.
//
// Reading may take as long as there is something to read. The error wraps
// ErrNoAnswer when the file system has not answered for eight seconds.
func Inspect(ctx context.Context, path string, running bool) (output.Report, error) {
	i := inspection{path: path, running: running, open: openPath, timeout: answerTimeout}
	report, err := i.run(ctx)
	if err != nil {
		return output.Report{}, fmt.Errorf("inspect: %w", err)
	}
	return report, nil
}

// inspection is one call of Inspect.
type inspection struct {
	path    string
	running bool
	open    func(path string) (folder *Folder, name string, err error)
	timeout time.Duration

	folder atomic.Pointer[Folder] // nil until it is open
}

// openPath opens a folder, or the folder of a file.
func openPath(path string) (folder *Folder, name string, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, "", err
	}
	dir := path
	if !info.IsDir() {
		dir, name = filepath.Split(path)
	}
	folder, err = Open(cmp.Or(dir, "."), ".")
	return folder, name, err
}

// run reads in a watcher's goroutine, which is left to itself when the file system
// does not answer.
func (i *inspection) run(ctx context.Context) (report output.Report, err error) {
	name := ""
	watcher := Watch(WatchOptions{Open: func() (folder *Folder, err error) {
		folder, name, err = i.open(i.path)
		i.folder.Store(folder)
		return folder, err
	}})
	defer watcher.Close()
	answering, giveUp := context.WithCancel(ctx)
	defer giveUp()
	go i.watchAnswers(answering, giveUp)
	read := make(chan output.Report, 1)
	err = watcher.Do(answering, func(folder *Folder) error {
		r, err := i.read(answering, folder, name)
		read <- r
		return err
	})
	switch {
	case ctx.Err() != nil:
		return report, ctx.Err()
	case answering.Err() != nil:
		return report, fmt.Errorf("%w for %s now: is its file server down?", ErrNoAnswer, i.timeout)
	case err != nil:
		return report, err
	}
	return <-read, nil
}

// watchAnswers gives up when the file system has not answered for the timeout.
func (i *inspection) watchAnswers(ctx context.Context, giveUp func()) {
	ticker := time.NewTicker(i.timeout / 20)
	defer ticker.Stop()
	last := lastAnswer{since: time.Now()}
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			if last.age(i.answers(), now) >= i.timeout {
				giveUp()
				return
			}
		}
	}
}

// answers is what the file system has answered; 0 until the folder is open.
func (i *inspection) answers() int64 {
	if folder := i.folder.Load(); folder != nil {
		return 1 + folder.answers.Load()
	}
	return 0
}

// lastAnswer is when a file system has answered last.
type lastAnswer struct {
	answers int64
	since   time.Time
}

// age returns how long ago the last answer was, given how many there are now.
func (l *lastAnswer) age(answers int64, now time.Time) time.Duration {
	if answers != l.answers {
		l.answers, l.since = answers, now
	}
	return now.Sub(l.since)
}

// read reads the folder, or the one file that is named.
func (i *inspection) read(ctx context.Context, folder *Folder, name string) (output.Report, error) {
	snapshot, err := inspectFolder(ctx, folder, name)
	if err != nil {
		return output.Report{}, err
	}
	report := output.NewReport(snapshot, output.Exit{Running: i.running})
	report.Path = i.path
	if d := snapshot.LastDump(); d != nil && !folder.hasDump(d.Name) {
		report.RestartFile = nil
	}
	return report, nil
}

// inspectFolder reads the outputs of a folder, or the one file named. It returns an
// error only if nothing could be read.
func inspectFolder(ctx context.Context, folder *Folder, name string) (output.Snapshot, error) {
	opts := FollowOptions{anyJob: true}
	if name != "" {
		return inspectFile(ctx, folder, name)
	}
	stdout, err := folder.findStdout()
	if err != nil {
		return output.Snapshot{}, err
	}
	opts.Stdout = stdout
	follower := NewFollower(folder, opts)
	snapshot, err := follower.Drain(ctx)
	if len(snapshot.Sources) == 0 {
		if err == nil {
			err = fmt.Errorf("%s holds no LS-DYNA output: no messag, mes0000, d3hsp or stdout", folder.path)
		}
		return snapshot, err
	}
	return snapshot, ctx.Err()
}

func inspectFile(ctx context.Context, folder *Folder, name string) (output.Snapshot, error) {
	facts, err := folder.readWhole(ctx, name)
	if err != nil {
		return output.Snapshot{}, err
	}
	kind := lsdyna.KindStdout
	if out, ok := lsdyna.ParseOutputName(name); ok && out.Kind != lsdyna.KindDump {
		kind = out.Kind
	}
	return output.Combine([]output.Source{{Name: name, Kind: kind, Facts: facts}}), nil
}

// Bounds of the search for a stdout file of unknown name.
const (
	maxSniffed = 64
	sniffBytes = 64 << 10
)

// findStdout searches for the file that holds the solver's stdout. Whoever started
// the run chose its name. So files with usual names are opened, and the newest that
// begins like LS-DYNA's stdout is taken.
func (f *Folder) findStdout() (string, error) {
	names, err := f.list(mayBeStdout)
	if err != nil {
		return "", err
	}
	best, newest := "", time.Time{}
	for _, name := range names[:min(len(names), maxSniffed)] {
		if modified, ok := f.sniff(name); ok && (best == "" || modified.After(newest)) {
			best, newest = name, modified
		}
	}
	return cmp.Or(best, lsdyna.DefaultStdout), nil
}

func mayBeStdout(name string) bool {
	if _, known := lsdyna.ParseOutputName(name); known {
		return false
	}
	lower := strings.ToLower(name)
	for _, word := range []string{"stdout", ".log", ".out", "screen", "output"} {
		if strings.Contains(lower, word) {
			return true
		}
	}
	return slices.Contains([]string{"out", "log", "nohup"}, lower)
}

// sniff reports whether a file begins like LS-DYNA's stdout, and when it was last
// written to.
func (f *Folder) sniff(name string) (time.Time, bool) {
	file, err := f.Open(name)
	if err != nil {
		return time.Time{}, false
	}
	defer file.Close()
	state, err := stateOf(file)
	if err != nil {
		return time.Time{}, false
	}
	buf := make([]byte, sniffBytes)
	n, _ := io.ReadFull(file, buf)
	for _, mark := range []string{"|  Version :", "t e r m i n a t i o n", "Executing with "} {
		if bytes.Contains(buf[:n], []byte(mark)) {
			return state.ModTime, true
		}
	}
	return time.Time{}, false
}
