// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/node"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/ownership"
)

func TestRun_tellsWhatToDoAboutAWrongCall(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no command":          {nil, "More on one of them: nomad-driver-lsdyna help COMMAND"},
		"unknown command":     {[]string{"stauts"}, `there is no command "stauts"; try: nomad-driver-lsdyna help`},
		"unknown flag":        {[]string{"status", "-wacth"}, "-wacth; see: nomad-driver-lsdyna help status"},
		"argument too many":   {[]string{"status", "now"}, `it takes no argument "now"`},
		"empty state_dir":     {[]string{"status", "-state-dir="}, "name the agent's state_dir"},
		"smt of status":       {[]string{"status", "-smt", "off"}, `use "isolate"`},
		"usable of metrics":   {[]string{"metrics", "-usable", "a-b"}, "-usable takes a list such as"},
		"plan without number": {[]string{"plan"}, "-ncpu N, 1 or more"},
		"plan of no core":     {[]string{"plan", "-ncpu", "0"}, "-ncpu N, 1 or more"},
		"plan of a word":      {[]string{"plan", "-ncpu", "four"}, `invalid value "four"`},
		"busy is no list":     {[]string{"plan", "-ncpu", "1", "-busy", "0-"}, "-busy takes a list such as 0-7,64"},
		"smt of plan":         {[]string{"plan", "-ncpu", "1", "-smt", "x"}, `use "isolate"`},
		"layout of plan":      {[]string{"plan", "-ncpu", "1", "-layout", "x"}, `use "pack"`},
		"inspect of nothing":  {[]string{"inspect", "-json"}, "name a run folder or an output file"},
		"help on two":         {[]string{"help", "plan", "status"}, "name one command, not 2"},
		"help on nothing":     {[]string{"help", "nothing"}, `there is no command "nothing"`},
	} {
		t.Run(name, func(t *testing.T) {
			r := call(t, c.args...)
			must.Eq(t, exitUsage, r.code)
			must.Eq(t, "", r.out)
			must.StrContains(t, r.errout, c.want)
		})
	}
}

func TestHelp_explainsEveryCommand(t *testing.T) {
	list := call(t, "help")
	must.Eq(t, exitOK, list.code)
	must.Eq(t, list.out, call(t, "--help").out)
	for _, c := range commands() {
		must.StrContains(t, list.out, "  "+c.name+" ")
		page := call(t, "help", c.name)
		must.Eq(t, exitOK, page.code)
		must.StrHasPrefix(t, "NAME\n  nomad-driver-lsdyna "+c.name+" - ", page.out)
		must.NotEq(t, "", c.help)
		for _, part := range []string{"\nUSAGE\n", "\nDESCRIPTION\n", "\nEXIT STATUS\n"} {
			must.StrContains(t, page.out, part)
		}
		for l := range strings.Lines(page.out) {
			must.LessEq(t, helpWidth+len("\n"), len(l), must.Sprint(l))
		}
		must.Eq(t, page, call(t, c.name, "-h"))
		must.Eq(t, page, call(t, c.name, "--help"))
	}
}

func TestHelp_ofReleaseFolderNamesTheFiles(t *testing.T) {
	must.StrContains(t, helpOf("release-folder"), ownership.LockFile)
	must.StrContains(t, helpOf("release-folder"), ownership.OwnerFile)
}

// TestHelp_optionsExist asks every command for each option that its page names.
func TestHelp_optionsExist(t *testing.T) {
	values := map[string]string{"ncpu": "1", "json": "true", "html": "true", "watch": "true", "dry-run": "true", "running": "true", "insist": "true", "dump": "1m", "every": "1s", "last": "1", "why": "true", "state-dir": "x", "empty": "true"}
	option := regexp.MustCompile(`(?m)^  -([a-z-]+)`)
	for _, c := range commands() {
		for _, found := range option.FindAllStringSubmatch(c.help, -1) {
			name := found[1]
			must.StrContains(t, strings.Split(c.help, "DESCRIPTION")[0], "-"+name, must.Sprint("usage of "+c.name))
			r := call(t, c.name, "-"+name+"="+values[name], "-h")
			must.Eq(t, exitOK, r.code, must.Sprintf("%s -%s: %s", c.name, name, r.errout))
		}
	}
}

func TestVersion_isThePlugins(t *testing.T) {
	Version = "1.2.3"
	t.Cleanup(func() { Version = "" })
	must.StrHasPrefix(t, "nomad-driver-lsdyna 1.2.3 (go", call(t, "version").out)
	must.Eq(t, call(t, "version"), call(t, "--version"))
	var r map[string]any
	must.NoError(t, json.Unmarshal([]byte(call(t, "version", "-json").out), &r))
	must.Eq(t, "1.2.3", r["version"].(string))
	must.Eq(t, "linux", r["os"].(string))
}

func TestVersion_isNeverEmpty(t *testing.T) {
	must.NotEq(t, "", findVersion().Version)
}

func TestParse_takesFlagsAnywhere(t *testing.T) {
	for _, args := range [][]string{
		{"-json", "a", "b"}, {"a", "-json", "b"}, {"a", "b", "-json"}, {"-json", "--", "a", "b"}, {"a", "-json", "--", "b"},
	} {
		fs := newFlags("x")
		asJSON := fs.Bool("json", false, "")
		others, err := parse(fs, args)
		must.NoError(t, err)
		must.Eq(t, []string{"a", "b"}, others)
		must.True(t, *asJSON)
	}
	others, err := parse(newFlags("x"), []string{"a", "--", "-json"})
	must.NoError(t, err)
	must.Eq(t, []string{"a", "-json"}, others)
}

// Whoever may not read state_dir is told what he may.
func TestExitCode_aClosedStateDir(t *testing.T) {
	for name, hint := range map[string]bool{"history": true, "report": true, "metrics": true, "status": false} {
		var errout strings.Builder
		code := exitCode(command{name: name}, fmt.Errorf("read: %w", &node.ClosedError{Dir: "/s"}), streams{io.Discard, &errout})
		must.Eq(t, exitNo, code)
		must.StrContains(t, errout.String(), "state_dir /s is for root only; run this as root (sudo)")
		must.Eq(t, hint, strings.Contains(errout.String(), "inspect tells of any run folder"), must.Sprint(name))
	}
}
