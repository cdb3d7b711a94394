// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package live

import (
	"sync"
	"time"
)

// scan remembers for a moment which solvers there are: whoever inspects hundreds of folders
// looks at all processes once.
type scan struct {
	mu    sync.Mutex // guards what follows, and is held while processes are looked at
	at    time.Time
	found map[string][]writer // by folder
}

var writers scan

// scanAge is how long a look at all processes counts. What it found is looked at again
// before it is believed.
const scanAge = 2 * time.Second

// in returns the solvers that write into a folder.
func (s *scan) in(dir string) []writer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.found == nil || time.Since(s.at) > scanAge {
		s.at, s.found = time.Now(), map[string][]writer{}
		for _, w := range find() {
			s.found[w.dir] = append(s.found[w.dir], w)
		}
	}
	var live []writer
	for _, w := range s.found[dir] {
		if w.holds() {
			live = append(live, w)
		}
	}
	return live
}
