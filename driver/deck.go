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
)

// identifyDeck reads the deck, which tells whether the dumps of an earlier start are of
// this run. It comes before cores are taken: nobody should wait for them meanwhile. A
// deck that cannot be read now may be read later, and nothing is begun anew on that
// doubt.
func (s *start) identifyDeck() error {
	if s.job.Restart.Mode != settings.RestartAuto || s.isFollower() {
		return nil // nobody asks for dumps that fit
	}
	if s.run.deck.Hash != "" {
		return nil // it was read to tell whether Nomad repeats a run
	}
	began := time.Now()
	progress := &rundir.DeckProgress{}
	report := func() {
		s.place.events.Attach() // Nomad's task runner is there: it has called StartTask
		s.place.events.Emit(fmt.Sprintf("Reading the deck: %s so far", gigabytes(progress.Bytes())))
	}
	var deck rundir.Deck
	cause, err := s.d.patience.decks.Read(s.d.ctx, progress.Steps, report, func(ctx context.Context) (err error) {
		deck, err = s.hashDeck(ctx, progress)
		return err
	})
	elapsed, read := time.Since(began), gigabytes(progress.Bytes())
	took := elapsed.Round(time.Second)
	var size *rundir.DeckSizeError
	switch {
	case err == nil:
		if s.run.deck = deck; elapsed >= s.d.patience.decks.Report {
			s.events = append(s.events, fmt.Sprintf("Read the deck (%s) in %s", read, took))
		}
		return nil
	case errors.As(err, &size):
		return fmt.Errorf("input %s: %w; restart = \"never\" starts without reading it", s.job.Input, err)
	case cause != nil:
		err = fmt.Errorf("%s of the deck were read in %s: %w", read, took, cause)
	}
	return structs.NewRecoverableError(fmt.Errorf("input %s: %w", s.job.Input, err), true)
}

func (s *start) hashDeck(ctx context.Context, progress *rundir.DeckProgress) (rundir.Deck, error) {
	var deck rundir.Deck
	err := s.run.watcher.Do(ctx, func(f *rundir.Folder) (err error) {
		deck, err = f.HashDeck(ctx, s.job.Input, progress)
		return err
	})
	if err != nil {
		return rundir.Deck{}, err // what is still being read may yet write to deck
	}
	return deck, nil
}

func gigabytes(bytes int64) string { return fmt.Sprintf("%.1f GB", float64(bytes)/1e9) }
