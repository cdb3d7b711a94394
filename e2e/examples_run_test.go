// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/e2e/internal/cluster"
)

// patiently is within for tests that call nomad's own commands, each of which takes its time
// on a busy machine.
func patiently(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*stepTimeout)
	t.Cleanup(cancel)
	return ctx
}

// examples is a site on which the example jobs run. Its solver "slow" takes minutes, so that
// whatever asks something of a run finds it, on a busy machine too.
func examples(t *testing.T, adjust ...func(*cluster.Config)) *site {
	t.Helper()
	requireRoot(t) // its agent's cgroups hold what is reserved
	return newSite(t, `
    solver "slow" {
      path = "@solver@"
      env {
        STANDIN_PACE = "300ms"
      }
    }`, adjust...)
}

// smallDeck is a run folder with the small deck of the box as its main.k.
func (s *site) smallDeck(name string) string {
	s.t.Helper()
	folder := s.deck(name, "shell_box_crush")
	must.NoError(s.t, os.Rename(filepath.Join(folder, "small.k"), filepath.Join(folder, "main.k")))
	s.give(folder)
	return folder
}

// example submits an example job, with values for its variables, and returns its id.
func (s *site) example(path string, variables map[string]string) string {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "example", path))
	must.NoError(s.t, err)
	id, err := s.Submit(patiently(s.t), string(text), hclVariables(string(text), variables))
	must.NoError(s.t, err)
	return id
}

// declaration is that of an input variable.
var declaration = regexp.MustCompile(`(?m)^variable "([a-z_]+)"`)

// hclVariables are those of the values that a job file declares, as lines of HCL.
func hclVariables(text string, values map[string]string) string {
	var b strings.Builder
	for _, m := range declaration.FindAllStringSubmatch(text, -1) {
		if value, ok := values[m[1]]; ok {
			fmt.Fprintf(&b, "%s = %q\n", m[1], value)
		}
	}
	return b.String()
}

// placed waits for a job's allocation, the newest.
func (s *site) placed(job string) string {
	s.t.Helper()
	allocs, err := s.WaitPlaced(patiently(s.t), job, 1)
	must.NoError(s.t, err)
	return allocs[0].ID
}

// waitFor waits for an allocation.
func (s *site) waitFor(alloc string, conditions ...cluster.Condition) *api.Allocation {
	s.t.Helper()
	a, err := s.WaitAlloc(patiently(s.t), alloc, conditions...)
	if err != nil {
		s.t.Fatalf("%v\n%s", err, cluster.DescribeAlloc(a))
	}
	return a
}

// program is a command with nomad on its PATH, for this site's agent.
func (s *site) program(ctx context.Context, dir, name string, args ...string) *exec.Cmd {
	s.t.Helper()
	if name == "nomad" {
		name = binary(s.t, name)
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "NOMAD_ADDR=http://"+s.HTTPAddr(), "NOMAD_TOKEN=", "LSDYNA_POLL=1",
		"PATH="+filepath.Dir(binary(s.t, "nomad"))+":"+os.Getenv("PATH"))
	return cmd
}

// output runs a program, which must succeed, and returns what it prints.
func (s *site) output(dir, name string, args ...string) string {
	s.t.Helper()
	out, err := s.program(patiently(s.t), dir, name, args...).CombinedOutput()
	must.NoError(s.t, err, must.Sprintf("%s %s: %s", name, strings.Join(args, " "), out))
	return string(out)
}

// absolute is the full path of a file of the examples.
func absolute(t *testing.T, path ...string) string {
	t.Helper()
	full, err := filepath.Abs(filepath.Join(append([]string{"..", "example"}, path...)...))
	must.NoError(t, err)
	return full
}

// What the READMEs of the examples say is done on a real agent, with the stand-in solver.
func TestDriver_ExamplesDoWhatTheySay(t *testing.T) {
	t.Parallel() // it mostly waits
	s := examples(t)
	for name, do := range map[string]func(*testing.T, *site){
		"plan":                      planEveryExample,
		"a design of experiments":   dispatchADesignOfExperiments,
		"LS-OPT":                    printWhatLSOPTWants,
		"actions":                   sendSwitchesByActions,
		"every night":               runEveryNight,
		"a mail":                    sendAMail,
		"a mended job is run again": runAMendedJobAgain,
	} {
		t.Run(name, func(t *testing.T) {
			here := *s
			here.t = t
			do(t, &here)
		})
	}
}

