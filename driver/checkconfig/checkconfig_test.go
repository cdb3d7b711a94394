// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package checkconfig

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/creds"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/internal/findings"
)

var names = Names{Plugin: "nomad-driver-lsdyna", Driver: "lsdyna"}

// around is an agent's configuration with a plugin's block, whose first line is lineOne.
const (
	around = `client {
  enabled          = true
  max_kill_timeout = "30m"
}
telemetry {
  publish_allocation_metrics = true
  publish_node_metrics       = true
}
plugin "nomad-driver-lsdyna" {
  config {
%s
  }
}
`
	lineOne = 11
)

// checkText checks a configuration, with a plugin's file beside it.
func checkText(t *testing.T, text string) findings.Report {
	t.Helper()
	dir := t.TempDir()
	must.NoError(t, os.WriteFile(filepath.Join(dir, "agent.hcl"), []byte(text), 0o600))
	plugins := filepath.Join(dir, "plugins")
	must.NoError(t, os.Mkdir(plugins, 0o700))
	must.NoError(t, os.WriteFile(filepath.Join(plugins, names.Plugin), nil, 0o700))
	return names.Check(t.Context(), findings.Request{Paths: []string{filepath.Join(dir, "agent.hcl")}, PluginDir: plugins})
}

// told are findings as "line: text".
func told(all []findings.Finding) (lines []string) {
	for _, f := range all {
		lines = append(lines, fmt.Sprintf("%d: %s", f.Line, f.Text))
	}
	return lines
}

// contains compares findings with the beginnings of texts, in any order within a line.
func contains(t *testing.T, all []findings.Finding, want ...string) {
	t.Helper()
	lines := told(all)
	must.Len(t, len(want), lines, must.Sprint(strings.Join(lines, "\n")))
	for i, w := range want {
		must.StrContains(t, lines[i], w)
	}
}

