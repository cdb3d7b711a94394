// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package supervisor

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/durable"
)

// A run whose launch was called off is over for other nodes, too: its plugin may have
// died, and nobody else tells them.
func TestFolderIsLeftWithALaunchThatWasCalledOff(t *testing.T) {
	k := shell(t, "echo ran")
	lock, err := lockRecord(k.dir)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(k.run, "folder.lock")
	folder, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	refuse := errors.New("the plugin thinks better of it")
	_, err = Start(t.Context(), Launch{Dir: k.dir, Lock: lock, Folder: folder, Spec: &k.spec, Env: k.env, Ready: func(int) error { return refuse }})
	if !errors.Is(err, refuse) {
		t.Fatalf("got %v", err)
	}
	if got, want := k.read(k.run, "folder.lock"), durable.EndMark(k.spec.TaskID); got != want {
		t.Errorf("the lock file says %q, not %q", got, want)
	}
}
