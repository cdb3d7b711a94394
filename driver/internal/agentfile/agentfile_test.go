// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package agentfile

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

// write makes a folder with files.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		must.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	return dir
}

func TestRead_TakesTheFilesThatTheAgentTakes(t *testing.T) {
	dir := write(t, map[string]string{
		"20.hcl": `data_dir = "/second"`, "10.hcl": `data_dir = "/first"`, "30.json": `{"plugin_dir": "/plugins"}`,
		"40.hcl~": `data_dir = "/editor"`, ".#50.hcl": `data_dir = "/editor"`, "60.txt": "no configuration",
	})
	must.NoError(t, os.Mkdir(filepath.Join(dir, "70.hcl"), 0o700))
	more := filepath.Join(write(t, map[string]string{"more.conf": `client { enabled = true }`}), "more.conf")
	a, errs := Read([]string{dir, more})
	must.SliceEmpty(t, errs)
	must.Eq(t, []string{filepath.Join(dir, "10.hcl"), filepath.Join(dir, "20.hcl"), filepath.Join(dir, "30.json"), more}, a.Files())
	must.Eq(t, "/second", a.DataDir)
	must.Eq(t, "/plugins", a.PluginDir)
	must.True(t, a.Client.Enabled)
}

func TestRead_MergesAsTheAgentDoes(t *testing.T) {
	a, errs := Read([]string{write(t, map[string]string{
		"1.hcl": `
client {
  enabled          = true
  max_kill_timeout = "1m"
  options          = { a = "1", b = "1" }
}
telemetry { publish_node_metrics = true }
plugin "x" {
  config {
    one = 1
    two = 1
  }
}
plugin "y" { config { y = true } }`,
		"2.hcl": `
client {
  max_kill_timeout = "2m"
  options          = { b = "2" }
}
telemetry { publish_allocation_metrics = true }
plugin "x" {
  args = ["-v"]
  config {
    two = 2
  }
}`,
	})})
	must.SliceEmpty(t, errs)
	must.True(t, a.Client.Enabled)
	must.Eq(t, "2m", a.Client.MaxKillTimeout)
	must.Eq(t, map[string]string{"a": "1", "b": "2"}, a.Client.Options)
	must.Eq(t, Telemetry{PublishAllocationMetrics: true, PublishNodeMetrics: true}, a.Telemetry)
	x := a.Plugin("x")
	must.Eq(t, map[string]any{"two": 2}, x.Config, must.Sprint("a later config block replaces an earlier one whole"))
	must.Eq(t, []string{"-v"}, x.Args)
	must.NotNil(t, a.Plugin("y"))
	must.Nil(t, a.Plugin("z"))
	counts, others := a.Configs("x")
	must.StrHasSuffix(t, "2.hcl", counts.Place().File)
	must.Len(t, 1, others)
	must.Eq(t, 14, a.Where("plugin", "y", "config").Line)
}

func TestRead_TellsWhereAFileCannotBeRead(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		line int
		want string
	}{
		"no end of a block":  {"client {\n  enabled = true\n", 3, "object expected closing RBRACE"},
		"a wrong type":       {"client {\n  enabled = \"maybe\"\n}\n", 0, "Unknown value for boolean"},
		"no JSON":            {"{\n  \"client\": ]\n", 2, "]"},
		"no configuration":   {"\x7fELF\x00", 1, "illegal"},
		"a key without word": {"plugin \"x\" {\n config {\n  = 3\n }\n}\n", 3, "no object keys found"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := write(t, map[string]string{"a.hcl": c.text, "b.hcl": `data_dir = "/there"`})
			a, errs := Read([]string{dir})
			must.Len(t, 1, errs)
			must.Eq(t, filepath.Join(dir, "a.hcl"), errs[0].Place.File)
			must.StrContains(t, errs[0].Error(), c.want)
			if c.line > 0 {
				must.Eq(t, c.line, errs[0].Place.Line, must.Sprint(errs[0]))
			}
			must.Eq(t, "/there", a.DataDir, must.Sprint("the other files are read"))
		})
	}
	_, errs := Read([]string{"/nonexistent/agent.hcl"})
	must.Len(t, 1, errs)
	must.Eq(t, Place{File: "/nonexistent/agent.hcl"}, errs[0].Place)
}

// The agent passes over a folder that has nothing for it.
func TestRead_AFolderWithoutFiles(t *testing.T) {
	empty := t.TempDir()
	a, errs := Read([]string{empty, write(t, map[string]string{"a.hcl": `data_dir = "/there"`})})
	must.SliceEmpty(t, errs)
	must.Eq(t, []string{empty}, a.Empty)
	must.Eq(t, "/there", a.DataDir)
}