// Every value that the schema or the driver refuses is told with its line.
func TestCheck_RefusesWhatTheDriverRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		block string
		want  []string
	}{
		"nothing wrong":          {"solver \"a\" {\n path = \"/a\"\n}", nil},
		"unknown key":            {"\nstate_dri = \"/x\"", []string{`12: there is no key "state_dri"; did you mean "state_dir"?`}},
		"unknown key, none near": {"frobnicate = 1", []string{`11: there is no key "frobnicate"; it has allow_command, `}},
		"key of a block":         {"smt = \"isolate\"", []string{`11: there is no key "smt"; it stands in cores { … }`}},
		"key of a solver":        {"mpirun = \"/x\"", []string{`it stands in solver "NAME" { … }`}},
		"key beside a block":     {"cores {\n work_roots = []\n}", []string{`12: cores: there is no key "work_roots"; work_roots stands beside cores, not in it`}},
		"unknown key of a solver": {
			"solver \"a\" {\n path = \"/a\"\n precison = \"single\"\n}",
			[]string{`13: solver "a": there is no key "precison"; did you mean "precision"?`},
		},
		"a word for a bool":        {"allow_root = \"maybe\"", []string{`11: allow_root: a bool is required, not "maybe"`}},
		"a size with a unit":       {"max_processes = \"32k\"", []string{`11: max_processes: a number is required, not "32k"`}},
		"a string for a list":      {"work_roots = \"/scratch\"", []string{`11: work_roots: list of string required`}},
		"a value for a block":      {"cores = \"0-3\"", []string{`11: cores is a block: write cores { … }, not cores = …`}},
		"two cores blocks":         {"cores {\n smt = \"share\"\n}\ncores {\n layout = \"pack\"\n}", []string{`: cores: only one such block may be there`}},
		"a solver without name":    {"solver {\n path = \"/a\"\n}", []string{"solver"}},
		"a solver without path":    {"solver \"a\" {\n parallel = \"smp\"\n}", []string{`11: solver "a": path is missing, and needed`}},
		"a template":               {"state_dir = \"/${HOME}\"", []string{"11: state_dir: "}},
		"relative state_dir":       {"state_dir = \"state\"", []string{`11: state_dir must be an absolute path, not "state"`}},
		"relative status_dir":      {"status_dir = \"run\"", []string{`11: status_dir must be an absolute path below /`}},
		"status_dir in state_dir":  {"state_dir = \"/a\"\nstatus_dir = \"/a/b\"", []string{`12: status_dir "/a/b" and state_dir "/a" must not contain each other`}},
		"usable is no list":        {"cores {\n usable = \"0-x\"\n}", []string{`12: cores: usable must be a list of CPUs`}},
		"unknown smt":              {"cores {\n smt = \"isolat\"\n}", []string{`12: cores: smt is "isolat": use "isolate"`}},
		"unknown layout":           {"cores {\n layout = \"dense\"\n}", []string{`12: cores: layout is "dense": use "pack"`}},
		"unknown memory":           {"cores {\n memory = \"preferd\"\n}", []string{`did you mean "preferred"?`}},
		"relative solver path":     {"solver \"a\" {\n path = \"a\"\n}", []string{`12: solver "a": path must be absolute, not "a"`}},
		"unknown parallel":         {"solver \"a\" {\n path = \"/a\"\n parallel = \"mp\"\n}", []string{`13: solver "a": parallel must be smp, mpp or hybrid, not "mp"; did you mean `}},
		"unknown precision":        {"solver \"a\" {\n path = \"/a\"\n precision = \"dual\"\n}", []string{`13: solver "a": precision must be single or double, not "dual"`}},
		"mpp without mpi":          {"solver \"a\" {\n path = \"/a\"\n parallel = \"mpp\"\n}", []string{`13: solver "a": parallel = "mpp" needs mpi`}},
		"unknown mpi":              {"solver \"a\" {\n path = \"/a\"\n parallel = \"mpp\"\n mpi = \"open-mpi\"\n}", []string{`14: solver "a": mpi must be openmpi, intelmpi, platformmpi or mpich, not "open-mpi"; did you mean "openmpi"?`}},
		"relative mpirun":          {"solver \"a\" {\n path = \"/a\"\n parallel = \"mpp\"\n mpi = \"mpich\"\n mpirun = \"mpirun\"\n}", []string{`15: solver "a": mpirun must be the absolute path`}},
		"mpirun for smp":           {"solver \"a\" {\n path = \"/a\"\n mpirun = \"/m\"\n}", []string{`13: solver "a": mpi and mpirun are for parallel`}},
		"an impossible variable":   {"solver \"a\" {\n path = \"/a\"\n env {\n  \"A=B\" = \"c\"\n }\n}", []string{`13: solver "a": env has a variable with the impossible name "A=B"`}},
		"solver with a dot":        {"solver \"r14.1\" {\n path = \"/a\"\n}", []string{`11: solver "r14.1": a name has letters, digits, - and _ only`}},
		"unknown licence":          {"license {\n type = \"netwrk\"\n}", []string{`12: license: type must be network, local or ansys, not "netwrk"; did you mean "network"?`}},
		"licence without server":   {"license {\n type = \"network\"\n}", []string{`11: license: type = "network" needs a server`}},
		"server with a blank":      {"license {\n server = \"a, b\"\n}", []string{`12: license: server holds a blank`}},
		"server that is an option": {"license {\n server = \"-a\"\n}", []string{`12: license: server begins with a dash`}},
		"interconnect of another":  {"license {\n type = \"local\"\n interconnect = \"2325\"\n}", []string{`13: license: interconnect is Ansys's`}},
		"interconnect is no port":  {"license {\n type = \"ansys\"\n server = \"1@a\"\n interconnect = \"x\"\n}", []string{`14: license: interconnect must be a port`}},
		"relative qrun":            {"license {\n server = \"a\"\n qrun = \"lstc_qrun\"\n}", []string{`13: license: qrun must be the absolute path`}},
		"qrun of another":          {"license {\n type = \"local\"\n qrun = \"/q\"\n}", []string{`13: license: qrun asks LSTC's network licence server`}},
		"relative work root":       {"work_roots = [\"scratch\"]", []string{`11: work_roots: "scratch" must be an absolute path below /`}},
		"the root as work root":    {"work_roots = [\"/\"]", []string{`11: work_roots: "/" must be an absolute path below /`}},
		"processes below zero":     {"max_processes = -1", []string{`11: max_processes must be 0 (no limit) or more, not -1`}},
		"denied users are words":   {"denied_host_uids = \"root\"", []string{`11: denied_host_uids: "root" is no id or range`}},
		"denied groups backwards":  {"denied_host_gids = \"9-0\"", []string{`11: denied_host_gids: "9-0" is no id or range`}},
		"several, of schema and driver": {
			"smt = 1\ncores {\n smt = \"off\"\n}\nsolver \"a\" {\n parallel = \"mpp\"\n}",
			[]string{`11: there is no key "smt"`, `13: cores: smt is "off"`, `15: solver "a": path is missing`, `16: solver "a": parallel = "mpp" needs mpi`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := checkText(t, fmt.Sprintf(around, c.block))
			contains(t, r.Errors, c.want...)
			must.Eq(t, len(c.want) == 0, len(r.Settings) > 0)
		})
	}
}

