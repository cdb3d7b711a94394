// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package mutant

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"strconv"
	"strings"
)

// A pattern is source that is looked for: an expression, or statements.
type pattern struct {
	text   string
	expr   ast.Expr   // or nil
	stmts  []ast.Stmt // or a clause of a switch
	header bool       // the one statement stands for itself with any body
}

// parseExpression reads an expression.
func parseExpression(text string) (*pattern, error) {
	expr, err := parser.ParseExprFrom(token.NewFileSet(), "", text, parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("%q is no expression: %w", text, err)
	}
	return &pattern{text: text, expr: expr}, nil
}

// parseStatements reads statements, or the head of an if, for or case.
func parseStatements(text string) (*pattern, error) {
	whole, err := parseBody(text)
	if err == nil {
		return &pattern{text: text, stmts: whole}, nil
	}
	head := strings.TrimSpace(text)
	if strings.HasPrefix(head, "case ") || strings.HasPrefix(head, "default") {
		if stmts, e := parseBody("switch {\n" + head + "\n}"); e == nil {
			clauses := stmts[0].(*ast.SwitchStmt).Body.List
			return &pattern{text: text, stmts: clauses, header: len(clauses) == 1 && len(clauses[0].(*ast.CaseClause).Body) == 0}, nil
		}
	}
	if stmts, e := parseBody(head + " {\n}"); e == nil && len(stmts) == 1 && headOf(stmts[0]) != nil {
		return &pattern{text: text, stmts: stmts, header: true}, nil
	}
	return nil, fmt.Errorf("%q is no statement: %w", text, err)
}

