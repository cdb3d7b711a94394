// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/screen"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/creds"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/ownership"
)

// releaseReport is what release-folder -json prints.
type releaseReport struct {
	Folder   string           `json:"folder"`
	Released bool             `json:"released"`
	Owner    *ownership.Owner `json:"owner"`
}

func runReleaseFolder(_ context.Context, args []string, s streams) error {
	flags := newFlags("release-folder")
	dryRun := flags.Bool("dry-run", false, "")
	asJSON := flags.Bool("json", false, "")
	dirs, err := parse(flags, args)
	if err != nil {
		return err
	}
	if len(dirs) != 1 || dirs[0] == "" {
		return usagef("it takes one argument, the run folder")
	}
	dir, err := filepath.Abs(dirs[0])
	if err != nil {
		return err
	}
	report := releaseReport{Folder: dir}
	err = asOwner(dir, func() error { return report.release(*dryRun) })
	if err != nil {
		return err
	}
	if *asJSON {
		return writeJSON(s.out, report)
	}
	return write(s.out, screen.Clean(report.text(*dryRun))+"\n")
}

// asOwner does something with the rights of a folder's owner: root may have none
// there (root_squash).
func asOwner(dir string, do func() error) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || os.Geteuid() != 0 {
		return do()
	}
	return creds.User{UID: int(st.Uid), GID: int(st.Gid)}.Do(do)
}

func (r *releaseReport) release(dryRun bool) error {
	folder, err := rundir.Open(r.Folder, ".")
	if err != nil {
		return err
	}
	defer folder.Close()
	var o ownership.Owner
	if dryRun {
		o, err = ownership.Of(folder).ReadOwner()
	} else {
		o, err = ownership.Of(folder).ReleaseOwner()
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if o.Run != "" {
		r.Owner = &o
	}
	if _, ok := errors.AsType[*ownership.OwnedError](err); ok {
		return fmt.Errorf("%s is not released: %w; stop that run first", r.Folder, err)
	}
	r.Released = err == nil && !dryRun
	return err
}

func (r *releaseReport) text(dryRun bool) string {
	switch o := r.Owner; {
	case o == nil && r.Released:
		return r.Folder + " is released; its record was damaged."
	case o == nil:
		return r.Folder + " has no owner."
	case o.Ended != nil && dryRun:
		return fmt.Sprintf("%s has no owner; its last run was %s on %s, which ended at %s.", r.Folder, o, o.Node, o.Ended.Local().Format(time.DateTime))
	case dryRun:
		return fmt.Sprintf("%s belongs to %s on %s since %s.", r.Folder, o, o.Node, o.Since.Local().Format(time.DateTime))
	default:
		return fmt.Sprintf("%s is released; it belonged to %s on %s since %s.", r.Folder, o, o.Node, o.Since.Local().Format(time.DateTime))
	}
}