// What stands around the block keeps the agent or the driver from starting, too.
func TestCheck_TellsWhatStandsAroundTheBlock(t *testing.T) {
	sound := fmt.Sprintf(around, "solver \"a\" {\n path = \"/a\"\n precision = \"double\"\n}")
	for name, c := range map[string]struct {
		old, new         string
		errors, warnings []string
	}{
		"as it should be":   {"", "", nil, nil},
		"the driver's name": {`"nomad-driver-lsdyna"`, `"lsdyna"`, []string{`9: plugin "lsdyna": the agent knows a plugin by its file's name; write plugin "nomad-driver-lsdyna"`}, nil},
		"a name like it":    {`"nomad-driver-lsdyna"`, `"nomad-driver-ls-dyna"`, []string{`9: plugin "nomad-driver-ls-dyna": `}, nil},
		"another plugin":    {`"nomad-driver-lsdyna"`, `"docker"`, []string{`0: no file has a block plugin "nomad-driver-lsdyna"`}, nil},
		"arguments":         {"  config {", "  args = [\"-v\"]\n  config {", []string{`10: args: with arguments the plugin is a command`}, nil},
		"a key of a plugin": {"  config {", "  confg = true\n  config {", nil, []string{`10: plugin "nomad-driver-lsdyna": there is no key "confg", and the agent passes over it and what stands in it; did you mean "config"?`}},
		"two labels":        {`"nomad-driver-lsdyna"`, `"nomad-driver-lsdyna" "a"`, []string{`9: the agent does not expect a in a plugin block`}, nil},
		"beside the block":  {"plugin", "work_roots = []\nplugin", []string{`9: work_roots stands in no plugin block`}, nil},
		"in no block":       {`plugin "nomad-driver-lsdyna"`, `locals`, []string{`0: no file has a block plugin "nomad-driver-lsdyna"`}, nil},
		"config in none":    {"plugin \"nomad-driver-lsdyna\" {\n  config {", "config {\n  cores {", []string{`9: config stands in no plugin block, and the agent does not start with it`}, nil},
		"no syntax":         {"client {", "client {{", []string{`1: At 1:9`}, nil},
		"no client":         {"  enabled          = true\n", "", nil, []string{"1: client: the agent is no client"}},
		"no unit":           {`"30m"`, `"30"`, []string{`3: client: max_kill_timeout must be a duration with its unit, such as "30m", not "30"`}, nil},
		"no patience":       {`"30m"`, `"30s"`, nil, []string{"3: client: max_kill_timeout caps"}},
		"Nomad's patience":  {"  max_kill_timeout = \"30m\"\n", "", nil, []string{"1: client: max_kill_timeout is not set, and Nomad's 30s cap"}},
		"no graphs":         {"  publish_allocation_metrics = true\n", "", nil, []string{"5: telemetry: publish_allocation_metrics"}},
		"an allowlist":      {"  enabled  ", "  options = { \"driver.allowlist\" = \"raw_exec\" }\n  enabled  ", nil, []string{`2: client: options "driver.allowlist" does not name lsdyna`}},
		"a good allowlist":  {"  enabled  ", "  options = { \"driver.allowlist\" = \"raw_exec, lsdyna\" }\n  enabled  ", nil, nil},
		"as of old":         {"  enabled  ", "  options = { \"driver.whitelist\" = \"raw_exec\" }\n  enabled  ", nil, []string{`2: client: options "driver.whitelist" does not name lsdyna`}},
		"a blacklist":       {"  enabled  ", "  options = { \"driver.blacklist\" = \"lsdyna\" }\n  enabled  ", nil, []string{`2: client: options "driver.blacklist" names lsdyna`}},
		"two minutes do":    {`"30m"`, `"2m"`, nil, nil},
		"a denylist":        {"  enabled  ", "  options = { \"driver.denylist\" = \"lsdyna\" }\n  enabled  ", nil, []string{`2: client: options "driver.denylist" names lsdyna`}},
		"disabled":          {"  config {", "  config {\n enabled = false", nil, []string{"11: enabled = false: the node has no driver lsdyna"}},
		"precision":         {" precision = \"double\"\n", "", nil, []string{`11: solver "a": precision is not written, and double is taken`}},
		"no solver":         {"solver \"a\" {\n path = \"/a\"\n precision = \"double\"\n}", "", nil, []string{"10: no solver is configured, so the node is unhealthy"}},
	} {
		t.Run(name, func(t *testing.T) {
			must.True(t, strings.Contains(sound, c.old))
			r := checkText(t, strings.Replace(sound, c.old, c.new, 1))
			contains(t, r.Errors, c.errors...)
			warnings := slices.DeleteFunc(r.Warnings, func(f findings.Finding) bool {
				return f.Key == "state_dir" || strings.Contains(f.Text, "no such file") // the machine's
			})
			contains(t, warnings, c.warnings...)
		})
	}
}