// Of several blocks the agent takes what the command line of Nomad shows in an agent that runs.
func TestConfigs(t *testing.T) {
	for name, c := range map[string]struct {
		files         []string
		counts        string   // file:line
		others        []string // likewise
		sound, absent string   // keys of the config that count, and that do not
	}{
		"one":                             {[]string{"plugin \"x\" {\n config {\n  a = 1\n }\n}"}, "0.hcl:2", nil, "a", "b"},
		"no config":                       {[]string{"plugin \"x\" {\n}"}, "0.hcl:1", nil, "", "a"},
		"two configs in a block":          {[]string{"plugin \"x\" {\n config {\n  a = 1\n }\n config {\n  b = 1\n }\n}"}, "0.hcl:5", nil, "a", ""},
		"two blocks in a file":            {[]string{"plugin \"x\" {\n config {\n  a = 1\n }\n}\nplugin \"x\" {\n config {\n  b = 1\n }\n}"}, "0.hcl:7", []string{"0.hcl:2"}, "b", "a"},
		"the second without":              {[]string{"plugin \"x\" {\n config {\n  a = 1\n }\n}\nplugin \"x\" {\n}"}, "0.hcl:6", []string{"0.hcl:2"}, "", "a"},
		"two files":                       {[]string{"plugin \"x\" {\n config {\n  a = 1\n }\n}", "plugin \"x\" {\n config {\n  b = 1\n }\n}"}, "1.hcl:2", []string{"0.hcl:2"}, "b", "a"},
		"the second file's is empty":      {[]string{"plugin \"x\" {\n config {\n  a = 1\n }\n}", "plugin \"x\" {\n config {\n }\n}"}, "0.hcl:2", nil, "a", ""},
		"the second file has none":        {[]string{"plugin \"x\" {\n config {\n  a = 1\n }\n}", "plugin \"x\" {\n args = []\n}"}, "0.hcl:2", nil, "a", ""},
		"without label":                   {[]string{"plugin {\n x {\n config {\n  a = 1\n }\n}\n}"}, "0.hcl:3", nil, "a", ""},
		"another plugin's do not matter":  {[]string{"plugin \"x\" {\n config {\n  a = 1\n }\n}\nplugin \"y\" {\n config {\n  b = 1\n }\n}"}, "0.hcl:2", nil, "a", "b"},
		"JSON's lists, two files, merged": {[]string{`{"plugin": {"x": [{"config": [{"a": 1}]}]}}`, `{"plugin": [{"y": {"config": {"a": 1}}}]}`}, "0.hcl:1", nil, "a", ""},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{}
			for i, text := range c.files {
				files[fmt.Sprintf("%d.hcl", i)] = text
			}
			a, errs := Read([]string{write(t, files)})
			must.SliceEmpty(t, errs)
			place := func(b *Block) string { return fmt.Sprintf("%s:%d", filepath.Base(b.Place().File), b.Place().Line) }
			counts, others := a.Configs("x")
			var told []string
			for _, other := range others {
				told = append(told, place(other))
			}
			must.Eq(t, c.counts, place(counts))
			must.Eq(t, c.others, told)
			for key, want := range map[string]bool{c.sound: true, c.absent: false} {
				_, is := a.Plugin("x").Config[key]
				must.Eq(t, want, is || key == "" && want, must.Sprint("what the decoder says of ", key))
				must.Eq(t, want, a.Has("plugin", "x", "config", key) || key == "" && want, must.Sprint(key))
			}
		})
	}
}

// Labels and JSON's objects that the agent refuses, and keys that it passes over.
func TestRead_KeysOfPluginBlocks(t *testing.T) {
	for name, c := range map[string]struct {
		text, refused, ignored string
	}{
		"a second label":         {"plugin \"x\" \"y\" {\n config {\n }\n}", "does not expect y in a plugin block", ""},
		"JSON of blocks alone":   {`{"plugin": {"x": {"config": {"cores": {"smt": "share"}}}}}`, "does not expect cores", ""},
		"JSON, another block":    {`{"plugin": {"x": {"confg": {"a": 1}, "config": {"a": 1}}}}`, "does not expect confg", ""},
		"JSON with a value":      {`{"plugin": {"x": {"confg": 1, "config": {"a": 1}}}}`, "", "confg"},
		"JSON of lists":          {`{"plugin": [{"x": [{"config": [{"cores": [{"smt": "share"}]}]}]}]}`, "", ""},
		"JSON beside args":       {`{"plugin": {"x": {"args": [], "config": {"cores": {"smt": "share"}}}}}`, "", ""},
		"a key":                  {"plugin \"x\" {\n confg = 1\n config {\n }\n}", "", "confg"},
		"a block":                {"plugin \"x\" {\n confg {\n }\n}", "", "confg"},
		"of a block before":      {"plugin \"x\" {\n confg {\n }\n}\nplugin \"x\" {\n config {\n }\n}", "", "confg"},
		"two configs in a block": {"plugin \"x\" {\n config {\n }\n config {\n }\n}", "", ""},
		"two plugins":            {"plugin \"x\" {\n config {\n }\n}\nplugin \"y\" {\n config {\n }\n}", "", ""},
		"two blocks":             {"plugin \"x\" {\n config {\n }\n}\nplugin \"x\" {\n config {\n }\n}", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			a, errs := Read([]string{write(t, map[string]string{"f.hcl": c.text})})
			if c.refused != "" {
				must.Len(t, 1, errs)
				must.StrContains(t, errs[0].Error(), c.refused)
				must.Eq(t, 1, errs[0].Place.Line)
				return
			}
			must.SliceEmpty(t, errs)
			must.Eq(t, c.ignored, strings.Join(slices.Sorted(maps.Keys(a.Ignored("x"))), " "))
		})
	}
}

