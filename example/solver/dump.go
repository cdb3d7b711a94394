// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/gob"
	"fmt"
	"os"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/example/solver/solution"
)

// Dump is a restart file: everything that a run needs to go on, model
// included. LS-DYNA's own dumps are undocumented; this one is a magic line, the
// content's length, its SHA-256, and the content.
type Dump struct {
	Parallel, Precision string
	Ranks               int
	Model               *solution.Model
	State               *solution.State
	Plan                plan
	Plot                plotPosition
	Glstat              int64
}

var dumpMagic = []byte("STAND-IN SOLVER RESTART FILE 1\n")

// dumpName is the file of a rank: SMP has one file, MPP one for each rank.
func dumpName(name string, id identity, rank int) string {
	if id.Parallel == "smp" {
		return name
	}
	return fmt.Sprintf("%s.%04d", name, rank)
}

// encode makes the file's content.
func (d *Dump) encode() ([]byte, error) {
	var content bytes.Buffer
	if err := gob.NewEncoder(&content).Encode(d); err != nil {
		return nil, fmt.Errorf("encode restart file: %w", err)
	}
	sum := sha256.Sum256(content.Bytes())
	b := append([]byte(nil), dumpMagic...)
	b = binary.LittleEndian.AppendUint64(b, uint64(content.Len()))
	b = append(b, sum[:]...)
	return append(b, content.Bytes()...), nil
}

// readDump reads a restart file and checks that it is whole and made for the
// same executable and number of processors.
func readDump(path string, id identity, ranks int) (*Dump, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read restart file: %w", err)
	}
	d, err := decodeDump(b)
	if err != nil {
		return nil, fmt.Errorf("read restart file %s: %w", path, err)
	}
	if d.Parallel != id.Parallel || d.Precision != id.Precision || d.Ranks != ranks {
		return nil, fmt.Errorf("restart file %s was written by %s %s with %d processors, not %s %s with %d",
			path, d.Parallel, d.Precision, d.Ranks, id.Parallel, id.Precision, ranks)
	}
	return d, nil
}

func decodeDump(b []byte) (*Dump, error) {
	rest, ok := bytes.CutPrefix(b, dumpMagic)
	if !ok || len(rest) < 8+sha256.Size {
		return nil, fmt.Errorf("not a restart file of the stand-in solver")
	}
	size, sum, content := binary.LittleEndian.Uint64(rest), rest[8:8+sha256.Size], rest[8+sha256.Size:]
	if size != uint64(len(content)) {
		return nil, fmt.Errorf("incomplete: %d bytes of %d", len(content), size)
	}
	if got := sha256.Sum256(content); !bytes.Equal(got[:], sum) {
		return nil, fmt.Errorf("damaged: its checksum does not fit")
	}
	d := &Dump{}
	if err := gob.NewDecoder(bytes.NewReader(content)).Decode(d); err != nil {
		return nil, fmt.Errorf("damaged: %w", err)
	}
	if d.Model == nil || d.State == nil {
		return nil, fmt.Errorf("damaged: it holds no model")
	}
	return d, nil
}

// checksum is the text of standin-results: a digest of the whole state.
func checksum(s *solution.State) (string, error) {
	h := sha256.New()
	for _, v := range []any{s.Time, s.Step, int64(s.Cycle), s.X, s.V, s.A, s.Stress, s.Strain, s.Internal, s.Hourglass, s.Stopped} {
		if err := binary.Write(h, binary.LittleEndian, v); err != nil {
			return "", fmt.Errorf("add up results: %w", err)
		}
	}
	return fmt.Sprintf("cycle %d time %.17g sha256 %x\n", s.Cycle, s.Time, h.Sum(nil)), nil
}
