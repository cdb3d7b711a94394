// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/nomad/api"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/browser"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
)

// picture is a screenshot of a page.
type picture struct {
	file  string
	view  browser.View
	whole bool // also what one would scroll to
}

var pictures = []picture{
	{"report.png", browser.View{Width: 1120, Height: 1500}, false},
	{"report-dark.png", browser.View{Width: 400, Height: 1500, Phone: true, Dark: true}, false},
}

// When the pictures are taken, and when the dump is asked for, in parts of the run.
const (
	pictureAt = .62
	dumpAt    = .3
)

// takePictures runs a job and takes pictures of the page about it while it runs.
func (d *demo) takePictures(ctx context.Context, dir string) error {
	s, err := d.start(ctx, "smp", "shell_box_crush", 1, "4ms")
	if err != nil {
		return err
	}
	if err := s.awaitPart(ctx, dumpAt); err != nil {
		return err
	}
	alloc, _, err := s.server.API.Allocations().Info(s.alloc, nil)
	if err != nil {
		return err
	}
	if err := s.server.API.Allocations().Signal(alloc, nil, task, "SIGUSR1"); err != nil {
		return fmt.Errorf("ask for a dump: %w", err)
	}
	if err := s.awaitPart(ctx, pictureAt); err != nil {
		return err
	}
	page := s.client.Path("report.html")
	cmd := exec.CommandContext(ctx, s.client.PluginPath(), "report", s.alloc, "-state-dir", s.client.StateDir(), "-o", page)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("report: %w: %s", err, out)
	}
	if err := shoot(ctx, page, dir); err != nil {
		return err
	}
	if err := d.client.StopJob(ctx, s.job, false); err != nil {
		return err
	}
	if err := s.shootUI(ctx, filepath.Join(dir, "nomad-ui.png")); err != nil {
		return err
	}
	return d.client.StopJob(ctx, s.job, true)
}

// awaitPart waits until a part of the run is done.
func (s *show) awaitPart(ctx context.Context, part float64) error {
	const runTimeout = 10 * time.Minute
	ctx, cancel := context.WithTimeout(ctx, runTimeout)
	defer cancel()
	return cluster.Poll(ctx, fmt.Sprintf("%.0f %% of the run", 100*part), func() (bool, string, error) {
		out, err := exec.CommandContext(ctx, s.client.PluginPath(), "status", "-json", "-state-dir", s.client.StateDir()).Output()
		if err != nil {
			return false, "", err
		}
		var status struct {
			Tasks []struct {
				AllocID  string   `json:"alloc_id"`
				Progress *float64 `json:"progress_ratio"`
				ETA      *float64 `json:"eta_seconds"`
			}
		}
		if err := json.Unmarshal(out, &status); err != nil {
			return false, "", err
		}
		for _, t := range status.Tasks {
			if t.AllocID == s.alloc && t.Progress != nil && t.ETA != nil {
				return *t.Progress >= part, fmt.Sprintf("%.0f %%", 100**t.Progress), nil
			}
		}
		alloc, _, err := s.server.API.Allocations().Info(s.alloc, nil)
		if err == nil && alloc.ClientStatus != api.AllocClientStatusRunning {
			err = errors.New("the run has ended already")
		}
		return false, "not known yet", err
	})
}

// shootUI takes a picture of the task's page in Nomad's UI, once it tells how the stopped run
// ended.
func (s *show) shootUI(ctx context.Context, file string) (err error) {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	b, err := browser.StartOnLoopback(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	url := fmt.Sprintf("http://%s/ui/allocations/%s/%s", s.server.HTTPAddr(), s.alloc, task)
	if err := b.OpenURL(ctx, url, browser.View{Width: 1280, Height: 1240}); err != nil {
		return err
	}
	err = cluster.Poll(ctx, "the task's page in Nomad's UI", func() (bool, string, error) {
		var text string
		if err := b.Eval(ctx, "document.body.innerText", &text); err != nil {
			return false, err.Error(), nil // the page is on its way
		}
		return strings.Contains(text, "Stopped by a sense switch"), text, nil
	})
	if err != nil {
		return err
	}
	data, err := b.Screenshot(ctx, false)
	if err != nil {
		return err
	}
	fmt.Printf("%s: %d kB\n", file, len(data)/1000)
	return os.WriteFile(file, data, 0o644)
}

// shoot takes the pictures of a page.
func shoot(ctx context.Context, page, dir string) (err error) {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	b, err := browser.Start(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	for _, p := range pictures {
		if err := b.Open(ctx, page, p.view); err != nil {
			return err
		}
		data, err := b.Screenshot(ctx, p.whole)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, p.file), data, 0o644); err != nil {
			return err
		}
		fmt.Printf("%s: %d kB\n", filepath.Join(dir, p.file), len(data)/1000)
	}
	return nil
}
