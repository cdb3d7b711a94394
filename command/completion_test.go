// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/shoenig/test/must"
)

// completed has a real shell complete a command line, and returns what it offers.
type completed func(t *testing.T, file string, words []string) []string

// runShell returns the lines that a shell prints.
func runShell(t *testing.T, dir, shell string, args ...string) []string {
	t.Helper()
	path, err := exec.LookPath(shell)
	if err != nil {
		t.Skipf("%s is not installed", shell)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME="+dir, "XDG_DATA_HOME="+dir)
	out, err := cmd.CombinedOutput()
	must.NoError(t, err, must.Sprint(string(out)))
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	slices.Sort(lines)
	return lines
}

func bashCompletes(t *testing.T, file string, words []string) []string {
	script := `source "$1" || exit; shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
complete -p "$1" > /dev/null || exit
_nomad_driver_lsdyna; printf '%s\n' "${COMPREPLY[@]}"`
	return runShell(t, filepath.Dir(file), "bash", append([]string{"--norc", "-c", script, "bash", file}, words...)...)
}

func fishCompletes(t *testing.T, file string, words []string) []string {
	lines := runShell(t, filepath.Dir(file), "fish", "--no-config", "-c", "source $argv[1]; complete -C $argv[2]", file, strings.Join(words, " "))
	for i := range lines {
		lines[i], _, _ = strings.Cut(lines[i], "\t")
	}
	return lines
}

// zshCompletes has zsh complete without a terminal: what its own functions would be told
// is printed. It finds the file by its name and first line, as among those of fpath, and
// those of zsh itself are not read: there are hundreds.
func zshCompletes(t *testing.T, file string, words []string) []string {
	script := `dir=${1:h}; mkdir -p $dir/own; shift
for f in compinit compaudit compdump compinstall; do ln -sf ${^fpath}/$f(N[1]) $dir/own/; done
fpath=($dir $dir/own); autoload -U compinit; compinit -D -u
[ "$_comps[$1]" = _nomad-driver-lsdyna ] || exit
_describe() { print -l -- ${(P)4%%:*} }
_arguments() { print -l -- "$@" }
words=("$@") CURRENT=$#
_nomad-driver-lsdyna`
	lines := runShell(t, filepath.Dir(file), "zsh", append([]string{"-f", "-c", script, "zsh", file}, words...)...)
	prefix := words[len(words)-1]
	value := regexp.MustCompile(`^([^:\[]*)(?:\[[^\]]*\])?(?::[A-Za-z]+:(.*))?$`)
	var offered []string
	for _, line := range lines {
		m := value.FindStringSubmatch(line)
		must.NotNil(t, m, must.Sprint(line))
		switch before := words[len(words)-2]; {
		case strings.HasPrefix(before, "-") && m[1] == before, m[1] == "*" && !strings.HasPrefix(before, "-"):
			offered = append(offered, strings.Fields(strings.Trim(m[2], "()"))...)
		case prefix != "" && !strings.HasPrefix(before, "-") && strings.HasPrefix(m[1], prefix) && m[1] != "*":
			offered = append(offered, m[1])
		}
	}
	slices.Sort(offered)
	return offered
}

func TestCompletion_inRealShells(t *testing.T) {
	for shell, complete := range map[string]completed{"bash": bashCompletes, "zsh": zshCompletes, "fish": fishCompletes} {
		t.Run(shell, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "_"+program)
			r := call(t, "completion", shell)
			must.Eq(t, exitOK, r.code)
			must.NoError(t, os.WriteFile(file, []byte(r.out), 0o600))
			must.NoError(t, os.Mkdir(filepath.Join(dir, "run 7"), 0o700))
			must.NoError(t, os.WriteFile(filepath.Join(dir, "run.txt"), nil, 0o600))
			for words, want := range map[string][]string{
				"hist":            {"history"},
				"status -st":      {"-state-dir", "-status-dir"},
				"plan -smt ":      {"isolate", "share"},
				"plan -layout sc": {"scatter"},
				"completion ":     {"bash", "fish", "zsh"},
			} {
				got := complete(t, file, strings.Split(program+" "+words, " "))
				if shell == "zsh" && words != "" { // it chooses by what was written itself
					got = slices.DeleteFunc(got, func(s string) bool { return !strings.HasPrefix(s, words[strings.LastIndex(words, " ")+1:]) })
				}
				must.Eq(t, want, got, must.Sprint(words))
			}
		})
	}
}

