// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package manual

import (
	"fmt"
	"strings"
)

// Bash is the completion for bash. It needs nothing of the package bash-completion.
func (p Program) Bash() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# bash completion of %s, made by: %s completion bash\n", p.Name, p.Name)
	fmt.Fprintf(&b, `%s() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} kind=none words= options=
  COMPREPLY=()
  if [ "$COMP_CWORD" -le 1 ]; then
    mapfile -t COMPREPLY < <(compgen -W %s -- "$cur")
    return
  fi
  case ${COMP_WORDS[1]} in
`, p.function(), quote(strings.Join(p.names(), " ")))
	for _, c := range p.Commands {
		fmt.Fprintf(&b, "    %s)\n      options=%s\n      %s\n", c.Name, quote(strings.Join(c.optionNames(), " ")), bashValue(c.argument(p.names())))
		b.WriteString("      case $prev in\n")
		for _, o := range c.options() {
			if o.arg != "" {
				fmt.Fprintf(&b, "        %s) options=; %s ;;\n", strings.Join(o.names, "|"), bashValue(c.of(o.names[0], o.arg)))
			}
		}
		b.WriteString("      esac ;;\n")
	}
	fmt.Fprintf(&b, `  esac
  if [ -n "$options" ] && [[ $cur == -* ]]; then
    kind=words words=$options
  fi
  case $kind in
    words) mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur") ;;
    dir) compopt -o filenames 2> /dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$cur") ;;
    file) compopt -o filenames 2> /dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
  esac
}
complete -F %s %s
`, p.function(), p.Name)
	return b.String()
}

func bashValue(v value) string {
	switch v.kind {
	case aFile:
		return "kind=file"
	case aDir:
		return "kind=dir"
	case oneOf:
		return "kind=words words=" + quote(strings.Join(v.words, " "))
	}
	return "kind=none"
}

// Zsh is the completion for zsh: a file of fpath, or to be sourced.
func (p Program) Zsh() string {
	var b strings.Builder
	fmt.Fprintf(&b, "#compdef %s\n# zsh completion of %s, made by: %s completion zsh\n", p.Name, p.Name, p.Name)
	fmt.Fprintf(&b, "%s() {\n  local -a commands=(\n", p.function())
	for _, c := range p.Commands {
		fmt.Fprintf(&b, "    %s\n", quote(c.Name+":"+c.Summary))
	}
	b.WriteString("  )\n  if (( CURRENT == 2 )); then\n    _describe -t commands command commands\n    return\n  fi\n")
	b.WriteString("  local command=$words[2]\n  shift words\n  (( CURRENT-- ))\n  case $command in\n")
	for _, c := range p.Commands {
		fmt.Fprintf(&b, "    %s)\n      _arguments '-h[How to use it]'", c.Name)
		for _, o := range c.options() {
			for _, name := range o.names {
				spec := fmt.Sprintf("%s[%s]", name, zshText(o.brief()))
				if o.arg != "" {
					spec += ":" + o.arg + ":" + zshValue(c.of(name, o.arg))
				}
				fmt.Fprintf(&b, " \\\n        %s", quote(spec))
			}
		}
		if v := c.argument(p.names()); v.kind != nothing {
			fmt.Fprintf(&b, " \\\n        %s", quote("*:argument:"+zshValue(v)))
		}
		b.WriteString(" ;;\n")
	}
	fmt.Fprintf(&b, `  esac
}
if [ "$funcstack[1]" = _%s ]; then
  %s "$@"
else
  compdef %s %s
fi
`, p.Name, p.function(), p.function(), p.Name)
	return b.String()
}

// zshText takes out what ends a description in _arguments.
func zshText(text string) string {
	return strings.NewReplacer("[", "(", "]", ")", ":", ";", `\`, "/").Replace(text)
}

func zshValue(v value) string {
	switch v.kind {
	case aFile:
		return "_files"
	case aDir:
		return "_files -/"
	case oneOf:
		return "(" + strings.Join(v.words, " ") + ")"
	}
	return " "
}

// Fish is the completion for fish.
func (p Program) Fish() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# fish completion of %s, made by: %s completion fish\ncomplete -c %s -f\n", p.Name, p.Name, p.Name)
	for _, c := range p.Commands {
		fmt.Fprintf(&b, "complete -c %s -n __fish_use_subcommand -a %s -d %s\n", p.Name, c.Name, quote(c.Summary))
	}
	for _, c := range p.Commands {
		this := fmt.Sprintf("complete -c %s -n '__fish_seen_subcommand_from %s'", p.Name, c.Name)
		for _, o := range c.options() {
			for _, name := range o.names {
				flag := "-o " + name[1:]
				if len(name) == 2 {
					flag = "-s " + name[1:]
				}
				if o.arg != "" {
					flag += fishValue(c.of(name, o.arg), " -x")
				}
				fmt.Fprintf(&b, "%s %s -d %s\n", this, flag, quote(o.brief()))
			}
		}
		if v := c.argument(p.names()); v.kind != nothing {
			fmt.Fprintf(&b, "%s%s\n", this, fishValue(v, ""))
		}
	}
	return b.String()
}

// fishValue is how an option takes a value, and alone is how it takes one that no list has.
func fishValue(v value, alone string) string {
	switch v.kind {
	case aFile:
		if alone == "" {
			return " -F"
		}
		return " -r -F"
	case aDir:
		return alone + " -a '(__fish_complete_directories)'"
	case oneOf:
		return alone + " -a " + quote(strings.Join(v.words, " "))
	}
	return alone
}
