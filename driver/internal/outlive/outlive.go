// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package outlive prepares a plugin process for the death of the Nomad client that
// started it: where its log goes then, and when it ends itself.
package outlive

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"
)

const (
	// maxLogBytes bounds plugin.log; a larger one is begun anew.
	maxLogBytes = 16 << 20
	// stderrFD is the real standard error: go-plugin replaces os.Stderr.
	stderrFD = 2
	// parentInterval is how often an idle plugin looks whether its client lives.
	parentInterval = 5 * time.Second
	// orphanPatience is how long a plugin whose parent is init, so that the
	// client died at once or is init itself, waits for its configuration.
	orphanPatience = 30 * time.Second
)

// BrokenPipes returns a channel that tells of the first SIGPIPE. From here on the signal
// does not end the process any more.
func BrokenPipes() <-chan os.Signal {
	broken := make(chan os.Signal, 1)
	// Notify, not Ignore: an ignored signal would be inherited by what the
	// plugin executes.
	signal.Notify(broken, syscall.SIGPIPE)
	return broken
}

// FollowLog waits until the pipe to the client is broken, and lets plugin.log in a folder
// take the log from then on. dir returns that folder, and "" as long as it is not the
// plugin's: others may have prepared it.
func FollowLog(ctx context.Context, broken <-chan os.Signal, dir func() string, logger hclog.Logger) {
	select {
	case <-ctx.Done():
		return
	case <-broken:
	}
	for dir() == "" {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
	}
	if err := redirectStderr(filepath.Join(dir(), "plugin.log")); err == nil {
		logger.Info("the client that read this plugin's log is gone; logging here until the plugin is restarted")
	}
	// The channel stays registered, so that the signal goes on being ignored.
}

// EndIfForgotten ends a plugin that has no work and whose client, its parent process at
// first, is dead. serving reports whether it has work.
func EndIfForgotten(ctx context.Context, client int, serving func() bool) {
	ticker := time.NewTicker(parentInterval)
	defer ticker.Stop()
	began := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if serving() {
			return
		}
		if os.Getppid() != client || client == 1 && time.Since(began) > orphanPatience {
			os.Exit(1)
		}
	}
}

// redirectStderr lets a file take what is written to stderr.
func redirectStderr(path string) error {
	flags := os.O_WRONLY | os.O_CREATE | os.O_APPEND | unix.O_NOFOLLOW
	if info, err := os.Lstat(path); err == nil && info.Size() > maxLogBytes {
		flags |= os.O_TRUNC
	}
	f, err := os.OpenFile(path, flags, 0o600)
	if err != nil {
		return fmt.Errorf("log to state_dir: %w", err)
	}
	defer f.Close()
	if err := unix.Dup3(int(f.Fd()), stderrFD, 0); err != nil {
		return fmt.Errorf("log to %s: %w", path, err)
	}
	return nil
}