// parseBody reads the statements of a function.
func parseBody(text string) ([]ast.Stmt, error) {
	file, err := parser.ParseFile(token.NewFileSet(), "", "package p\nfunc _() {\n"+text+"\n}", parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	if len(file.Decls) != 1 {
		return nil, errors.New("more than the statements of a function")
	}
	stmts := file.Decls[0].(*ast.FuncDecl).Body.List
	if len(stmts) == 0 {
		return nil, errors.New("no statement")
	}
	return stmts, nil
}

// condition returns the condition of what is looked for, nil if it has none.
func (p *pattern) condition() ast.Expr {
	if p.expr != nil {
		return p.expr
	}
	if len(p.stmts) == 1 {
		return conditionOf(p.stmts[0])
	}
	return nil
}

// conditionOf returns an expression itself, or the one condition of a statement.
func conditionOf(n ast.Node) ast.Expr {
	switch n := n.(type) {
	case ast.Expr:
		return n
	case *ast.IfStmt:
		return n.Cond
	case *ast.ForStmt:
		return n.Cond
	case *ast.CaseClause:
		if len(n.List) == 1 {
			return n.List[0]
		}
	}
	return nil
}

// headOf returns the statement without its body, nil if it has none.
func headOf(n ast.Node) ast.Node {
	switch n := n.(type) {
	case *ast.IfStmt:
		return &ast.IfStmt{Init: n.Init, Cond: n.Cond}
	case *ast.ForStmt:
		return &ast.ForStmt{Init: n.Init, Cond: n.Cond, Post: n.Post}
	case *ast.RangeStmt:
		return &ast.RangeStmt{Key: n.Key, Value: n.Value, Tok: n.Tok, X: n.X}
	case *ast.SwitchStmt:
		return &ast.SwitchStmt{Init: n.Init, Tag: n.Tag}
	case *ast.CaseClause:
		return &ast.CaseClause{List: n.List}
	}
	return nil
}

// find returns every place below a node, each as the nodes that it consists of.
func (p *pattern) find(in ast.Node) [][]ast.Node {
	var found [][]ast.Node
	ast.Inspect(in, func(n ast.Node) bool {
		_, parenthesised := n.(*ast.ParenExpr) // what is in there comes next
		switch {
		case n == nil || parenthesised:
		case p.expr != nil || len(p.stmts) == 1:
			if p.matches(n) {
				found = append(found, []ast.Node{n})
			}
		default:
			found = append(found, p.runs(listOf(n))...)
		}
		return true
	})
	return found
}

// matches reports whether a node is the one expression or statement.
func (p *pattern) matches(n ast.Node) bool {
	switch {
	case p.expr != nil:
		e, ok := n.(ast.Expr)
		return ok && same(p.expr, e)
	case p.header:
		head := headOf(n)
		return head != nil && same(headOf(p.stmts[0]), head)
	}
	return same(p.stmts[0], n)
}

// runs returns where the statements are, one behind the other.
func (p *pattern) runs(list []ast.Stmt) [][]ast.Node {
	var found [][]ast.Node
	for i := range len(list) - len(p.stmts) + 1 {
		var run []ast.Node
		for j, s := range p.stmts {
			if !same(s, list[i+j]) {
				break
			}
			run = append(run, list[i+j])
		}
		if len(run) == len(p.stmts) {
			found = append(found, run)
		}
	}
	return found
}

// listOf returns a node's list of statements.
func listOf(n ast.Node) []ast.Stmt {
	switch n := n.(type) {
	case *ast.BlockStmt:
		return n.List
	case *ast.CaseClause:
		return n.Body
	case *ast.CommClause:
		return n.Body
	}
	return nil
}

// same reports whether two trees are the same but for positions, comments,
// parentheses and the way a string is quoted. In the first, _ stands for any
// expression.
func same(a, b ast.Node) bool { return sameValue(reflect.ValueOf(a), reflect.ValueOf(b)) }

func sameValue(a, b reflect.Value) bool {
	a, b = bare(a), bare(b)
	if !a.IsValid() || !b.IsValid() {
		return a.IsValid() == b.IsValid()
	}
	if id, ok := reflect.TypeAssert[ast.Ident](a); ok && id.Name == "_" {
		_, ok := reflect.TypeAssert[ast.Expr](b.Addr())
		return ok
	}
	if a.Type() != b.Type() {
		return false
	}
	switch a.Kind() {
	case reflect.Struct:
		return sameStruct(a, b)
	case reflect.Slice:
		if a.Len() != b.Len() {
			return false
		}
		for i := range a.Len() {
			if !sameValue(a.Index(i), b.Index(i)) {
				return false
			}
		}
		return true
	}
	return a.Interface() == b.Interface()
}

// says are the positions that are syntax: f(x...), type a = b.
var says = map[string]bool{"Ellipsis": true, "Assign": true}

func sameStruct(a, b reflect.Value) bool {
	if lit, ok := reflect.TypeAssert[ast.BasicLit](a); ok {
		return sameLiteral(lit, b.Interface().(ast.BasicLit))
	}
	for i := range a.NumField() {
		x, y := a.Field(i), b.Field(i)
		switch x.Interface().(type) {
		case token.Pos:
			if says[a.Type().Field(i).Name] && x.IsZero() != y.IsZero() {
				return false
			}
		case *ast.CommentGroup:
		default:
			if !sameValue(x, y) {
				return false
			}
		}
	}
	return true
}

func sameLiteral(a, b ast.BasicLit) bool {
	if a.Kind == token.STRING && b.Kind == token.STRING {
		x, errX := strconv.Unquote(a.Value)
		y, errY := strconv.Unquote(b.Value)
		return errX == nil && errY == nil && x == y
	}
	return a.Kind == b.Kind && a.Value == b.Value
}

// bare returns the value behind interfaces, pointers and parentheses; the zero
// Value for nil.
func bare(v reflect.Value) reflect.Value {
	for v.IsValid() && (v.Kind() == reflect.Interface || v.Kind() == reflect.Pointer) {
		if paren, ok := reflect.TypeAssert[*ast.ParenExpr](v); ok && paren != nil {
			v = reflect.ValueOf(paren.X)
			continue
		}
		v = v.Elem()
	}
	return v
}
