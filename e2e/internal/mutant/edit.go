// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package mutant

import (
	"errors"
	"fmt"
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

// An Edit is one change of the source.
//
// All of them take the name of a declaration first: a function ("Open"), a method
// ("(*Folder).Open", "Record.Locked"), or a variable, constant or type at the top
// level. A package name before it ("state.Open") tells declarations of one name
// apart.
//
// What they look for in it is Go source. An expression or one or several
// statements are compared by their syntax trees: formatting, comments and
// needless parentheses do not matter. The name _ stands for any expression. An
// `if`, `for`, `switch` or `case` without its body ("if x := f(); x > 0",
// "case x > 0:") stands for the statement with any body. There must be one such
// place in the declaration.
type Edit struct {
	in   string // the declaration
	what string // is looked for, for people; "" when it is nothing but the declaration
	find func(*declaration) []change
	err  error // of the edit's own source
}

// A change replaces a piece of a file.
type change struct {
	from, to token.Pos
	text     string
}

// Replace puts other source in the place of an expression or of statements.
func Replace(in, old, replacement string) Edit {
	p, err := parseExpression(old)
	if err != nil {
		p, err = parseStatements(old)
	}
	return edit(in, p, err, func(_ *file, found []ast.Node) change {
		return change{found[0].Pos(), found[len(found)-1].End(), grouped(replacement)}
	})
}

// Drop takes statements out.
func Drop(in, statements string) Edit {
	p, err := parseStatements(statements)
	return edit(in, p, err, func(_ *file, found []ast.Node) change {
		return change{found[0].Pos(), found[len(found)-1].End(), ""}
	})
}

// Before puts statements in front of others.
func Before(in, statements, added string) Edit {
	p, err := parseStatements(statements)
	return edit(in, p, err, func(_ *file, found []ast.Node) change {
		return change{found[0].Pos(), found[0].Pos(), added + "\n"}
	})
}

// After puts statements behind others.
func After(in, statements, added string) Edit {
	p, err := parseStatements(statements)
	return edit(in, p, err, func(_ *file, found []ast.Node) change {
		end := found[len(found)-1].End()
		return change{end, end, "\n" + added + "\n"}
	})
}

// Never makes a condition false: an expression, or that of an `if`, `for` or
// `case`. It stays in the source, so that what it uses is used, but is not
// evaluated.
func Never(in, condition string) Edit { return decide(in, condition, "false && ") }

// Always makes a condition true, in the same way.
func Always(in, condition string) Edit { return decide(in, condition, "true || ") }

func decide(in, condition, how string) Edit {
	p, err := parseExpression(condition)
	if err != nil {
		p, err = parseStatements(condition)
	}
	if err == nil && p.condition() == nil {
		err = fmt.Errorf("%q is no condition", condition)
	}
	return edit(in, p, err, func(f *file, found []ast.Node) change {
		c := conditionOf(found[0])
		return change{c.Pos(), c.End(), "(" + how + "(" + f.source(c.Pos(), c.End()) + "))"}
	})
}

// DropFlag takes one operand out of an expression of several joined by |.
func DropFlag(in, flag string) Edit {
	p, err := parseExpression(flag)
	return Edit{in: in, what: "… | " + flag, err: err, find: func(d *declaration) []change {
		var found []change
		ast.Inspect(d.node, func(n ast.Node) bool {
			if b, ok := n.(*ast.BinaryExpr); ok && b.Op == token.OR {
				switch {
				case p.matches(b.X):
					found = append(found, change{b.Pos(), b.End(), d.file.source(b.Y.Pos(), b.Y.End())})
				case p.matches(b.Y):
					found = append(found, change{b.Pos(), b.End(), d.file.source(b.X.Pos(), b.X.End())})
				}
			}
			return true
		})
		return found
	}}
}

// SetArg replaces the nth argument, from 0, of a call: that of a function ("f"), or
// one that looks so ("f(1, _)").
func SetArg(in, function string, n int, value string) Edit {
	p, err := parseExpression(function)
	return Edit{in: in, what: fmt.Sprintf("argument %d of %s", n, function), err: err, find: func(d *declaration) []change {
		var found []change
		ast.Inspect(d.node, func(node ast.Node) bool {
			call, ok := node.(*ast.CallExpr)
			if ok && n < len(call.Args) && (p.matches(call.Fun) || p.matches(call)) {
				arg := call.Args[n]
				found = append(found, change{arg.Pos(), arg.End(), value})
			}
			return true
		})
		return found
	}}
}

// SetField replaces the value of a field or key in a composite literal.
func SetField(in, field, value string) Edit {
	return fieldEdit(in, field, func(kv *ast.KeyValueExpr, _ *ast.CompositeLit) change {
		return change{kv.Value.Pos(), kv.Value.End(), value}
	})
}

// DropField takes a field or key out of a composite literal.
func DropField(in, field string) Edit {
	return fieldEdit(in, field, func(kv *ast.KeyValueExpr, lit *ast.CompositeLit) change {
		end := lit.Rbrace
		if i := slices.Index(lit.Elts, ast.Expr(kv)); i+1 < len(lit.Elts) {
			end = lit.Elts[i+1].Pos()
		}
		return change{kv.Pos(), end, ""}
	})
}

func fieldEdit(in, field string, with func(*ast.KeyValueExpr, *ast.CompositeLit) change) Edit {
	p, err := parseExpression(field)
	return Edit{in: in, what: "{… " + field + ": …}", err: err, find: func(d *declaration) []change {
		var found []change
		ast.Inspect(d.node, func(n ast.Node) bool {
			lit, ok := n.(*ast.CompositeLit)
			if !ok {
				return true
			}
			for _, e := range lit.Elts {
				if kv, ok := e.(*ast.KeyValueExpr); ok && p.matches(kv.Key) {
					found = append(found, with(kv, lit))
				}
			}
			return true
		})
		return found
	}}
}

// Begin puts statements at the start of a function: one that returns early, say.
func Begin(in, added string) Edit {
	return Edit{in: in, find: func(d *declaration) []change {
		if f, ok := d.node.(*ast.FuncDecl); ok && f.Body != nil {
			return []change{{f.Body.Lbrace + 1, f.Body.Lbrace + 1, "\n" + added + "\n"}}
		}
		return nil
	}}
}

// Declare puts another declaration beside one, in the same file.
func Declare(beside, added string) Edit {
	return Edit{in: beside, find: func(d *declaration) []change {
		return []change{{d.all.End(), d.all.End(), "\n\n" + added + "\n"}}
	}}
}

// edit is one that changes what a pattern finds.
func edit(in string, p *pattern, err error, with func(*file, []ast.Node) change) Edit {
	if err != nil {
		return Edit{in: in, err: err}
	}
	return Edit{in: in, what: p.text, find: func(d *declaration) []change {
		var changes []change
		for _, found := range p.find(d.node) {
			changes = append(changes, with(d.file, found))
		}
		return changes
	}}
}

// grouped returns source that means the same inside another expression.
func grouped(source string) string {
	if p, err := parseExpression(source); err == nil {
		if _, ok := p.expr.(*ast.BinaryExpr); ok {
			return "(" + source + ")"
		}
	}
	return source
}

// String says what the edit looks for, and where.
func (e Edit) String() string {
	if e.what == "" {
		return "the edit of " + e.in
	}
	return fmt.Sprintf("the edit of `%s` in %s", e.what, e.in)
}

var errUpdate = errors.New("bring the mutant up to date")

// place returns the one declaration of those and the one place in it.
func (e Edit) place(all []*declaration) (*declaration, change, error) {
	if e.err != nil {
		return nil, change{}, fmt.Errorf("%v: %w", e, e.err)
	}
	var named []*declaration
	for _, d := range all {
		if d.named(e.in) {
			named = append(named, d)
		}
	}
	if len(named) != 1 {
		return nil, change{}, e.misnamed(named, all)
	}
	found := e.find(named[0])
	if len(found) != 1 {
		return nil, change{}, e.misplaced(named[0], found, all)
	}
	return named[0], found[0], nil
}

// misnamed is the error of a declaration that is not there, or there several times.
func (e Edit) misnamed(named, all []*declaration) error {
	if len(named) == 0 {
		return fmt.Errorf("%v: the driver has no such declaration: %w%s%s", e, errUpdate, e.elsewhere(all), e.similar(all))
	}
	var lines []string
	for _, d := range named {
		lines = append(lines, fmt.Sprintf("%s (%s)", d, d.file.line(d.node.Pos())))
	}
	return fmt.Errorf("%v: there are several, put the package's name before it: %w\n\t%s", e, errUpdate, strings.Join(lines, "\n\t"))
}

// misplaced is the error of a declaration that does not have the expression once.
func (e Edit) misplaced(in *declaration, found []change, all []*declaration) error {
	if len(found) == 0 {
		return fmt.Errorf("%v (%s): it is not there: %w%s", e, in.file.line(in.node.Pos()), errUpdate, e.elsewhere(all))
	}
	var lines []string
	for _, c := range found {
		lines = append(lines, in.file.line(c.from))
	}
	return fmt.Errorf("%v: it is there %d times, not once: %w\n\t%s", e, len(found), errUpdate, strings.Join(lines, "\n\t"))
}

// mostElsewhere bounds how many other places an error names.
const mostElsewhere = 8

// elsewhere names the other declarations that have what is looked for.
func (e Edit) elsewhere(all []*declaration) string {
	if e.what == "" {
		return ""
	}
	var lines []string
	for _, d := range all {
		for _, c := range e.find(d) {
			lines = append(lines, fmt.Sprintf("\n\tit is in %s (%s)", d, d.file.line(c.from)))
		}
	}
	return first(lines, "\n\tit is nowhere else")
}

// similar names the functions and methods whose own name is the same.
func (e Edit) similar(all []*declaration) string {
	var lines []string
	for _, d := range all {
		if last(d.name) == last(plainName(e.in)) {
			lines = append(lines, fmt.Sprintf("\n\tthere is %s (%s)", d, d.file.line(d.node.Pos())))
		}
	}
	return first(lines, "")
}

// last returns what is behind a name's last dot.
func last(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }

// first joins the first few lines.
func first(lines []string, none string) string {
	if len(lines) == 0 {
		return none
	}
	if len(lines) > mostElsewhere {
		lines = append(lines[:mostElsewhere:mostElsewhere], "\n\t…")
	}
	return strings.Join(lines, "")
}
