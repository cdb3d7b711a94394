// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A play is a text file with what a solver, and those around it, print and how it ends,
// one act a line. It computes nothing. With it a test has any end of a run that people
// have reported. Files are named relative to the play's folder; blank lines and lines that
// begin with # say nothing.
//
//	out FILE          print a file on stdout
//	err FILE          print a file on stderr
//	say TEXT          print a line on stdout, with the blanks that begin it
//	file NAME FILE    copy a file into the run folder
//	write NAME TEXT   write a line into a file of the run folder
//	rank N            what follows is rank N's alone; "rank any" ends that
//	await NAME        wait until the run folder has a file of that name
//	exit CODE         end with an exit code
//	signal NAME       end by a signal, such as SIGSEGV
type play struct {
	folder         string
	rank           int
	off            bool // this part is another rank's
	stdout, stderr io.Writer
}

// playFile names the play, where the process is to act one and not to compute.
func playFile() string { return os.Getenv("STANDIN_PLAY") }

// act acts a play to its end and gives the exit code.
func act(path string, rank int, stdout, stderr io.Writer) int {
	file, err := os.Open(path)
	if err != nil {
		fmt.Fprintln(stderr, "stand-in solver:", err)
		return exitError
	}
	defer file.Close()
	p := play{folder: filepath.Dir(path), rank: rank, stdout: stdout, stderr: stderr}
	lines := bufio.NewScanner(file)
	for n := 1; lines.Scan(); n++ {
		code, ended, err := p.line(lines.Text())
		if err != nil {
			fmt.Fprintf(stderr, "stand-in solver: %s:%d: %v\n", path, n, err)
			return exitError
		}
		if ended {
			return code
		}
	}
	return exitNormal
}

// line acts one line.
func (p *play) line(line string) (code int, ended bool, err error) {
	if text, ok := strings.CutPrefix(line, "say"); ok {
		if !p.off {
			_, err = fmt.Fprintln(p.stdout, strings.TrimPrefix(text, " "))
		}
		return 0, false, err
	}
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' {
		return 0, false, nil
	}
	verb, rest, _ := strings.Cut(line, " ")
	rest = strings.TrimSpace(rest)
	if verb == "rank" {
		p.off = rest != "any" && rest != strconv.Itoa(p.rank)
		return 0, false, nil
	}
	if p.off {
		return 0, false, nil
	}
	first, second, _ := strings.Cut(rest, " ")
	second = strings.TrimSpace(second)
	switch verb {
	case "out":
		return 0, false, p.print(p.stdout, rest)
	case "err":
		return 0, false, p.print(p.stderr, rest)
	case "file":
		return 0, false, p.copy(first, second)
	case "write":
		return 0, false, os.WriteFile(first, []byte(second+"\n"), 0o644)
	case "await":
		for _, err := os.Stat(rest); err != nil; _, err = os.Stat(rest) {
			time.Sleep(10 * time.Millisecond)
		}
		return 0, false, nil
	case "exit":
		code, err = strconv.Atoi(rest)
		return code, true, err
	case "signal":
		if sig := unix.SignalNum(rest); sig != 0 {
			dieBy(sig)
		}
	}
	return 0, false, fmt.Errorf("no act of a play: %q", line)
}

func (p *play) print(to io.Writer, name string) error {
	data, err := os.ReadFile(filepath.Join(p.folder, name))
	if err == nil {
		_, err = to.Write(data)
	}
	return err
}

func (p *play) copy(to, from string) error {
	data, err := os.ReadFile(filepath.Join(p.folder, from))
	if err == nil {
		err = os.WriteFile(to, data, 0o644)
	}
	return err
}