func TestCompletion_ofFilesInBash(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "_"+program)
	must.NoError(t, os.WriteFile(file, []byte(call(t, "completion", "bash").out), 0o600))
	must.NoError(t, os.Mkdir(filepath.Join(dir, "run 7"), 0o700))
	must.NoError(t, os.WriteFile(filepath.Join(dir, "run.txt"), nil, 0o600))
	must.Eq(t, []string{"run 7", "run.txt"}, bashCompletes(t, file, []string{program, "inspect", "run"}))
	must.Eq(t, []string{"run 7"}, bashCompletes(t, file, []string{program, "status", "-state-dir", "ru"}))
	must.Eq(t, []string{"run 7"}, bashCompletes(t, file, []string{program, "release-folder", "ru"}))
}

// TestCompletion_hasEveryOption compares with what help says, in all shells.
func TestCompletion_hasEveryOption(t *testing.T) {
	option := regexp.MustCompile(`(?m)^  (-[a-z-]+(?:, -[a-z-]+)*)`)
	for shell, form := range map[string]string{"bash": "-%s", "zsh": "-%s[", "fish": " %s"} {
		text := call(t, "completion", shell).out
		for _, c := range commands() {
			_, options, _ := strings.Cut(c.help, "\nOPTIONS\n")
			for _, found := range option.FindAllStringSubmatch(options, -1) {
				for name := range strings.SplitSeq(found[1], ", ") {
					must.StrContains(t, text, fmt.Sprintf(form, name[1:]), must.Sprint(shell, c.name))
				}
			}
		}
	}
}

func TestCompletion_saysWhichShellsThereAre(t *testing.T) {
	for _, args := range [][]string{{"completion"}, {"completion", "tcsh"}, {"completion", "bash", "zsh"}} {
		r := call(t, args...)
		must.Eq(t, exitUsage, r.code)
		must.StrContains(t, r.errout, "bash, zsh or fish")
	}
}

func TestMan_isAManPage(t *testing.T) {
	r := call(t, "man")
	must.Eq(t, exitOK, r.code)
	path, err := exec.LookPath("mandoc")
	if err != nil {
		t.Skip("mandoc is not installed")
	}
	mandoc := func(args ...string) string {
		cmd := exec.CommandContext(t.Context(), path, args...)
		cmd.Stdin = strings.NewReader(r.out)
		out, err := cmd.CombinedOutput()
		must.NoError(t, err, must.Sprint(string(out)))
		return string(out)
	}
	lint := exec.CommandContext(t.Context(), path, "-T", "lint", "-W", "warning")
	lint.Stdin = strings.NewReader(r.out)
	out, _ := lint.CombinedOutput() // it fails where it has something to say
	for line := range strings.Lines(string(out)) {
		must.StrContains(t, line, "missing date", must.Sprint("of the build nothing is told that another one would not repeat"))
	}
	// It fits a terminal, also what is printed as it is.
	for line := range strings.Lines(regexp.MustCompile(".\x08").ReplaceAllString(mandoc("-T", "ascii"), "")) {
		must.LessEq(t, helpWidth+len("\n"), len(line), must.Sprint(line))
	}
	// Every word of every help page is on it, in this order.
	page := strings.Join(strings.Fields(mandoc("-T", "ascii", "-O", "width=200")), " ")
	page = regexp.MustCompile(".\x08").ReplaceAllString(page, "")
	for _, c := range commands() {
		must.StrContains(t, page, strings.ToUpper(c.name))
		for paragraph := range strings.SplitSeq(c.help, "\n\n") {
			if strings.HasPrefix(paragraph, "  ") {
				must.StrContains(t, page, strings.Join(strings.Fields(paragraph), " "), must.Sprint(c.name))
			}
		}
	}
}