// planEveryExample has Nomad look for a place for each of the example jobs, in sizes of a
// small machine.
func planEveryExample(t *testing.T, s *site) {
	// What this one node cannot have.
	want := map[string]string{"mpp-nodes.nomad.hcl": "distinct_hosts", "hybrid-nodes.nomad.hcl": "physical_cores"}
	small := map[string]string{"solver": "standin", "run_dir": s.scratch, "cores": "1", "memory": "100", "ncpu": "1", "cpu": "100"}
	for _, file := range exampleJobs(t) {
		text, err := os.ReadFile(file)
		must.NoError(t, err)
		job, err := s.API.Jobs().ParseHCLOpts(&api.JobsParseRequest{JobHCL: string(text), Variables: hclVariables(string(text), small), Canonicalize: true})
		must.NoError(t, err)
		plan, _, err := s.API.Jobs().Plan(job, false, nil)
		must.NoError(t, err)
		must.Eq(t, "", plan.Warnings, must.Sprint(file))
		why := ""
		for _, m := range plan.FailedTGAllocs {
			why += fmt.Sprint(m.ConstraintFiltered, m.DimensionExhausted)
		}
		if reason := want[filepath.Base(file)]; reason != "" {
			must.StrContains(t, why, reason, must.Sprint(file))
		} else {
			must.Eq(t, "", why, must.Sprint(file))
		}
	}
}

func dispatchADesignOfExperiments(t *testing.T, s *site) {
	s.example("dispatch/dispatch.nomad.hcl", map[string]string{"solver": "standin", "cores": "1", "memory": "100"})
	study := filepath.Join(s.scratch, "study")
	doe := func(designs string) string {
		return s.output(s.scratch, absolute(t, "dispatch", "doe.sh"), absolute(t, "dispatch", "template.k"), designs, study,
			absolute(t, "decks", "shell_box_crush", "mesh_small.k"))
	}
	said := doe(absolute(t, "dispatch", "designs.csv"))
	for _, design := range []string{"thin", "base", "thick"} {
		m := regexp.MustCompile(`(?m)^` + design + `: (lsdyna-dispatch/dispatch-` + design + `-\S+)$`).FindStringSubmatch(said)
		must.Len(t, 2, m, must.Sprint(said))
		s.waitFor(s.placed(m[1]), cluster.ClientStatus(api.AllocClientStatusComplete), cluster.TaskEvent("lsdyna", "Normal termination at the end time"))
	}
	deck, err := os.ReadFile(filepath.Join(study, "thick", "main.k"))
	must.NoError(t, err)
	must.StrContains(t, string(deck), "thick, 1.8,")

	// A design that was dispatched is not dispatched again, and one without a value not at all.
	more := filepath.Join(s.scratch, "more.csv")
	must.NoError(t, os.WriteFile(more, []byte("design,thick,speed\nthin,1.2,-12.0\nthinner,1.0,-12.0\n"), 0o644))
	doe(more)
	jobs, _, err := s.API.Jobs().List(&api.QueryOptions{Prefix: "lsdyna-dispatch/dispatch-thin"})
	must.NoError(t, err)
	must.Len(t, 2, jobs, must.Sprint("thin and thinner"))
	must.NoError(t, os.WriteFile(more, []byte("design,thick\nslow,1.0\n"), 0o644))
	out, err := s.program(patiently(t), s.scratch, absolute(t, "dispatch", "doe.sh"), absolute(t, "dispatch", "template.k"), more, study).CombinedOutput()
	must.Error(t, err)
	must.StrContains(t, string(out), "<<speed>>")
}

