// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package page makes one HTML file of what is known of a run: how it ended or how far it
// is, charts, warnings, dumps, cores, events, files. It needs no server and no network,
// and its policy (Content-Security-Policy) lets a browser load nothing. It touches no
// file: package report gathers what it shows.
//
// Much of that is text of a task's user. It is made printable, is cut, and reaches the
// page through html/template's escapes alone.
package page

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"sync"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output"
)

// Marker is what every page begins with, so that it is known again: a file of this
// name that begins otherwise is not ours.
const Marker = `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="generator" content="nomad-driver-lsdyna report">
`

// Page is what a page shows. A part that is zero is left out.
type Page struct {
	Title       string
	Report      output.Report
	Snapshot    output.Snapshot
	Place       Place
	Machine     *Machine
	Events      []Event // the oldest first
	CommandLine string  // without secrets
	Folder      Folder
	Made        time.Time
	Program     string // name and version of what makes the page
}

// Place says whose run it is, and where.
type Place struct {
	Path                        string // of the run folder or output
	User, Host                  string
	Namespace, Job, Alloc, Task string
	Node                        string // of Nomad
	Solver                      string // name in the agent's configuration
	Started, Ended              time.Time
	Exit                        string // of the solver's process, in words
	Cores                       string // list of CPUs
}

// Event is something that the driver told.
type Event struct {
	At   time.Time
	Text string
}

// Folder is what lies in a run folder.
type Folder struct {
	Files []File // files of a family in one, the largest first
	Count int    // of all files
	Bytes int64  // of all files
	More  bool   // there were too many entries to look at
	Dumps map[string]int64
}

// File is a file, or a family of files such as d3plot, d3plot01, …
type File struct {
	Name    string
	Count   int
	Bytes   int64
	Written time.Time
}

// Machine is a machine's CPUs and which of them a run has.
type Machine struct {
	CPUs     []CPU
	Own      cpuset.Set // the run's; empty: it is bound to none
	Isolated bool       // the siblings of the run's CPUs are kept idle for it
}

// CPU is a logical CPU: its number, and the numbers of what it belongs to.
type CPU struct {
	Index, Package, Node, L3, Core int
}

//go:embed style.css
var style string

//go:embed page.html.tmpl
var pageTemplate string

// parsed is made when it is needed: every supervisor is this program, too, and needs its
// memory for nothing else.
var parsed = sync.OnceValue(func() *template.Template { return template.Must(template.New("page").Parse(pageTemplate)) })

// styleHash is how the page's policy names its one style sheet.
func styleHash() string {
	sum := sha256.Sum256([]byte(style))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// Render makes the file.
func (p *Page) Render() ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(Marker)
	if err := parsed().Execute(&b, p.view()); err != nil {
		return nil, fmt.Errorf("make the page: %w", err)
	}
	return b.Bytes(), nil
}
