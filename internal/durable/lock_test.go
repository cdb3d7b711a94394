// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package durable

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

const takeIt = os.O_RDWR | os.O_CREATE

func held(t *testing.T, path string) bool {
	t.Helper()
	held, err := Held(path)
	if err != nil {
		t.Fatal(err)
	}
	return held
}

func TestLock_IsHeldOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), LockFile)
	if held(t, path) {
		t.Error("held without a file")
	}
	lock, err := Lock(path, takeIt)
	if err != nil {
		t.Fatal(err)
	}
	if !held(t, path) {
		t.Error("taken, but not held")
	}
	if _, err := Lock(path, takeIt); !errors.Is(err, ErrHeld) {
		t.Errorf("taken twice: %v", err)
	}
	if err := Unlock(lock); err != nil {
		t.Error(err)
	}
	if held(t, path) {
		t.Error("held after Unlock")
	}
	again, err := Lock(path, takeIt)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
	if held(t, path) {
		t.Error("held after Close")
	}
}

func TestLock_FollowsNoLink(t *testing.T) {
	dir := t.TempDir()
	victim, path := filepath.Join(dir, "victim"), filepath.Join(dir, LockFile)
	if err := os.Symlink(victim, path); err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(path, takeIt); err == nil || errors.Is(err, ErrHeld) {
		t.Errorf("got %v", err)
	}
	if _, err := Held(path); err == nil {
		t.Error("a link was probed")
	}
	if _, err := os.Stat(victim); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the link was followed: %v", err)
	}
}

// Whoever inherits the descriptor holds the lock until it ends.
func TestLock_PassesOnToAChild(t *testing.T) {
	path := filepath.Join(t.TempDir(), LockFile)
	lock, err := Lock(path, takeIt)
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command("cat")
	child.ExtraFiles = []*os.File{lock}
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lock.Close()
	if !held(t, path) {
		t.Error("the child does not hold it")
	}
	if _, err := Lock(path, takeIt); !errors.Is(err, ErrHeld) {
		t.Errorf("taken beside the child: %v", err)
	}
	stdin.Close()
	if err := child.Wait(); err != nil {
		t.Fatal(err)
	}
	if held(t, path) {
		t.Error("held after the child's end")
	}
}

// A probe takes the lock for an instant, which is nobody else's business.
func TestHeld_DisturbsNobody(t *testing.T) {
	path := filepath.Join(t.TempDir(), LockFile)
	first, err := Lock(path, takeIt)
	if err != nil {
		t.Fatal(err)
	}
	if err := Unlock(first); err != nil {
		t.Fatal(err)
	}
	var probes sync.WaitGroup
	for range 4 {
		probes.Go(func() {
			for range 200 {
				if is, err := Held(path); is || err != nil {
					t.Errorf("held %v, %v", is, err)
				}
			}
		})
	}
	probes.Wait()
	probes.Go(func() {
		for range 200 {
			if _, err := Held(path); err != nil {
				t.Error(err)
			}
		}
	})
	for range 50 {
		lock, err := Lock(path, takeIt)
		if err != nil {
			t.Error(err)
			break
		}
		if err := Unlock(lock); err != nil {
			t.Error(err)
		}
	}
	probes.Wait()
}
