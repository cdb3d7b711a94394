// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package jobs has the kinds of jobs of a campaign, and what Nomad is given of them.
package jobs

import (
	"fmt"
	"strings"
	"time"
)

// DeckCycles is how many cycles the deck takes; with a pace it is the run's time.
const DeckCycles = 1172

// A Kind is one of job. How its solver ends by itself is known from the stand-in's
// failure; the kernel tells what really came.
type Kind struct {
	Name   string
	Weight int
	fault  string // STANDIN_FAULT; CYCLE is one before the end
	NCPU   int
	config string // of the task
	task   string // beside the task's config
	Cores  bool   // reserved by Nomad
	again  bool   // Nomad restarts it
	MPP    bool
	// Nomad starts it again also when it has completed.
	service bool
}

// Kinds are all there are.
var Kinds = []Kind{
	{Name: "ok", Weight: 6, NCPU: 1},
	{Name: "pair", Weight: 2, NCPU: 2},
	{Name: "exit23", Weight: 2, NCPU: 1, fault: "vanish=CYCLE,exit_code=23"},
	{Name: "error", Weight: 2, NCPU: 1, fault: "error=CYCLE,exit_code=0"},
	{Name: "abort", Weight: 1, NCPU: 1, fault: "abort=CYCLE"},
	{Name: "segv", Weight: 1, NCPU: 1, fault: "segv=CYCLE"},
	{Name: "vanish", Weight: 1, NCPU: 1, fault: "vanish=CYCLE"},
	{Name: "child", Weight: 2, NCPU: 1, fault: "child=3600"},
	{Name: "deaf", Weight: 1, NCPU: 1, fault: "ignore_sigterm,ignore_d3kil", task: `kill_timeout = "2s"`},
	{Name: "switchless", Weight: 2, NCPU: 1, config: `stop = ""`, task: `kill_timeout = "5s"`},
	{Name: "again", Weight: 4, NCPU: 1, fault: "vanish=CYCLE,exit_code=7", again: true},
	{Name: "flood", Weight: 1, NCPU: 1, fault: "warnings=100000"},
	{Name: "reserved", Weight: 2, Cores: true},
	{Name: "mpp", Weight: 2, NCPU: 2, MPP: true},
	{Name: "service", Weight: 3, NCPU: 1, service: true},
	{Name: "goes-on", NCPU: 1, again: true}, // only where a fault wants one
}

// A Job is one task of one allocation, on a certain node.
type Job struct {
	Kind               Kind
	Name, Node, Folder string
	Site               string // marks what is of this campaign
	Duration           time.Duration
	Cycle              int // at which it fails, if its kind does
	Poll               int // after how many cycles the solver looks for a switch
}

// jobTemplate is a job of one task .
const jobTemplate = `
job %q {
  type = %q
  group "g" {
    restart {
      %s
    }
    reschedule {
      attempts  = 0
      unlimited = false
    }
    ephemeral_disk {
      size = 10
    }
    constraint {
      attribute = "${node.unique.id}"
      value     = %q
    }
    task "lsdyna" {
      driver = "lsdyna"
      config {
        solver   = %q
        work_dir = %q
        input    = "main.k"
        %s
      }
      env {
        STANDIN_PACE  = %q
        STANDIN_POLL  = "%d"
        STANDIN_FAULT = %q
        FAULTS_SITE   = %q
      }
      %s
      logs {
        max_files     = 1
        max_file_size = 1
      }
      resources {
        %s
        memory = 100
      }
    }
  }
}`

// HCL is what Nomad is given.
func (j Job) HCL() string {
	k, duration := j.Kind, j.Duration
	solver, resources, restart, fault := "standin", "cpu = 50", "attempts = 0\n      mode = \"fail\"", k.fault
	config := fmt.Sprintf("ncpu = %d\n        memory = \"20m\"\n        %s", k.NCPU, k.config)
	if k.Cores {
		resources, config = "cores = 1", `memory = "20m"`
	}
	if k.MPP {
		solver = "mpp"
	}
	kindOfJob := "batch"
	if k.service {
		kindOfJob, restart = "service", "attempts = 2\n      interval = \"24h\"\n      delay = \"1s\"\n      mode = \"fail\""
	}
	if k.again {
		restart = "attempts = 1000\n      interval = \"24h\"\n      delay = \"1s\"\n      mode = \"fail\""
		duration += 10 * time.Second
	}
	task := k.task
	if task == "" {
		task = `kill_timeout = "20s"`
	}
	fault = strings.ReplaceAll(fault, "CYCLE", fmt.Sprint(j.Cycle))
	return fmt.Sprintf(jobTemplate, j.Name, kindOfJob, restart, j.Node, solver, j.Folder, config, duration/DeckCycles, j.Poll, fault, j.Site, task, resources)
}

// Asker is a short run in a folder that another one may have.
func Asker(name, node, folder string) string {
	return fmt.Sprintf(`
job %q {
  type = "batch"
  group "g" {
    restart {
      attempts = 1000
      interval = "24h"
      delay    = "1s"
      mode     = "fail"
    }
    ephemeral_disk {
      size = 10
    }
    constraint {
      attribute = "${node.unique.id}"
      value     = %q
    }
    task "lsdyna" {
      driver = "lsdyna"
      config {
        solver   = "standin"
        work_dir = %q
        input    = "main.k"
        ncpu     = 1
        memory   = "20m"
      }
      logs {
        max_files     = 1
        max_file_size = 1
      }
      resources {
        cpu    = 50
        memory = 100
      }
    }
  }
}`, name, node, folder)
}
