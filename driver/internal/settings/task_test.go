// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package settings

import (
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/helper/pluginutils/hclutils"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
)

// soundSettings are those of a node with the solver r14 and the work root /scratch.
func soundSettings(t *testing.T) *Settings {
	s, err := Parse(sound())
	must.NoError(t, err)
	return s
}

// soundTask is a task's configuration without fault on that node.
func soundTask() TaskConfig {
	return TaskConfig{Solver: "r14", Input: "main.k", WorkDir: "local", Stop: "sw1", Shortage: "unpinned", StartTimeout: "10m"}
}

func TestTaskConfig_Defaults(t *testing.T) {
	var got TaskConfig
	hclutils.NewConfigParser(TaskSpec).ParseHCL(t, `config {
		solver = "r14"
		input  = "main.k"
	}`, &got)
	must.Eq(t, TaskConfig{
		Solver: "r14", Input: "main.k", WorkDir: "local", Memory: "auto", Restart: "auto", Stop: "sw1",
		Shortage: "unpinned", StartTimeout: "10m",
	}, got)
	task, err := soundSettings(t).ParseTask(got)
	must.NoError(t, err)
	sw1, err := lsdyna.ParseSwitch("sw1")
	must.NoError(t, err)
	must.Eq(t, &TaskSettings{
		Solver: lsdyna.Solver{Name: "r14", Path: "/opt/r14", Parallel: lsdyna.SMP, Precision: lsdyna.Double},
		Input:  "main.k", WorkDir: "local", Nodes: 1, Memory: "auto", Restart: Restart{Mode: RestartAuto}, Stop: &sw1,
		Shortage: ShortageUnpinned, StartTimeout: 10 * time.Minute,
	}, task)
	must.Eq(t, "sw1", task.StopName())
}

func TestTaskConfig_Checkpoints(t *testing.T) {
	for block, want := range map[string]Checkpoint{
		``:                  {},
		`checkpoint = "1h"`: {Every: time.Hour, Keep: 2},
		"checkpoint = \"90m\"\ncheckpoint_keep = 5": {Every: 90 * time.Minute, Keep: 5},
	} {
		var got TaskConfig
		hclutils.NewConfigParser(TaskSpec).ParseHCL(t, "config {\nsolver = \"r14\"\ninput = \"main.k\"\n"+block+"\n}", &got)
		task, err := soundSettings(t).ParseTask(got)
		must.NoError(t, err)
		must.Eq(t, want, task.Checkpoint, must.Sprint(block))
	}
}

func TestTaskConfig_Everything(t *testing.T) {
	var got TaskConfig
	hclutils.NewConfigParser(TaskSpec).ParseHCL(t, `config {
		command       = "/opt/r14"
		group         = "project"
		input         = "main.k"
		work_dir      = "/scratch/x/./y"
		ncpu          = -8
		memory        = "20m"
		memory2       = "10m"
		jobid         = "crash"
		restart       = "never"
		args          = ["d=nodump", "case"]
		stop          = ""
		shortage      = "retry"
		start_timeout = "0s"
	}`, &got)
	must.Eq(t, TaskConfig{
		Command: "/opt/r14", Group: "project", Input: "main.k", WorkDir: "/scratch/x/./y", NCPU: -8, Memory: "20m", Memory2: "10m", JobID: "crash",
		Restart: "never", Args: []string{"d=nodump", "case"}, Shortage: "retry", StartTimeout: "0s",
	}, got)
	config := sound()
	config.AllowCommand = true
	s, err := Parse(config)
	must.NoError(t, err)
	task, err := s.ParseTask(got)
	must.NoError(t, err)
	must.Eq(t, &TaskSettings{
		Solver: lsdyna.Solver{Path: "/opt/r14", Parallel: lsdyna.SMP, Precision: lsdyna.Double},
		Group:  "project", Input: "main.k", WorkRoot: "/scratch", WorkDir: "x/y", NCPU: -8, Nodes: 1, Memory: "20m", Memory2: "10m", JobID: "crash",
		Args: []string{"d=nodump", "case"}, Shortage: ShortageRetry,
	}, task)
	must.Eq(t, "", task.StopName())
}