func TestCheck_LooksAtTheMachine(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"solver": 0o700, "ls-dyna_mpp_s_R14": 0o700, "qrun": 0o600, "LICENSE": 0o600} {
		must.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, mode))
	}
	for name, c := range map[string]struct {
		block string
		want  []string
	}{
		"all is there":              {"solver \"a\" {\n path = \"@/solver\"\n precision = \"single\"\n}\nwork_roots = [\"@\"]", nil},
		"a solver is missing":       {"solver \"a\" {\n path = \"@/none\"\n precision = \"double\"\n}", []string{`11: solver "a": stat @/none: no such file or directory`}},
		"a launcher is missing":     {"solver \"a\" {\n path = \"@/solver\"\n precision = \"double\"\n parallel = \"mpp\"\n mpi = \"mpich\"\n mpirun = \"@/mpirun\"\n}", []string{`11: solver "a": stat @/mpirun`}},
		"another build":             {"solver \"a\" {\n path = \"@/ls-dyna_mpp_s_R14\"\n precision = \"double\"\n}", []string{`11: solver "a": by its name ls-dyna_mpp_s_R14 is built for MPP`, `13: solver "a": by its name ls-dyna_mpp_s_R14 is of single precision`}},
		"a work root is missing":    {"allow_command = true\nwork_roots = [\"@\", \"@/none\"]", []string{`12: work_roots: stat @/none: no such file or directory: mount or make it`}},
		"a work root is a file":     {"allow_command = true\nwork_roots = [\"@/solver\"]", []string{`12: work_roots: @/solver is not a folder`}},
		"qrun is missing":           {"allow_command = true\nlicense {\n server = \"a\"\n qrun = \"@/none\"\n}", []string{`14: license: qrun: stat @/none: no such file or directory: runs start without a look`}},
		"qrun is no executable":     {"allow_command = true\nlicense {\n server = \"a\"\n qrun = \"@/qrun\"\n}", []string{`14: license: qrun: @/qrun is not an executable file`}},
		"the licence file":          {"allow_command = true\nlicense {\n type = \"local\"\n server = \"@/LICENSE\"\n}", nil},
		"no licence file":           {"allow_command = true\nlicense {\n type = \"local\"\n server = \"@/s3cret\"\n}", []string{`14: license: the licence file that server names is not there`}},
		"CPUs that are not there":   {"allow_command = true\ncores {\n usable = \"0,1000\"\n}", []string{`13: cores: usable names CPUs 1000, which`}},
		"only CPUs that are not":    {"allow_command = true\ncores {\n usable = \"900-1000\"\n}", []string{`13: cores: `}},
		"others may read state_dir": {"allow_command = true\nstate_dir = \"@/open\"", []string{`12: state_dir @/open has mode 0755`}},
	} {
		t.Run(name, func(t *testing.T) {
			open := filepath.Join(dir, "open")
			must.NoError(t, os.MkdirAll(open, 0o755))
			must.NoError(t, os.Chmod(open, 0o755))
			in := func(text string) string { return strings.ReplaceAll(text, "@", dir) }
			if strings.Contains(name, "state_dir") && os.Geteuid() != 0 {
				t.Skip("needs the rights of an agent")
			}
			block := in(c.block)
			if !strings.Contains(block, "state_dir") {
				block += fmt.Sprintf("\nstate_dir = %q", filepath.Join(dir, "state"))
			}
			r := checkText(t, fmt.Sprintf(around, block))
			must.SliceEmpty(t, r.Errors)
			warnings := slices.DeleteFunc(r.Warnings, func(f findings.Finding) bool { return strings.Contains(f.Text, "is in memory") })
			var want []string
			for _, w := range c.want {
				want = append(want, in(w))
			}
			contains(t, warnings, want...)
			must.StrNotContains(t, fmt.Sprintf("%+v", r), "s3cret")
		})
	}
}

