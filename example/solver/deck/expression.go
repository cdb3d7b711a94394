// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package deck

import (
	"fmt"
	"math"
	"strings"
)

// expression evaluates *PARAMETER_EXPRESSION: numbers, parameters with or
// without &, + - * / **, parentheses, and a few functions of one argument.
type expression struct {
	text   string
	at     int
	depth  int
	params map[string]float64
}

var functions = map[string]func(float64) float64{
	"sqrt": math.Sqrt, "sin": math.Sin, "cos": math.Cos, "tan": math.Tan,
	"exp": math.Exp, "log": math.Log, "abs": math.Abs, "int": math.Trunc,
}

// maxDepth bounds the nesting of parentheses and signs.
const maxDepth = 100

func evaluate(text string, params map[string]float64) (float64, error) {
	e := &expression{text: strings.ToLower(text), params: params}
	v, err := e.sum()
	if err != nil {
		return 0, err
	}
	if e.peek() != 0 {
		return 0, fmt.Errorf("unexpected %q in expression %s", e.text[e.at:], text)
	}
	return v, nil
}

func (e *expression) peek() byte {
	for e.at < len(e.text) && e.text[e.at] == ' ' {
		e.at++
	}
	if e.at >= len(e.text) {
		return 0
	}
	return e.text[e.at]
}

func (e *expression) sum() (float64, error) {
	negative := e.peek() == '-' // Fortran: a sign binds less than a power
	if negative {
		e.at++
	}
	v, err := e.product()
	if negative {
		v = -v
	}
	for err == nil && (e.peek() == '+' || e.peek() == '-') {
		op := e.text[e.at]
		e.at++
		var w float64
		w, err = e.product()
		if op == '-' {
			w = -w
		}
		v += w
	}
	return v, err
}

func (e *expression) product() (float64, error) {
	v, err := e.power()
	for err == nil && (e.peek() == '*' || e.peek() == '/') {
		op := e.text[e.at]
		e.at++
		var w float64
		w, err = e.power()
		if op == '*' {
			v *= w
		} else {
			v /= w
		}
	}
	return v, err
}

func (e *expression) power() (float64, error) {
	v, err := e.unary()
	if err == nil && e.peek() == '*' && strings.HasPrefix(e.text[e.at:], "**") {
		e.at += 2
		var w float64
		if w, err = e.power(); err == nil {
			v = math.Pow(v, w)
		}
	}
	return v, err
}

func (e *expression) unary() (float64, error) {
	if e.depth++; e.depth > maxDepth {
		return 0, fmt.Errorf("expression is nested more than %d deep", maxDepth)
	}
	defer func() { e.depth-- }()
	switch c := e.peek(); {
	case c == '-':
		e.at++
		v, err := e.unary()
		return -v, err
	case c == '+':
		e.at++
		return e.unary()
	case c == '(':
		e.at++
		v, err := e.sum()
		if err == nil && e.peek() != ')' {
			err = fmt.Errorf("a closing parenthesis is missing in %s", e.text)
		}
		e.at++
		return v, err
	case c == '&', c >= 'a' && c <= 'z', c == '_':
		return e.name()
	default:
		return e.number()
	}
}

func (e *expression) name() (float64, error) {
	if e.text[e.at] == '&' {
		e.at++
	}
	start := e.at
	for e.at < len(e.text) && (isLetter(e.text[e.at]) || isDigit(e.text[e.at])) {
		e.at++
	}
	name := e.text[start:e.at]
	if f, ok := functions[name]; ok && e.peek() == '(' {
		v, err := e.unary()
		return f(v), err
	}
	if v, ok := e.params[name]; ok {
		return v, nil
	}
	return 0, fmt.Errorf("parameter %s is not defined", name)
}

func (e *expression) number() (float64, error) {
	start := e.at
	for e.at < len(e.text) {
		c := e.text[e.at]
		sign := (c == '+' || c == '-') && e.at > start && (e.text[e.at-1] == 'e' || e.text[e.at-1] == 'd')
		if !isDigit(c) && c != '.' && c != 'e' && c != 'd' && !sign {
			break
		}
		e.at++
	}
	v, ok := number(e.text[start:e.at])
	if !ok {
		return 0, fmt.Errorf("%q is not a number", e.text[start:e.at])
	}
	return v, nil
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c == '_' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
