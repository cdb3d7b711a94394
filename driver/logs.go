// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package driver

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

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

// OutliveClient prepares a plugin process for the death of its Nomad client.
//
// The plugin's log is a pipe to that client, and the next client reattaches to
// the plugin but not to the pipe: the first line would end the plugin by SIGPIPE,
// in the middle of whatever it does. Nomad does not repeat a StopTask that fails
// in that way on the next plugin, so the solver would run on. From the first
// SIGPIPE on, the log goes to plugin.log in state_dir, as soon as that is the plugin's.
//
// A client that is killed before it has told the plugin its configuration never
// comes back to it; such a plugin ends itself.
func (d *Driver) OutliveClient() {
	broken := make(chan os.Signal, 1)
	// Notify, not Ignore: an ignored signal would be inherited by what the
	// plugin executes.
	signal.Notify(broken, syscall.SIGPIPE)
	client := os.Getppid()
	d.routines.Go(func() { d.followLog(broken) })
	d.routines.Go(func() { d.endIfForgotten(client) })
}

func (d *Driver) followLog(broken <-chan os.Signal) {
	select {
	case <-d.ctx.Done():
		return
	case <-broken:
	}
	// Others may have prepared a state_dir that was not checked and taken yet.
	for !d.isReady() {
		select {
		case <-d.ctx.Done():
			return
		case <-time.After(time.Second):
		}
	}
	dir := d.settings().StateDir
	if err := redirectStderr(filepath.Join(dir, "plugin.log")); err == nil {
		d.logger.Info("the client that read this plugin's log is gone; logging here until the plugin is restarted")
	}
	// The channel stays registered, so that the signal goes on being ignored.
}

// endIfForgotten ends a plugin that has no work and whose client is dead.
func (d *Driver) endIfForgotten(client int) {
	ticker := time.NewTicker(parentInterval)
	defer ticker.Stop()
	began := time.Now()
	for {
		select {
		case <-d.ctx.Done():
			return
		case <-ticker.C:
		}
		if d.said().serving {
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