const block = `plugin "x" {
  config {
    list = ["a"]
    cores {
      smt = "isolate"
    }
    solver "r14" {
      path = "/a"
    }
    solver "r15" {
      path = "/b"
      env {
        A = "b"
      }
    }
  }
}
`

const blockJSON = `{
  "plugin": {
    "x": {
      "config": {
        "list": ["a"],
        "cores": {
          "smt": "isolate"
        },
        "solver": {
          "r14": {
            "path": "/a"
          },
          "r15": {
            "path": "/b"
          }
        }
      }
    }
  }
}
`

const blockLists = `{
  "plugin": [
    {"x": [{
      "config": [{
        "cores": [{
          "smt": "isolate"
        }],
        "solver": [
          {"r14": [{"path": "/a"}]},
          {"r15": [{
            "path": "/b"}]}
        ]
      }]
    }]}
  ]
}
`

func TestWhere(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       map[string]int // by the last names of the path, which stand in the config block
	}{
		{"HCL", block, map[string]int{"": 2, "list": 3, "cores": 4, "cores/smt": 5, "cores/none": 4, "solver/r14/path": 8, "solver/r15": 10, "solver/r15/path": 11, "solver/r15/env/A": 13, "none": 2}},
		{"JSON", blockJSON, map[string]int{"list": 5, "cores/smt": 7, "solver/r14/path": 11, "solver/r15/path": 14}},
		{"JSON of lists", blockLists, map[string]int{"cores/smt": 6, "solver/r15/path": 11}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(write(t, map[string]string{"f.hcl": c.text}), "f.hcl")
			a, errs := Read([]string{path})
			must.SliceEmpty(t, errs)
			must.NotNil(t, a.Plugin("x").Config["cores"])
			for names, line := range c.want {
				keys := append([]string{"plugin", "x", "config"}, strings.FieldsFunc(names, func(r rune) bool { return r == '/' })...)
				must.Eq(t, Place{path, line}, a.Where(keys...), must.Sprint(names))
			}
			must.Eq(t, Place{}, a.Where("data_dir"))
			must.True(t, a.Has("plugin", "x", "config", "cores", "smt"))
			must.False(t, a.Has("plugin", "x", "config", "cores", "none"))
		})
	}
}

func TestBare(t *testing.T) {
	known := []string{"solver", "work_roots"}
	for name, c := range map[string]struct {
		text   string
		prefix []string
		key    string // of the settings; "" for none
	}{
		"a config block":     {"config {\n  solver \"a\" { path = \"/a\" }\n}", []string{"config"}, "solver"},
		"its content":        {"work_roots = [\"/a\"]\nallow_root = true", nil, "allow_root"},
		"neither":            {"data_dir = \"/a\"", nil, ""},
		"an agent's":         {"plugin \"raw_exec\" {}\nwork_roots = [\"/a\"]", nil, ""},
		"a config of others": {"plugin \"x\" {\n config {\n solver = 1\n }\n}", nil, ""},
		"among an agent's":   {"data_dir = \"/a\"\nwork_roots = [\"/a\"]", nil, ""},
		"config beside more": {"data_dir = \"/a\"\nconfig {\n  solver \"a\" { path = \"/a\" }\n}", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a, errs := Read([]string{write(t, map[string]string{"f.hcl": c.text})})
			must.SliceEmpty(t, errs)
			settings, prefix := a.Bare(known)
			must.Eq(t, c.prefix, prefix)
			if c.key == "" {
				must.MapEmpty(t, settings)
				return
			}
			must.MapContainsKey(t, settings, c.key)
		})
	}
}

// Beside an agent's file the settings have to stand in a plugin block.
func TestBare_IsOneFile(t *testing.T) {
	a, errs := Read([]string{write(t, map[string]string{"a.hcl": `data_dir = "/a"`, "b.hcl": "config {\n}", "c.hcl": "\nsolver \"a\" {\n}"})})
	must.SliceEmpty(t, errs)
	settings, _ := a.Bare([]string{"solver"})
	must.Nil(t, settings)
	stray := a.Stray([]string{"solver", "work_roots"})
	must.MapLen(t, 2, stray)
	must.Eq(t, 1, stray["config"].Line)
	must.Eq(t, 2, stray["solver"].Line)
}
