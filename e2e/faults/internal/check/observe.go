// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package check

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/nomad/api"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/proc"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/witness"
)

// Site says where to look.
type Site struct {
	API      *api.Client
	Plugin   string   // the agent's own copy of the driver: the exe of plugin and supervisors
	Solvers  []string // executables that are solvers: the stand-in, and mpirun
	StateDir string
	Cgroups  []string // directories below which Nomad has its tasks' cgroups
	Usable   []int
	Folder   func(job string) string // the job's run folder
	// Node is the client that all this is about. Of another one that shares the run
	// folders only the solvers count, which are what Elsewhere names.
	Node      string
	Elsewhere string
}

// Observer looks at the world again and again and remembers what it may forget.
type Observer struct {
	Site    Site
	Witness *witness.Witness
	// Calm is when the world had last settled.
	Calm time.Time
	// Up is when the client was last started.
	Up time.Time
	// Spoiled says whether the campaign removed the record of this solver, Killed
	// whether it ended it.
	Spoiled, Killed func(alloc string, pid int) bool

	innocents []Innocent
	words     map[string]lastWords     // by pid and start time of ended runs
	dumps     []Dump                   // oldest first
	results   map[string][]string      // of completed runs, by allocation
	shared    map[string]bool          // jobs in whose folders others run, too
	ends      map[string]map[int64]End // by allocation and time: Nomad keeps ten events
}

// Classify says what a process is to the site's tasks, and to which allocation it
// belongs; "" for nothing.
func (s *Site) Classify(p proc.Process, env []string) (Role, string) {
	if len(p.Args) > 2 && p.Args[1] == "supervise" { // executed from memory: by its record
		below, ok := strings.CutPrefix(p.Args[2], filepath.Join(s.StateDir, "tasks")+"/")
		alloc, _, _ := strings.Cut(below, "/")
		if ok {
			return Supervisor, alloc
		}
	}
	if p.Exe == s.Plugin {
		if len(p.Args) == 1 {
			return Plugin, ""
		}
		return "", ""
	}
	alloc, sleeping, rank := "", false, false
	for _, e := range env {
		switch key, value, _ := strings.Cut(e, "="); key {
		case "NOMAD_ALLOC_ID":
			alloc = value
		case "STANDIN_SLEEP":
			sleeping = true
		case "OMPI_COMM_WORLD_RANK":
			rank = true
		}
	}
	switch {
	case alloc == "" || !slices.Contains(env, "FAULTS_SITE="+s.StateDir):
		return "", "" // another agent's
	case slices.Contains(s.Solvers, p.Exe) && !sleeping && !rank:
		return Solver, alloc
	}
	return Helper, alloc
}

// Matters picks the processes that the witness is to remember.
func (s *Site) Matters(p proc.Process, env []string) bool {
	role, _ := s.Classify(p, env)
	return role == Solver || role == Supervisor || s.isElsewhere(p.Exe)
}

func (s *Site) isElsewhere(exe string) bool { return s.Elsewhere != "" && exe == s.Elsewhere }

// Look returns the world as it is now. status also asks the plugin's binary.
func (o *Observer) Look(ctx context.Context, status bool) (*World, error) {
	w := &World{Usable: o.Site.Usable, Calm: o.Calm, Asked: time.Now(), Up: o.Up, Dumps: o.dumps}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return nil, fmt.Errorf("boot id: %w", err)
	}
	w.Boot = strings.TrimSpace(string(boot))
	// What is reported before what is: a task that ends in between is seen as
	// running without a solver, and looked at again.
	if err := o.allocs(ctx, w); err != nil {
		return nil, err
	}
	all, err := proc.All()
	if err != nil {
		return nil, err
	}
	o.processes(w, all)
	if w.Records, err = Records(o.Site.StateDir); err != nil {
		return nil, err
	}
	o.Witness.Reconcile(all)
	w.Withheld = withheld(w.Processes)
	if err := o.runs(w); err != nil {
		return nil, err
	}
	if err := o.lookAtResults(w, status); err != nil {
		return nil, err
	}
	for _, i := range o.innocents {
		i.Now = identity(i.PID)
		w.Innocents = append(w.Innocents, i)
	}
	if status {
		w.Owners, err = o.owners(ctx)
	}
	return w, err
}

// withheld returns the cores that Nomad's cpuset of reserved cores holds, as the
// plugin sees it: with cgroups v1 some stay there when their task has ended
// (GivenUp tells why), and no driver may give them out.
func withheld(all []Process) []int {
	at := slices.IndexFunc(all, func(p Process) bool { return p.Role == Plugin })
	if at < 0 {
		return nil
	}
	for _, file := range []string{"cpuset/nomad/reserve/cpuset.cpus", "nomad.slice/reserve.slice/cpuset.cpus"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/root/sys/fs/cgroup/%s", all[at].PID, file))
		if err != nil {
			continue
		}
		if cpus, err := parseCPUs(strings.TrimSpace(string(text))); err == nil {
			return cpus
		}
	}
	return nil
}

