// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package exposition writes metrics in Prometheus' text format, to a stream or to a file
// that a node exporter's textfile collector reads, once or again and again.
package exposition

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
)

// Write writes metrics in Prometheus' text format.
func Write(w io.Writer, metrics prometheus.Gatherer) error {
	families, err := metrics.Gather()
	if err != nil {
		return fmt.Errorf("gather metrics: %w", err)
	}
	encoder := expfmt.NewEncoder(w, expfmt.NewFormat(expfmt.TypeTextPlain))
	for _, family := range families {
		if err := encoder.Encode(family); err != nil {
			return fmt.Errorf("write metrics: %w", err)
		}
	}
	return nil
}

// fileMode lets the node exporter, which is another user, read the file.
const fileMode = 0o644

// temporary is the name under which the next text of a file is written. The collector
// reads names that end in .prom, so it does not see it. It is the same each time: one that
// a killed process left is replaced by the next.
func temporary(file string) string {
	return filepath.Join(filepath.Dir(file), "."+filepath.Base(file)+".tmp")
}

// WriteFile replaces a file whole: a reader sees the former text or the new one. Nothing
// is forced to the disk, since after a power cut nobody wants old metrics.
func WriteFile(file string, metrics prometheus.Gatherer) (err error) {
	var text bytes.Buffer
	if err := Write(&text, metrics); err != nil {
		return err
	}
	name := temporary(file)
	// What is there may be a link that somebody else made: it is removed, not opened.
	if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text.Bytes())
	err = errors.Join(err, f.Chmod(fileMode), f.Close()) // whatever the umask is
	if err == nil {
		err = os.Rename(name, file) //nolint:forbidigo // nothing is to survive a crash here: no sync every 30 seconds
	}
	if err != nil {
		err = errors.Join(err, os.Remove(name))
	}
	return err
}

// Repeat does something at once and then each time that a tick comes, until ctx ends; a
// round that has begun is finished. An error of a round is told, and the next round comes
// all the same. As long as the same error comes again, it is not told again.
func Repeat(ctx context.Context, ticks <-chan time.Time, round func(context.Context) error, tell func(string)) {
	last := ""
	for ctx.Err() == nil {
		text := ""
		if err := round(ctx); err != nil && ctx.Err() == nil {
			text = err.Error()
		}
		if text != "" && text != last {
			tell(text)
		}
		last = text
		select {
		case <-ctx.Done():
		case <-ticks:
		}
	}
}