func TestParseTask_Choices(t *testing.T) {
	s := soundSettings(t)
	for restart, want := range map[string]Restart{
		"": {}, "never": {}, "auto": {Mode: RestartAuto}, "d3dump07": {Mode: RestartFrom, Dump: "d3dump07"},
	} {
		c := soundTask()
		c.Restart = restart
		task, err := s.ParseTask(c)
		must.NoError(t, err)
		must.Eq(t, want, task.Restart, must.Sprintf("restart = %q", restart))
	}
	for stop, want := range map[string]string{"": "", "SW1": "sw1", "swd.": "swd", "stop": "stop", "swz": "swz"} {
		c := soundTask()
		c.Stop = stop
		task, err := s.ParseTask(c)
		must.NoError(t, err)
		must.Eq(t, want, task.StopName(), must.Sprintf("stop = %q", stop))
	}
	for dir, want := range map[string][2]string{
		"local": {"", "local"}, "../x": {"", "../x"}, "/scratch": {"/scratch", "."}, "/scratch//a/b/": {"/scratch", "a/b"},
	} {
		c := soundTask()
		c.WorkDir = dir
		task, err := s.ParseTask(c)
		must.NoError(t, err)
		must.Eq(t, want, [2]string{task.WorkRoot, task.WorkDir}, must.Sprintf("work_dir = %q", dir))
	}
}

func TestParseTask_SaysWhatToWrite(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*TaskConfig)
		want   string
	}{
		"nothing wrong":             {func(*TaskConfig) {}, ""},
		"no solver":                 {func(c *TaskConfig) { c.Solver = "" }, `name a solver: solver = "r14"`},
		"solver and command":        {func(c *TaskConfig) { c.Command = "/bin/x" }, "solver and command exclude each other; remove one"},
		"unknown solver":            {func(c *TaskConfig) { c.Solver = "r99" }, `solver "r99" is not configured on this node; it has "r14"`},
		"command is not allowed":    {func(c *TaskConfig) { c.Solver, c.Command = "", "/bin/x" }, "command is not allowed on this node"},
		"no input":                  {func(c *TaskConfig) { c.Input = "" }, "input must name the keyword deck"},
		"work_dir is elsewhere":     {func(c *TaskConfig) { c.WorkDir = "/etc" }, `work_dir "/etc" is not below one of this node's work_roots ("/scratch"): use a folder there, or have the operator add one`},
		"work_dir only looks right": {func(c *TaskConfig) { c.WorkDir = "/scratchy/x" }, `is not below one of`},
		"work_dir leads out":        {func(c *TaskConfig) { c.WorkDir = "/scratch/../etc" }, `is not below one of`},
		"stop is no switch":         {func(c *TaskConfig) { c.Stop = "sw!" }, `stop: "sw!" is not a sense switch`},
		"stop does not end":         {func(c *TaskConfig) { c.Stop = "sw2" }, `stop: "sw2" does not end a run`},
		"stop is none":              {func(c *TaskConfig) { c.Stop = "none" }, `stop = "none" is no sense switch; use "" for none`},
		"checkpoint is no time":     {func(c *TaskConfig) { c.Checkpoint = "hourly" }, `checkpoint must be a duration such as "1h"`},
		"checkpoint below a second": {func(c *TaskConfig) { c.Checkpoint = "1ms" }, `at least 1s`},
		"checkpoint below zero":     {func(c *TaskConfig) { c.Checkpoint = "-1h" }, `checkpoint must be a duration`},
		"no checkpoint stays":       {func(c *TaskConfig) { c.Checkpoint, c.CheckpointKeep = "1h", new(int) }, `checkpoint_keep = 0: give the number of checkpoints that stay, at least 1`},
		"more stay than are known":  {func(c *TaskConfig) { many := 33; c.Checkpoint, c.CheckpointKeep = "1h", &many }, `checkpoint_keep = 33: give the number of checkpoints that stay, at most 32`},
		"checkpoint_keep alone":     {func(c *TaskConfig) { two := 2; c.CheckpointKeep = &two }, `checkpoint_keep is for checkpoints: set checkpoint`},
		"checkpoint without dumps":  {func(c *TaskConfig) { c.Checkpoint, c.Args = "1h", []string{"d=nodump"} }, `d=nodump in args suppresses`},
		"unknown shortage":          {func(c *TaskConfig) { c.Shortage = "wait" }, `shortage must be "unpinned" or "retry", not "wait"`},
		"start_timeout is no time":  {func(c *TaskConfig) { c.StartTimeout = "soon" }, `start_timeout must be a duration such as "10m"`},
		"restart leads elsewhere":   {func(c *TaskConfig) { c.Restart = "old/d3dump01" }, `restart must be "auto", "never" or the name of a dump in work_dir such as "d3dump01", not "old/d3dump01"`},
		"start_timeout below zero":  {func(c *TaskConfig) { c.StartTimeout = "-1s" }, "start_timeout must be a duration"},
	} {
		t.Run(name, func(t *testing.T) {
			task := soundTask()
			c.change(&task)
			_, err := soundSettings(t).ParseTask(task)
			if c.want == "" {
				must.NoError(t, err)
				return
			}
			must.ErrorContains(t, err, c.want)
		})
	}
	t.Run("relative command", func(t *testing.T) {
		s, err := Parse(Config{AllowCommand: true})
		must.NoError(t, err)
		_, err = s.ParseTask(TaskConfig{Command: "x", Input: "main.k", Shortage: "retry", StartTimeout: "0"})
		must.EqError(t, err, `command must be an absolute path, not "x"`)
	})
}