// AddInnocent has a process watched from now on.
func (o *Observer) AddInnocent(pid int) {
	o.innocents = append(o.innocents, Innocent{PID: pid, Before: identity(pid)})
}

// identity is everything of a process that somebody could have changed.
func identity(pid int) string {
	p, err := proc.Read(pid)
	if err != nil {
		return "gone"
	}
	state := "alive"
	if p.State == 'T' || p.State == 't' || !p.Alive() {
		state = string(p.State)
	}
	cpus, _ := proc.Status(pid, "Cpus_allowed_list")
	cgroups, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	return fmt.Sprintf("%s, started %d, cpus %s, cgroups %s", state, p.StartTicks, cpus, strings.ReplaceAll(string(cgroups), "\n", " "))
}

// processes finds what belongs to tasks: by the environment, and by the cgroup.
func (o *Observer) processes(w *World, all []proc.Process) {
	inCgroup := map[int]string{}
	for _, dir := range o.Site.Cgroups {
		for _, alloc := range w.Allocs {
			dirs, _ := filepath.Glob(filepath.Join(dir, alloc.ID+".*"))
			for _, d := range dirs {
				inside, _ := proc.InCgroup(d)
				for _, p := range inside {
					inCgroup[p.PID] = alloc.ID
				}
			}
		}
	}
	solvers := map[int]bool{}
	for _, p := range all {
		if !p.Alive() {
			continue
		}
		env, _ := proc.Environ(p.PID)
		role, alloc := o.Site.Classify(p, env)
		if role == "" && inCgroup[p.PID] != "" {
			role, alloc = Helper, inCgroup[p.PID]
		}
		if role == "" {
			continue
		}
		found := Process{PID: p.PID, Parent: p.PPID, Start: p.StartTicks, Role: role, Alloc: alloc, Words: strings.Join(p.Args, " ")}
		if role == Solver || role == Helper {
			threads, err := proc.ThreadCPUs(p.PID)
			if err != nil {
				continue // it has just ended
			}
			for _, list := range threads {
				if cpus, err := parseCPUs(list); err == nil {
					found.CPUs = append(found.CPUs, cpus)
				}
			}
			solvers[p.PID] = role == Solver
		}
		w.Processes = append(w.Processes, found)
	}
	for i := range w.Processes {
		// mpirun forks before it executes its ranks.
		if p := &w.Processes[i]; p.Role == Solver && solvers[p.Parent] {
			p.Role = Helper
		}
	}
}

// runs turns the witness's lives into runs of solvers.
func (o *Observer) runs(w *World) error {
	lives, gaps, err := o.Witness.Lives()
	if err != nil {
		return err
	}
	w.Gaps = gaps
	supervisors := map[int]witness.Life{} // by pid, the newest
	for _, l := range lives {
		p := proc.Process{PID: l.PID, Exe: l.Exe, Args: l.Args}
		role, alloc := o.Site.Classify(p, l.Env)
		if role == Supervisor {
			supervisors[l.PID] = l
			continue
		}
		if o.Site.isElsewhere(l.Exe) {
			w.Elsewhere = append(w.Elsewhere, Run{
				Alloc: allocOf(l.Env), PID: l.PID, Start: l.Start, Folder: l.Folder, Exec: l.Exec, Ended: l.Ended, Exit: l.Exit, Known: l.Known, Status: l.Status,
			})
			continue
		}
		r := Run{
			Alloc: alloc, PID: l.PID, Start: l.Start, Folder: l.Folder, Exec: l.Exec, Ended: l.Ended, Exit: l.Exit, Known: l.Known, Status: l.Status,
			Supervisor: l.Parent, From: dumpOf(l.Args), Spoiled: o.Spoiled(alloc, l.PID), Killed: o.Killed(alloc, l.PID),
		}
		s, seen := supervisors[l.Parent]
		r.SupervisorUnseen = !seen || s.Ended && !s.Known
		if seen && s.Known && s.Status.Signaled() {
			r.SupervisorKilled = s.Exit
		}
		if r.Ended {
			said := o.lastWords(w, &r)
			r.Completed, r.Switched = said.completed, said.switched
		}
		w.Runs = append(w.Runs, r)
	}
	return nil
}

func allocOf(env []string) string {
	for _, e := range env {
		if alloc, ok := strings.CutPrefix(e, "NOMAD_ALLOC_ID="); ok {
			return alloc
		}
	}
	return ""
}

// owners asks the command that operators use.
func (o *Observer) owners(ctx context.Context) (map[int]string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, o.Site.Plugin, "status", "-json", "-state-dir", o.Site.StateDir).Output()
	if err != nil {
		return nil, fmt.Errorf("status -json: %w", err)
	}
	var answer struct {
		Cores []struct {
			Index int     `json:"index"`
			Job   *string `json:"job_id"`
		} `json:"cores"`
	}
	if err := json.Unmarshal(out, &answer); err != nil {
		return nil, fmt.Errorf("status -json: %w", err)
	}
	owners := map[int]string{}
	for _, c := range answer.Cores {
		if c.Job != nil {
			owners[c.Index] = *c.Job
		}
	}
	return owners, nil
}
