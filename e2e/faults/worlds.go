// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Most of a campaign's time is spent in waiting for Nomad. So a long one is cut into
// worlds: campaigns of their own, each a process with agents, folders and cgroup view
// of its own, side by side on the same CPUs.

// worldSeed is the seed of one of the worlds of a seed. With it alone a world's faults
// are injected again in the same order.
func worldSeed(seed uint64, world int) uint64 { return seed*100 + uint64(world) }

// shares are how many faults each world injects.
func shares(faults, worlds int) []int {
	each := make([]int, worlds)
	for i := range each {
		each[i] = (faults + i) / worlds
	}
	return each
}

// runWorlds runs the campaign in several worlds. The first that loses something ends
// the others, with the checks of an end.
func runWorlds(ctx context.Context, o options, worlds int) error {
	began := time.Now()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lines := make(chan string)
	reports, errs := make([]report, worlds), make([]error, worlds)
	enough, stop := context.WithCancel(context.Background())
	defer stop()
	var all sync.WaitGroup
	for i, n := range shares(o.steps, worlds) {
		all.Go(func() {
			defer func() {
				if errs[i] != nil {
					stop()
				}
			}()
			seed := worldSeed(o.seed, i)
			cmd := exec.CommandContext(ctx, "/proc/self/exe", worldArgs(os.Args[1:], n, seed)...)
			cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // ^C is passed on once
			errs[i] = runWorld(enough, o.enough, cmd, func(line string) {
				reports[i].read(line)
				lines <- fmt.Sprintf("[%d] %s", i+1, line)
			})
			if errs[i] != nil {
				errs[i] = fmt.Errorf("world %d, seed %d: %w", i+1, seed, errs[i])
			}
		})
	}
	go func() { all.Wait(); close(lines) }()
	for line := range lines {
		fmt.Println(line)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	var sum report
	for _, r := range reports {
		sum.faults, sum.jobs = sum.faults+r.faults, sum.jobs+r.jobs
	}
	fmt.Println(sum.line(time.Since(began), fmt.Sprintf(" in %d worlds", worlds)))
	return nil
}

// worldArgs are the arguments of one world's process.
func worldArgs(args []string, faults int, seed uint64) []string {
	return append(slices.Clone(args), "-worlds=1", "-n="+strconv.Itoa(faults), "-seed="+strconv.FormatUint(seed, 10))
}

// runWorld runs one world's process and hands on each line that it prints. The process
// is interrupted when another world lost something, or no further fault is wanted.
func runWorld(lost context.Context, enough <-chan struct{}, cmd *exec.Cmd, line func(string)) error {
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() {
		err := cmd.Wait()
		_ = w.Close()
		ended <- err
	}()
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-done:
			return
		case <-lost.Done():
		case <-enough:
		}
		_ = cmd.Process.Signal(os.Interrupt)
	}()
	for s := bufio.NewReader(r); ; {
		text, err := s.ReadString('\n')
		if text = strings.TrimRight(text, "\n"); text != "" {
			line(text)
		}
		if err != nil {
			return <-ended
		}
	}
}

// report is what the last line of a campaign says that lost nothing.
type report struct{ faults, jobs int }

const reportFormat = "%d faults%s in %s, %.0f a minute, %d jobs: nothing lost"

func (r report) line(took time.Duration, where string) string {
	return fmt.Sprintf(reportFormat, r.faults, where, took.Round(time.Second), float64(r.faults)/took.Minutes(), r.jobs)
}

// read reads the line of one world, if it is that.
func (r *report) read(line string) {
	if !strings.HasSuffix(line, ": nothing lost") {
		return
	}
	var took string
	var rate float64
	_, _ = fmt.Sscanf(line, "%d faults in %s %f a minute, %d jobs", &r.faults, &took, &rate, &r.jobs)
}
