// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package execution

import "sync"

// tail keeps the last bytes that were written to it. It may be read while somebody
// still writes.
type tail struct {
	mu    sync.Mutex // guards what follows
	ring  []byte
	total int // bytes written so far
}

func newTail(limit int) *tail { return &tail{ring: make([]byte, limit)} }

// Write never fails, and writes all of p.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	skipped := max(len(p)-len(t.ring), 0)
	t.total += skipped
	for rest := p[skipped:]; len(rest) > 0; {
		n := copy(t.ring[t.total%len(t.ring):], rest)
		t.total, rest = t.total+n, rest[n:]
	}
	return len(p), nil
}

// Bytes returns a copy of what is kept, the oldest byte first.
func (t *tail) Bytes() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.total <= len(t.ring) {
		return append([]byte(nil), t.ring[:t.total]...)
	}
	at := t.total % len(t.ring)
	return append(append([]byte(nil), t.ring[at:]...), t.ring[:at]...)
}
