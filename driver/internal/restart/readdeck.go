// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package restart

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/nomad/nomad/structs"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/deck"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/watch"
)

// ReadDeck has the run folder's watcher read the deck, by which Choose tells whether
// dumps are of this run. tell is told how far it is, now and then. note is for an event,
// "" where it did not take long. A deck that cannot be read now may be read later, and
// nothing is begun anew on that doubt: the error is recoverable, unless the deck is too
// large.
func (p Patience) ReadDeck(ctx context.Context, w *watch.Watcher, input string, tell func(string)) (read deck.Deck, note string, err error) {
	began := time.Now()
	progress := &deck.Progress{}
	report := func() { tell(fmt.Sprintf("Reading the deck: %s so far", gigabytes(progress.Bytes()))) }
	cause, err := p.Read(ctx, progress.Steps, report, func(ctx context.Context) (err error) {
		read, err = hashDeck(ctx, w, input, progress)
		return err
	})
	elapsed, size := time.Since(began), gigabytes(progress.Bytes())
	took := elapsed.Round(time.Second)
	var tooLarge *deck.SizeError
	switch {
	case err == nil:
		if elapsed >= p.Report {
			note = fmt.Sprintf("Read the deck (%s) in %s", size, took)
		}
		return read, note, nil
	case errors.As(err, &tooLarge):
		return deck.Deck{}, "", fmt.Errorf("input %s: %w; restart = \"never\" starts without reading it", input, err)
	case cause != nil:
		err = fmt.Errorf("%s of the deck were read in %s: %w", size, took, cause)
	}
	return deck.Deck{}, "", structs.NewRecoverableError(fmt.Errorf("input %s: %w", input, err), true)
}

func hashDeck(ctx context.Context, w *watch.Watcher, input string, progress *deck.Progress) (deck.Deck, error) {
	var read deck.Deck
	err := w.Do(ctx, func(f *rundir.Folder) (err error) {
		read, err = f.HashDeck(ctx, input, progress)
		return err
	})
	if err != nil {
		return deck.Deck{}, err // what is still being read may yet write to read
	}
	return read, nil
}

func gigabytes(bytes int64) string { return fmt.Sprintf("%.1f GB", float64(bytes)/1e9) }
