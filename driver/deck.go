// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/nomad/nomad/structs"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/settings"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/deck"
)

// identifyDeck reads the deck, which tells whether the dumps of an earlier start are of
// this run. It comes before cores are taken: nobody should wait for them meanwhile. A
// deck that cannot be read now may be read later, and nothing is begun anew on that
// doubt.
func (s *start) identifyDeck() error {
	if s.job.Restart.Mode != settings.RestartAuto || s.isFollower() {
		return nil // nobody asks for dumps that fit
	}
	return s.readDeck()
}

func (s *start) readDeck() error {
	if s.run.deck.Hash != "" {
		return nil // it was read to tell whether Nomad repeats a run
	}
	began := time.Now()
	progress := &deck.Progress{}
	report := func() {
		s.place.events.Attach() // Nomad's task runner is there: it has called StartTask
		s.place.events.Emit(fmt.Sprintf("Reading the deck: %s so far", gigabytes(progress.Bytes())))
	}
	var read deck.Deck
	cause, err := s.d.patience.decks.Read(s.d.ctx, progress.Steps, report, func(ctx context.Context) (err error) {
		read, err = s.hashDeck(ctx, progress)
		return err
	})
	elapsed, size := time.Since(began), gigabytes(progress.Bytes())
	took := elapsed.Round(time.Second)
	var tooLarge *deck.SizeError
	switch {
	case err == nil:
		if s.run.deck = read; elapsed >= s.d.patience.decks.Report {
			s.events = append(s.events, fmt.Sprintf("Read the deck (%s) in %s", size, took))
		}
		return nil
	case errors.As(err, &tooLarge):
		return fmt.Errorf("input %s: %w; restart = \"never\" starts without reading it", s.job.Input, err)
	case cause != nil:
		err = fmt.Errorf("%s of the deck were read in %s: %w", size, took, cause)
	}
	return structs.NewRecoverableError(fmt.Errorf("input %s: %w", s.job.Input, err), true)
}

func (s *start) hashDeck(ctx context.Context, progress *deck.Progress) (deck.Deck, error) {
	var read deck.Deck
	err := s.run.watcher.Do(ctx, func(f *rundir.Folder) (err error) {
		read, err = f.HashDeck(ctx, s.job.Input, progress)
		return err
	})
	if err != nil {
		return deck.Deck{}, err // what is still being read may yet write to read
	}
	return read, nil
}

func gigabytes(bytes int64) string { return fmt.Sprintf("%.1f GB", float64(bytes)/1e9) }