func printWhatLSOPTWants(t *testing.T, s *site) {
	wrapper := absolute(t, "lsopt", "lsopt-nomad")
	dispatch := map[string]string{"solver": "standin", "cores": "1", "memory": "100"}
	s.example("dispatch/dispatch.nomad.hcl", dispatch)

	good := s.smallDeck("good")
	must.NoError(t, os.Rename(filepath.Join(good, "main.k"), filepath.Join(good, "DynaOpt.inp")))
	must.StrHasSuffix(t, "\nN o r m a l\n", s.output(good, wrapper, "i=DynaOpt.inp"))

	bad := s.deck("bad", "error_missing_include")
	out, err := s.program(patiently(t), bad, wrapper, "main.k").CombinedOutput()
	must.Error(t, err)
	must.StrHasSuffix(t, "\nE r r o r\n", string(out))
	must.StrContains(t, string(out), "mesh_that_is_not_here.k")
	must.StrNotContains(t, string(out), "N o r m a l")

	t.Run("no such deck", func(t *testing.T) {
		out, err := s.program(patiently(t), bad, wrapper, "i=other.k").CombinedOutput()
		must.Error(t, err)
		must.StrHasSuffix(t, "\nE r r o r\n", string(out))
	})

	// LS-OPT gives the design up: the run is stopped.
	dispatch["solver"] = "slow"
	s.example("dispatch/dispatch.nomad.hcl", dispatch)
	folder := s.deck("given-up", "solid_bar_impact")
	said, err := os.Create(filepath.Join(s.scratch, "said"))
	must.NoError(t, err)
	defer said.Close()
	cmd := s.program(patiently(t), folder, wrapper, "i=main.k")
	cmd.Stdout, cmd.Stderr = said, said
	must.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	job := ""
	must.NoError(t, cluster.Poll(patiently(t), "the run's job", func() (bool, string, error) {
		job = regexp.MustCompile(`lsdyna-dispatch/\S+`).FindString(content(t, said.Name()))
		return job != "", content(t, said.Name()), nil
	}))
	alloc := s.placed(job)
	s.waitFor(alloc, cluster.TaskState("lsdyna", "running"))
	must.NoError(t, cmd.Process.Signal(os.Interrupt))
	must.Error(t, <-ended)
	must.StrHasSuffix(t, "\nE r r o r", content(t, said.Name()))
	s.waitFor(alloc, cluster.Terminal, cluster.TaskEvent("lsdyna", "Stopping with sw1"))
}

func sendSwitchesByActions(t *testing.T, s *site) {
	folder := s.deck("actions", "solid_bar_impact")
	job := s.example("actions/actions.nomad.hcl", map[string]string{
		"solver": "slow", "cores": "1", "run_dir": folder, "nomad": binary(t, "nomad"), "driver": s.PluginPath(),
	})
	alloc := s.placed(job)
	s.waitFor(alloc, cluster.TaskState("lsdyna", "running"))
	action := func(name string) string {
		return s.output(s.scratch, "nomad", "job", "action", "-job="+job, "-alloc="+alloc, "-task=lsdyna", "-t=false", name)
	}
	action("plot")
	s.waitFor(alloc, cluster.TaskEvent("lsdyna", "Switch sw4"))
	action("dump")
	s.waitFor(alloc, cluster.TaskEvent("lsdyna", "Switch sw3"), cluster.TaskEvent("lsdyna", "d3dump01"))
	must.StrContains(t, action("look"), "running")
	must.NoError(t, s.StopJob(patiently(t), job, false))
}

func TestDriver_ExampleIsPreemptedWithItsDump(t *testing.T) {
	t.Parallel() // it mostly waits
	s := examples(t)
	_, _, err := s.API.Operator().SchedulerSetConfiguration(&api.SchedulerConfiguration{
		PreemptionConfig: api.PreemptionConfig{BatchSchedulerEnabled: true},
	}, nil)
	must.NoError(t, err)
	node, err := s.Node()
	must.NoError(t, err)
	most := fmt.Sprint(node.NodeResources.Cpu.CpuShares * 7 / 10)
	filler := s.example("preemption/preemption.nomad.hcl", map[string]string{
		"name": "filler", "solver": "slow", "run_dir": s.deck("filler", "solid_bar_impact"), "ncpu": "1", "cpu": most,
	})
	first := s.placed(filler)
	s.waitFor(first, cluster.TaskState("lsdyna", "running"))
	urgent := s.example("preemption/preemption.nomad.hcl", map[string]string{
		"name": "urgent", "priority": "80", "solver": "standin", "run_dir": s.smallDeck("urgent"), "ncpu": "1", "cpu": most,
	})
	must.Eq(t, "filler urgent", filler+" "+urgent)
	s.waitFor(first, cluster.Terminal, cluster.TaskEvent("lsdyna", "dump d3dump01 written"))
	s.waitFor(s.placed(urgent), cluster.ClientStatus(api.AllocClientStatusComplete))
	allocs, err := s.WaitPlaced(patiently(t), filler, 2)
	must.NoError(t, err)
	s.waitFor(allocs[0].ID, cluster.TaskState("lsdyna", "running"), cluster.TaskEvent("lsdyna", "Restarting from d3dump01"))
	must.NoError(t, s.StopJob(patiently(t), filler, false))
}

