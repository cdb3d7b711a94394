// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/node"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/pages"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/screen"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/statedir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
)

func runReport(ctx context.Context, args []string, s streams) error {
	fs := newFlags("report")
	agent := statedir.Flag(fs)
	sysfs := fs.String("sysfs", "", "")
	out := fs.String("o", "", "")
	names, err := parse(fs, args)
	switch {
	case err != nil:
		return err
	case len(names) != 1:
		return usagef("name one task: ALLOC or ALLOC/TASK, as status shows them")
	}
	if err := checkPageOutput(*out, s); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	data, err := pages.OfTask(ctx, agent.Dir(), *sysfs, names[0], pageMaker())
	if err != nil {
		if unknown, ok := errors.AsType[*node.NotFoundError](err); ok {
			return errors.New(unknown.Text)
		}
		return err
	}
	return writePage(data, *out, s)
}

// pageMaker is who a page says made it.
func pageMaker() string { return program + " " + findVersion().Version }

// checkPageOutput refuses to write a page to a terminal.
func checkPageOutput(file string, s streams) error {
	if file == "" && screen.Of(s.out).Terminal {
		return usagef("the page goes to standard output, which is a terminal: give -o FILE")
	}
	return nil
}

// writePage writes a page to a file, whole or not at all, or to standard output. What is no
// regular file, such as /dev/stdout, is written to, and not replaced.
func writePage(data []byte, file string, s streams) error {
	if cmp.Or(file, "-") == "-" {
		return write(s.out, string(data))
	}
	if isSpecial(file) {
		return writeTo(file, data)
	}
	folder, err := rundir.Open(filepath.Dir(file), ".")
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.WriteFile(filepath.Base(file), data)
}

// isSpecial reports whether there is something of a name that no file may be put in the place
// of: a device, a pipe, a folder. Who runs as root could do so.
func isSpecial(file string) bool {
	info, err := os.Stat(file)
	return err == nil && !info.Mode().IsRegular()
}

// writeTo writes to what there is.
func writeTo(file string, data []byte) error {
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}