// The agent finds the plugin in plugin_dir, else below data_dir, and the users of tasks
// must come through data_dir.
func TestCheck_LooksAtTheAgentsFolders(t *testing.T) {
	config := fmt.Sprintf(around, "allow_command = true")
	root := readable(t)
	file := filepath.Join(root, "agent.hcl")
	data := filepath.Join(root, "data")
	must.NoError(t, os.WriteFile(file, []byte(fmt.Sprintf("data_dir = %q\n", data)+config), 0o600))
	warned := func() []findings.Finding {
		r := names.Check(t.Context(), findings.Request{Paths: []string{file}})
		must.SliceEmpty(t, r.Errors)
		return slices.DeleteFunc(r.Warnings, func(f findings.Finding) bool { return f.Key == "state_dir" })
	}
	contains(t, warned(), "1: data_dir: "+data+" is not there, and Nomad makes it with mode 0700", "0: plugin_dir: stat "+data+"/plugins/nomad-driver-lsdyna")
	must.NoError(t, os.MkdirAll(filepath.Join(data, "plugins"), 0o711))
	plugin := filepath.Join(data, "plugins", "nomad-driver-lsdyna")
	must.NoError(t, os.WriteFile(plugin, nil, 0o600))
	contains(t, warned(), "0: plugin_dir: "+plugin+" is not an executable file")
	must.NoError(t, os.Chmod(plugin, 0o755))
	must.SliceEmpty(t, warned())
	must.NoError(t, os.Chmod(data, 0o700))
	if os.Geteuid() == 0 {
		contains(t, warned(), "1: data_dir: "+data+" has mode 0700, of uid 0: tasks run as users of their own, who cannot come to run folders below it (work_dir = \"local\"): chmod 0711 "+data)
		must.NoError(t, os.Chmod(data, 0o770))
		contains(t, warned(), "1: data_dir: "+data+" has mode 0770, of uid 0")
		must.NoError(t, os.Chmod(data, 0o711))
		alloc := filepath.Join(data, "alloc")
		must.NoError(t, os.Mkdir(alloc, 0o700))
		contains(t, warned(), "1: data_dir: "+alloc+" has mode 0700, of uid 0")
		must.NoError(t, os.Chmod(alloc, 0o711))

		// A link leads through folders that may be closed.
		hidden := filepath.Join(root, "hidden")
		must.NoError(t, os.Mkdir(hidden, 0o700))
		must.NoError(t, os.Rename(data, filepath.Join(hidden, "data")))
		must.NoError(t, os.Symlink("hidden/data", data))
		contains(t, warned(), "1: data_dir: "+hidden+" has mode 0700, of uid 0")
	}
	// What the call names comes before, as with the agent's own options.
	other := filepath.Join(root, "other")
	must.NoError(t, os.MkdirAll(filepath.Join(other, "plugins"), 0o711))
	named := func(r findings.Request) string {
		r.Paths = []string{file}
		return strings.Join(told(names.Check(t.Context(), r).Warnings), "\n")
	}
	must.StrContains(t, named(findings.Request{DataDir: other}), "stat "+other+"/plugins/nomad-driver-lsdyna")
	must.StrContains(t, named(findings.Request{PluginDir: other}), "stat "+other+"/nomad-driver-lsdyna")
}