func TestDriver_ExampleStaysWhileItsNodeCannotBeHeard(t *testing.T) {
	t.Parallel() // it mostly waits
	server := newAgent(t, cluster.Config{Role: cluster.ServerOnly, HCL: `server { heartbeat_grace = "1s" }`})
	start(t, server)
	s := examples(t, func(c *cluster.Config) { c.Server = server })
	folder := s.deck("disconnect", "solid_bar_impact")
	job := s.example("disconnect/disconnect.nomad.hcl", map[string]string{"solver": "slow", "cores": "1", "run_dir": folder})
	r := &run{s: s, job: job, folder: folder, alloc: s.placed(job)}
	s.waitFor(r.alloc, cluster.TaskState("lsdyna", "running"))
	before, cores := r.solvers(), r.checkCores()

	must.NoError(t, s.Stop(patiently(t)))
	_, err := server.WaitAlloc(patiently(t), r.alloc, cluster.ClientStatus(api.AllocClientStatusUnknown))
	must.NoError(t, err)
	start(t, s.Agent)
	s.waitFor(r.alloc, cluster.ClientStatus(api.AllocClientStatusRunning))
	must.Eq(t, before[0].PID, r.solvers()[0].PID)
	must.Eq(t, cores.String(), r.checkCores().String())
	allocs, _, err := s.API.Jobs().Allocations(job, true, nil)
	must.NoError(t, err)
	must.Len(t, 1, allocs)
	must.NoError(t, s.StopJob(patiently(t), job, false))
}

func runEveryNight(t *testing.T, s *site) {
	job := s.example("periodic/periodic.nomad.hcl", map[string]string{"solver": "standin", "cores": "1", "run_dir": s.smallDeck("nightly")})
	for night, event := range []string{"", "Beginning anew, over the results"} {
		s.output(s.scratch, "nomad", "job", "periodic", "force", "-detach", job)
		children, _, err := s.API.Jobs().List(&api.QueryOptions{Prefix: job + "/"})
		must.NoError(t, err)
		must.Len(t, night+1, children)
		s.waitFor(s.placed(children[night].ID), cluster.ClientStatus(api.AllocClientStatusComplete), cluster.TaskEvent("lsdyna", event))
	}
}

func sendAMail(t *testing.T, s *site) {
	for _, c := range []struct{ name, deck, says string }{
		{"completed", "solid_bar_impact", "completed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			folder := s.deck(c.name, c.deck)
			mailbox := filepath.Join(folder, "mail.txt")
			sendmail := filepath.Join(folder, "sendmail")
			must.NoError(t, os.WriteFile(sendmail, []byte("#!/bin/sh\n{ echo \"$@\"; cat; } > "+mailbox+".new && mv "+mailbox+".new "+mailbox+"\n"), 0o755))
			job := s.example("mail/mail.nomad.hcl", map[string]string{
				"solver": "standin", "cores": "1", "run_dir": folder, "driver": s.PluginPath(), "sendmail": sendmail, "to": "dora@example.com",
			})
			s.waitFor(s.placed(job), cluster.Terminal)
			must.NoError(t, cluster.Poll(patiently(t), "the mail", func() (bool, string, error) {
				_, err := os.Stat(mailbox)
				return err == nil, fmt.Sprint(err), nil
			}))
			mail := content(t, mailbox)
			must.StrHasPrefix(t, "dora@example.com\nTo: dora@example.com\n", mail)
			must.StrContains(t, mail, c.says)
			must.NoError(t, s.StopJob(patiently(t), job, false))
		})
	}
}

// runAMendedJobAgain does what docs/first-hour.md says of a job that has failed.
func runAMendedJobAgain(t *testing.T, s *site) {
	folder := s.deck("failing", "error_missing_include")
	variables := map[string]string{"solver": "standin", "run_dir": folder}
	job := s.example("jobs/failing.nomad.hcl", variables)
	first := s.placed(job)
	s.waitFor(first, cluster.ClientStatus(api.AllocClientStatusFailed))

	deck := s.smallDeck("mended-deck")
	for _, name := range []string{"main.k", "mesh_small.k"} {
		must.NoError(t, os.Rename(filepath.Join(deck, name), filepath.Join(folder, name)))
	}
	s.example("jobs/failing.nomad.hcl", variables)
	allocs, _, err := s.API.Jobs().Allocations(job, true, nil)
	must.NoError(t, err)
	must.Len(t, 1, allocs, must.Sprint("the same file, run again, starts nothing"))

	s.output(s.scratch, "nomad", "job", "eval", "-detach", "-force-reschedule", job)
	allocs, err = s.WaitPlaced(patiently(t), job, 2)
	must.NoError(t, err)
	s.waitFor(allocs[0].ID, cluster.ClientStatus(api.AllocClientStatusComplete))
}
