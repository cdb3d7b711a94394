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

// deckPatience bounds how long a start reads its deck, which may be tens of gigabytes
// on a slow file server.
type deckPatience struct {
	silent time.Duration // while the file system answers nothing
	whole  time.Duration
	report time.Duration // between two events
}

var defaultDeckPatience = deckPatience{silent: readTimeout, whole: 30 * time.Minute, report: time.Minute}

var (
	errDeckSilent = errors.New("its file system does not answer any more: is its file server down?")
	errDeckSlow   = errors.New("that takes too long; restart = \"never\" starts without reading it")
)

// identifyDeck reads the deck, which tells whether the dumps of an earlier start are of
// this run. It comes before cores are taken: nobody should wait for them meanwhile. A
// deck that cannot be read now may be read later, and nothing is begun anew on that
// doubt.
func (s *start) identifyDeck() error {
	if s.job.Restart.Mode != settings.RestartAuto {
		return nil // nobody asks for dumps that fit
	}
	began := time.Now()
	ctx, giveUp := context.WithCancelCause(s.d.ctx)
	progress := &rundir.DeckProgress{}
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		s.watchDeck(ctx, progress, giveUp)
	}()
	deck, err := s.hashDeck(ctx, progress)
	cause := context.Cause(ctx) // before giveUp has a say
	giveUp(nil)
	<-watched
	elapsed, read := time.Since(began), gigabytes(progress.Bytes())
	took := elapsed.Round(time.Second)
	var size *rundir.DeckSizeError
	switch {
	case err == nil:
		if s.run.deck = deck; elapsed >= s.d.decks.report {
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

func (s *start) hashDeck(ctx context.Context, progress *rundir.DeckProgress) (string, error) {
	var deck string
	err := s.run.watcher.Do(ctx, func(f *rundir.Folder) (err error) {
		deck, err = f.HashDeck(ctx, s.job.Input, progress)
		return err
	})
	if err != nil {
		return "", err // what is still being read may yet write to deck
	}
	return deck, nil
}

// watchDeck tells of a deck that is being read, and gives up when that takes too long.
func (s *start) watchDeck(ctx context.Context, progress *rundir.DeckProgress, giveUp context.CancelCauseFunc) {
	report, silent, whole := time.NewTicker(s.d.decks.report), time.NewTicker(s.d.decks.silent), time.NewTimer(s.d.decks.whole)
	defer report.Stop()
	defer silent.Stop()
	defer whole.Stop()
	steps := int64(-1)
	for {
		select {
		case <-ctx.Done():
			return
		case <-whole.C:
			giveUp(errDeckSlow)
		case <-silent.C:
			now := progress.Steps()
			if now == steps {
				giveUp(errDeckSilent)
			}
			steps = now
		case <-report.C:
			s.place.events.Attach() // Nomad's task runner is there: it has called StartTask
			s.place.events.Emit(fmt.Sprintf("Reading the deck: %s so far", gigabytes(progress.Bytes())))
		}
	}
}

func gigabytes(bytes int64) string { return fmt.Sprintf("%.1f GB", float64(bytes)/1e9) }