func TestParseTask_OverSeveralNodes(t *testing.T) {
	config := sound()
	config.Solvers["mpp"] = SolverConfig{Path: "/opt/mpp", Parallel: "mpp", MPI: "openmpi", MPIRun: "/usr/bin/mpirun"}
	config.Solvers["hyb"] = SolverConfig{Path: "/opt/hyb", Parallel: "hybrid", MPI: "openmpi", MPIRun: "/usr/bin/mpirun"}
	s, err := Parse(config)
	must.NoError(t, err)
	nodes := func() TaskConfig {
		c := soundTask()
		c.Solver, c.WorkDir, c.NCPU, c.Nodes = "mpp", "/scratch/x", 4, new(3)
		return c
	}
	for name, c := range map[string]struct {
		change func(*TaskConfig)
		want   string
	}{
		"nothing wrong":           {func(*TaskConfig) {}, ""},
		"a second group":          {func(c *TaskConfig) { c.FirstNode = 2 }, ""},
		"ranks of a hybrid run":   {func(c *TaskConfig) { c.Solver, c.RanksPerNode = "hyb", new(2) }, ""},
		"ranks of an MPP run":     {func(c *TaskConfig) { c.RanksPerNode = new(4) }, ""},
		"one node":                {func(c *TaskConfig) { c.Nodes = new(1) }, ""},
		"SMP":                     {func(c *TaskConfig) { c.Solver = "r14" }, `nodes = 3 needs a solver whose ranks can be on several nodes, and solver "r14" is SMP`},
		"none":                    {func(c *TaskConfig) { c.Nodes = new(0) }, "nodes = 0: give the number of nodes, from 1 to 1024, or leave it out for one"},
		"below none":              {func(c *TaskConfig) { c.Nodes = new(-1) }, "nodes = -1: give the number of nodes"},
		"more than there are":     {func(c *TaskConfig) { c.Nodes = new(1025) }, "from 1 to 1024"},
		"a folder of this node":   {func(c *TaskConfig) { c.WorkDir = "local" }, `work_dir must be an absolute path below one of the node's work_roots ("/scratch"), on a file system that all nodes share`},
		"a wait without end":      {func(c *TaskConfig) { c.StartTimeout = "0s" }, "nodes = 3 needs a start_timeout"},
		"a group that is no part": {func(c *TaskConfig) { c.FirstNode = 3 }, "first_node = 3 is not one of the 3 nodes"},
		"a part of one node":      {func(c *TaskConfig) { c.Nodes, c.FirstNode = nil, 1 }, "first_node and ranks_per_node are for a run over several nodes"},
		"no rank":                 {func(c *TaskConfig) { c.RanksPerNode = new(0) }, "ranks_per_node = 0: give the number of ranks on each node, at least 1, or leave it out"},
		"ranks of one node":       {func(c *TaskConfig) { c.Nodes, c.RanksPerNode = nil, new(0) }, "first_node and ranks_per_node are for a run over several nodes"},
		"ranks that do not fit":   {func(c *TaskConfig) { c.Solver, c.RanksPerNode = "hyb", new(3) }, "3 ranks on each node cannot share 4 cores evenly (ncpu = 4)"},
		"MPP ranks with threads":  {func(c *TaskConfig) { c.RanksPerNode = new(2) }, `2 ranks on each node × 1 thread = 2 cores (solver "mpp" is MPP: a rank has one thread), and ncpu = 4`},
	} {
		t.Run(name, func(t *testing.T) {
			task := nodes()
			c.change(&task)
			got, err := s.ParseTask(task)
			if c.want != "" {
				must.ErrorContains(t, err, c.want)
				return
			}
			must.NoError(t, err)
			must.Eq(t, *task.Nodes, got.Nodes)
			must.Eq(t, task.FirstNode, got.FirstNode)
			if task.RanksPerNode != nil {
				must.Eq(t, *task.RanksPerNode, got.RanksPerNode)
			}
		})
	}
	t.Run("an unknown solver is all that is wrong", func(t *testing.T) {
		task := nodes()
		task.Solver, task.RanksPerNode = "r99", new(3)
		_, err := s.ParseTask(task)
		must.EqError(t, err, `solver "r99" is not configured on this node; it has "hyb", "mpp", "r14"`)
	})
	t.Run("a command", func(t *testing.T) {
		config.AllowCommand = true
		s, err := Parse(config)
		must.NoError(t, err)
		task := nodes()
		task.Solver, task.Command = "", "/opt/mpp"
		_, err = s.ParseTask(task)
		must.EqError(t, err, "nodes = 3 needs a solver whose ranks can be on several nodes, and command is run as SMP: use solver")
	})
}

