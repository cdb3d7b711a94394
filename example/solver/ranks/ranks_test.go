// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package ranks

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// long is more than ranks that meet ever need in a test.
const long = time.Minute

// together lets n ranks meet, as goroutines of this process. What they get is
// closed at the end.
func together(t *testing.T, n int, connect func(p Place) (*Ranks, error)) []*Ranks {
	t.Helper()
	all, errs := make([]*Ranks, n), make([]error, n)
	var wait sync.WaitGroup
	for i := range n {
		wait.Go(func() {
			all[i], errs[i] = connect(Place{Rank: i, Size: n, LocalSize: 1})
		})
	}
	wait.Wait()
	t.Cleanup(func() {
		for _, r := range all {
			if r != nil {
				r.Close()
			}
		}
	})
	for i, err := range errs {
		if err != nil {
			t.Fatalf("rank %d: %v", i, err)
		}
	}
	return all
}

// each does something on every rank at once.
func each(all []*Ranks, do func(r *Ranks)) {
	var wait sync.WaitGroup
	for _, r := range all {
		wait.Go(func() {
			do(r)
		})
	}
	wait.Wait()
}

func overTCP(m meeting) func(p Place) (*Ranks, error) {
	return func(p Place) (*Ranks, error) { return connectHosts(p, m, long) }
}

func TestRanksTalkToEachOther(t *testing.T) {
	for _, n := range []int{2, 5} {
		dir := t.TempDir()
		for name, connect := range map[string]func(p Place) (*Ranks, error){
			"on one host":                  func(p Place) (*Ranks, error) { return connectLocal(p, filepath.Base(dir)+t.Name(), long) },
			"on several hosts":             overTCP(newMeeting(dir, "launch", n)),
			"of a launch without a name":   overTCP(newMeeting(dir, "", n)),
			"of another in the same place": overTCP(newMeeting(dir, "launch", n)),
		} {
			t.Run(fmt.Sprintf("%d %s", n, name), func(t *testing.T) {
				each(together(t, n, connect), func(r *Ranks) { converse(t, r) })
				if left, _ := os.ReadDir(dir); len(left) > 0 {
					t.Errorf("left in the run folder: %v", left)
				}
			})
		}
	}
}

// converse sends something else to every rank, large and small.
func converse(t *testing.T, r *Ranks) {
	t.Helper()
	for _, size := range []int{1, 1 << 17} {
		text := func(from, to int) string { return strings.Repeat(fmt.Sprintf("%d to %d.", from, to), size) }
		err := r.Trade(func(n int) []byte { return []byte(text(r.Rank, n)) }, func(int) bool { return true }, func(n int, b []byte) error {
			if string(b) != text(n, r.Rank) {
				return fmt.Errorf("%.20q", b)
			}
			return nil
		})
		if err != nil {
			t.Errorf("rank %d: %v", r.Rank, err)
		}
	}
	if said, err := r.Broadcast(fmt.Sprint("of ", r.Rank)); err != nil || said != "of 0" {
		t.Errorf("rank %d: heard %q, %v", r.Rank, said, err)
	}
	if all, err := r.Agree(r.Rank != r.Size-1); err != nil || all {
		t.Errorf("rank %d: all agree: %v, %v", r.Rank, all, err)
	}
}

func TestLostRankIsAnErrorOnAllOthers(t *testing.T) {
	all := together(t, 3, overTCP(newMeeting(t.TempDir(), "launch", 3)))
	all[1].Close()
	each([]*Ranks{all[0], all[2]}, func(r *Ranks) {
		if _, err := r.Agree(true); err == nil || !strings.Contains(err.Error(), "lost rank 1") {
			t.Errorf("rank %d: %v", r.Rank, err)
		}
	})
}

func TestLeaveWaitsForRankZero(t *testing.T) {
	all := together(t, 2, overTCP(newMeeting(t.TempDir(), "launch", 2)))
	done := make(chan struct{})
	go func() {
		all[1].Leave()
		close(done)
	}()
	select {
	case <-done:
		t.Error("left, but rank 0 is still there")
	default:
	}
	all[0].Close()
	<-done
}

func TestRanksThatDoNotMeetSayWhy(t *testing.T) {
	const short = 300 * time.Millisecond
	dir := t.TempDir()
	stale := newMeeting(dir, "stale", 2)
	if err := stale.write(newToken(), []string{"127.0.0.1:1"}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		place Place
		m     meeting
		want  []string
	}{
		"rank 0 waits in vain":      {Place{Rank: 0, Size: 3}, newMeeting(dir, "alone", 3), []string{"rank 0 of 3", "300ms", "ranks [1 2] have not called"}},
		"rank 0 has not started":    {Place{Rank: 1, Size: 2}, newMeeting(dir, "none", 2), []string{"rank 1 of 2", "no such file", "run folder that all hosts must share"}},
		"rank 0 is not to be found": {Place{Rank: 1, Size: 2}, stale, []string{stale.path, "127.0.0.1:1"}},
		"the folder is away":        {Place{Rank: 0, Size: 2}, newMeeting(filepath.Join(dir, "away"), "a", 2), []string{"write the addresses", "no such file"}},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := connectHosts(c.place, c.m, short)
			if err == nil {
				r.Close()
				t.Fatal("they met")
			}
			for _, part := range c.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%v\ndoes not say %q", err, part)
				}
			}
		})
	}
	if all, _ := os.ReadDir(dir); len(all) != 1 {
		t.Errorf("the folder holds %v", all)
	}
}
