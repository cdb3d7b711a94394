// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package report gathers what a page about a run shows (package page) from its run folder,
// and leaves the page there. The commands and the driver do so by the same code.
//
// Everything here blocks as long as the folder's file system does, and has the rights of
// whoever calls: it is for the goroutine of a watch.Watcher.
package report

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/internal/sanitize"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/report/page"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
)

// Name is the file in the run folder that holds the page, and OtherName where the user
// has a file of that name which is not ours.
const (
	Name      = "report.html"
	OtherName = "lsdyna-report.html"
)

// Gather adds to a page what the outputs and the run folder tell: p has what the caller
// knows already, and that stays. file is the one output that was read, "" for the whole
// folder. What cannot be read is left out: the page is of what there is.
func Gather(f *rundir.Folder, file string, s output.Snapshot, r output.Report, p *page.Page) {
	p.Report, p.Snapshot = r, s
	p.Place.Path = cmp.Or(p.Place.Path, filepath.Join(f.Path(), file))
	p.Title = cmp.Or(p.Title, p.Place.Job, filepath.Base(absolute(p.Place.Path)))
	p.Place.Host = cmp.Or(p.Place.Host, s.Host)
	p.CommandLine = cmp.Or(p.CommandLine, s.CommandLine)
	if p.Place.User == "" {
		p.Place.User = userOf(f)
	}
	if file != "" {
		return
	}
	if there, err := list(f); err == nil {
		p.Folder = there
	}
}

// absolute is a path that has a last part: "." has none.
func absolute(path string) string {
	if whole, err := filepath.Abs(path); err == nil {
		return whole
	}
	return path
}

// userOf names who owns the folder.
func userOf(f *rundir.Folder) string {
	uid, ok := ownerOf(f)
	if !ok {
		return ""
	}
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return "uid " + id
}

// Save puts a page into the folder under Name, whole or not at all, in the place of one
// that was made before. A file of that name that is not ours stays as it is: then the page
// gets OtherName. It returns the name.
func Save(f *rundir.Folder, data []byte) (string, error) {
	for _, name := range []string{Name, OtherName} {
		ours, err := isOurs(f, name)
		if err != nil {
			return "", err
		}
		if ours {
			return name, f.WriteFile(name, data)
		}
	}
	return "", fmt.Errorf("the run folder %s has files %s and %s that are not the driver's: rename one of them", f.Path(), Name, OtherName)
}

// isOurs reports whether a name is free, or that of a page.
func isOurs(f *rundir.Folder, name string) (bool, error) {
	file, err := f.Open(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return true, nil
	case errors.Is(err, rundir.ErrNotRegular), errors.Is(err, fs.ErrPermission):
		return false, nil
	case err != nil:
		return false, err
	}
	defer file.Close()
	begin := make([]byte, len(page.Marker))
	n, err := io.ReadFull(file, begin)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return false, err
	}
	return string(begin[:n]) == page.Marker, nil
}

// CommandLine is a command as people type it, without secrets.
func CommandLine(command string, args []string) string {
	words := []string{quoted(command)}
	for _, arg := range args {
		words = append(words, quoted(arg))
	}
	return sanitize.Arguments(strings.Join(words, " "))
}

// quoted is a word of a shell.
func quoted(word string) string {
	if word != "" && !strings.ContainsAny(word, " \t\n'\"\\$`*?[]{}()<>|&;#~!") {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// ExitText says how a process ended.
func ExitText(code, signal int, oomKilled bool) string {
	text := fmt.Sprintf("exit code %d", code)
	if signal != 0 {
		text = strings.TrimSuffix(fmt.Sprintf("signal %d, %s", signal, unix.SignalName(unix.Signal(signal))), ", ")
	}
	if oomKilled {
		text += "; the kernel killed a process for want of memory"
	}
	return text
}