// What a job gives is told from what it leaves out.
func TestTaskConfig_NoNodes(t *testing.T) {
	var got TaskConfig
	hclutils.NewConfigParser(TaskSpec).ParseHCL(t, `config {
		solver         = "r14"
		input          = "main.k"
		nodes          = 0
		ranks_per_node = 0
	}`, &got)
	must.Eq(t, new(0), got.Nodes)
	must.Eq(t, new(0), got.RanksPerNode)
	_, err := soundSettings(t).ParseTask(got)
	must.ErrorContains(t, err, "nodes = 0: give the number of nodes")
}

// A node without solvers says so: the list of those that it has would be empty.
func TestParseTask_OnANodeWithoutSolvers(t *testing.T) {
	s, err := Parse(Config{})
	must.NoError(t, err)
	_, err = s.ParseTask(TaskConfig{Solver: "r14", Input: "main.k", Shortage: "retry", StartTimeout: "0"})
	must.EqError(t, err, `solver "r14" is not configured on this node; it has none`)
}

func TestParseTask_ReportsEverythingAtOnce(t *testing.T) {
	_, err := soundSettings(t).ParseTask(TaskConfig{
		Command: "c", WorkDir: "/etc", Stop: "sw!", Shortage: "wait", Restart: "a/b", StartTimeout: "soon",
	})
	must.Error(t, err)
	var keys []string
	for line := range strings.Lines(err.Error()) {
		keys = append(keys, strings.TrimSuffix(strings.Fields(line)[0], ":"))
	}
	must.Eq(t, []string{"command", "input", "work_dir", "stop", "shortage", "restart", "start_timeout"}, keys)
}