// An agent does not start with a link in plugin_dir that leads nowhere. To whom plugin_dir
// is closed nothing is told of what is there.
func TestCheck_LooksForThePlugin(t *testing.T) {
	dir := readable(t)
	file, plugins := filepath.Join(dir, "agent.hcl"), filepath.Join(dir, "plugins")
	must.NoError(t, os.WriteFile(file, fmt.Appendf(nil, "plugin_dir = %q\n"+around, plugins, "allow_command = true"), 0o644))
	must.NoError(t, os.Mkdir(plugins, 0o755))
	plugin := filepath.Join(plugins, names.Plugin)
	must.NoError(t, os.Symlink("/nonexistent", plugin))
	check := func() findings.Report { return names.Check(t.Context(), findings.Request{Paths: []string{file}}) }
	contains(t, check().Errors, "1: plugin_dir: "+plugin+" is a link that leads nowhere, and the agent does not start")

	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	must.NoError(t, os.Remove(plugin))
	must.NoError(t, os.WriteFile(plugin, nil, 0o755))
	must.NoError(t, os.Chmod(plugins, 0o700))
	must.NoError(t, creds.User{UID: 65534, GID: 65534}.Do(func() error {
		r := check()
		must.SliceEmpty(t, r.Errors)
		must.False(t, slices.ContainsFunc(r.Warnings, func(f findings.Finding) bool { return f.Key == "plugin_dir" }), must.Sprint(told(r.Warnings)))
		must.SliceContains(t, r.Notes, "plugin_dir "+plugins+" was not looked at: that takes the rights of the agent")
		return nil
	}))
}

// readable is a temporary folder that everybody may pass.
func readable(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for dir := root; dir != "/"; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm()&1 == 0 {
			must.NoError(t, os.Chmod(dir, 0o711)) // the test's own
		}
	}
	return root
}

