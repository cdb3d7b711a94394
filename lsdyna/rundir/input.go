// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package rundir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/deck"
)

// CheckInput reports why name cannot be the deck. The error is for the user.
func (f *Folder) CheckInput(name string) error {
	if err := lsdyna.ValidatePath("input", name); err != nil {
		return err
	}
	file, err := f.openInput(name)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return missingInput{fmt.Errorf("%s is not in the run folder %s; check work_dir, or have an artifact or template block put it there", name, f.path)}
	case err != nil:
		return fmt.Errorf("%s cannot be used: %w", name, err)
	}
	defer file.Close()
	if n, err := file.Read(make([]byte, 1)); n == 0 && errors.Is(err, io.EOF) {
		return fmt.Errorf("%s is empty", name)
	}
	return nil
}

// missingInput is an os.ErrNotExist in words for the user.
type missingInput struct{ error }

func (missingInput) Is(target error) bool { return target == os.ErrNotExist }

// openInput opens a deck, which may be in a folder below the run folder. Links are
// followed as long as they stay inside.
func (f *Folder) openInput(name string) (*os.File, error) {
	root, err := os.OpenRoot(fmt.Sprintf("/proc/self/fd/%d", f.dir.Fd()))
	if err != nil {
		return nil, err
	}
	defer root.Close()
	info, err := root.Stat(name)
	if err == nil && !info.Mode().IsRegular() {
		err = ErrNotRegular
	}
	if err != nil {
		return nil, err
	}
	file, err := root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		_ = file.Close()
		return nil, errors.Join(err, ErrNotRegular)
	}
	return file, nil
}

// HashDeck reads a deck and what it includes; see deck.Read.
func (f *Folder) HashDeck(ctx context.Context, input string, progress *deck.Progress) (deck.Deck, error) {
	return deck.Read(ctx, deck.Files{Open: f.openInput, Unavailable: Unavailable}, input, progress)
}