func TestCheck_TellsOfConfigBlocksThatDoNotCount(t *testing.T) {
	dir := t.TempDir()
	for name, block := range map[string]string{"a.hcl": "state_dir = \"relative\"", "b.hcl": "allow_command = true"} {
		must.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(fmt.Sprintf(around, block)), 0o600))
	}
	r := names.Check(t.Context(), findings.Request{Paths: []string{dir}})
	must.SliceEmpty(t, r.Errors, must.Sprint("as with the agent, what stands in a.hcl does not count"))
	must.True(t, slices.ContainsFunc(r.Warnings, func(f findings.Finding) bool {
		return f.File == filepath.Join(dir, "a.hcl") && f.Line == 10 && strings.Contains(f.Text, "the agent does not merge config blocks of several") && strings.Contains(f.Text, "b.hcl, line 10")
	}), must.Sprint(told(r.Warnings)))
}

func TestCheck_OfTheDriversBlockAlone(t *testing.T) {
	for name, text := range map[string]string{
		"config block": "config {\n\n  state_dir = \"relative\"\n}",
		"its content":  "allow_command = true\n\nstate_dir = \"relative\"",
		"JSON":         "{\n\"config\": {\n  \"state_dir\": \"relative\"\n}}",
	} {
		t.Run(name, func(t *testing.T) {
			r := checkText(t, text)
			contains(t, r.Errors, "3: state_dir must be an absolute path")
			must.SliceEmpty(t, r.Warnings)
			must.Eq(t, "state_dir", r.Errors[0].Key)
		})
	}
}

// A reboot forgets what is in memory.
func TestCheck_WarnsOfAStateDirInMemory(t *testing.T) {
	const memory = "/dev/shm"
	if os.Geteuid() != 0 || !isInMemory(memory) {
		t.Skip("needs root and a file system in memory")
	}
	dir := filepath.Join(memory, "checkconfig-test")
	r := checkText(t, fmt.Sprintf(around, fmt.Sprintf("allow_command = true\nstate_dir = %q", dir)))
	contains(t, r.Warnings, "12: state_dir "+dir+" is in memory: a reboot forgets runs")
	must.False(t, isInMemory("/proc"))
}

// Reports end up in tickets.
func TestCheck_ShowsNoSecrets(t *testing.T) {
	r := checkText(t, fmt.Sprintf(around, "license {\n server = \"31010@s3cret\"\n}\nsolver \"a\" {\n path = \"/a\"\n env {\n  TOKEN = \"s3cret\"\n }\n}"))
	must.SliceEmpty(t, r.Errors)
	must.StrNotContains(t, fmt.Sprintf("%+v", r), "s3cret")
	must.SliceContains(t, r.Settings, findings.Setting{Key: "solver.a.env", Value: "TOKEN (set, not shown)"})
	must.SliceContains(t, r.Settings, findings.Setting{Key: "cores.smt", Value: "isolate", Default: true})
	must.SliceContains(t, r.Settings, findings.Setting{Key: "license.server", Value: "(set, not shown)"})
	r = checkText(t, fmt.Sprintf(around, "license {\n type = \"ansys\"\n server = \"1055@s3cret\"\n interconnect = \"2325@s3cret\"\n}"))
	must.SliceEmpty(t, r.Errors)
	must.StrNotContains(t, fmt.Sprintf("%+v", r), "s3cret")
}

func TestCheck_WithoutAFile(t *testing.T) {
	r := names.Check(context.Background(), findings.Request{Paths: []string{"/nonexistent/agent.hcl"}})
	contains(t, r.Errors, "0: stat /nonexistent/agent.hcl: no such file or directory")
	must.SliceEmpty(t, r.Warnings)
}

// Nobody knows whether a file that cannot be read has the driver's block.
func TestCheck_MissesNoBlockBesideAFileThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	must.NoError(t, os.WriteFile(filepath.Join(dir, "a.hcl"), []byte("client {\n  enabled = true\n}\n"), 0o600))
	must.NoError(t, os.WriteFile(filepath.Join(dir, "b.hcl"), []byte(fmt.Sprintf(around, "allow_command = yes")), 0o600))
	r := names.Check(t.Context(), findings.Request{Paths: []string{dir}})
	contains(t, r.Errors, "11: At 11:")
}
