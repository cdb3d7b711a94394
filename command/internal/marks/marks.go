// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package marks tells tasks apart where status draws cores: a letter and a colour for each,
// which it keeps from one drawing to the next.
package marks

import (
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/node"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/screen"
)

// styles tell tasks apart: black on colours that both dark and light
// terminals show. Red is kept for what is wrong.
var styles = []screen.Style{"30;46", "30;43", "30;42", "30;45", "97;44", "30;106", "30;103", "30;102", "30;105", "30;104"}

// letters mark tasks in the drawing. Those behind the last get last.
const (
	letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwyz"
	last    = '@'
)

// Marks are the numbers of the tasks' marks, by the folder of their record. A task
// keeps its mark from one drawing to the next.
type Marks map[string]int

// Assign gives a mark to every task that has none, and takes those of tasks
// that are gone back.
func (k Marks) Assign(tasks []*node.Task) {
	here, used := map[string]bool{}, map[int]bool{}
	for _, t := range tasks {
		here[t.Dir] = true
	}
	for dir, n := range k {
		if !here[dir] {
			delete(k, dir)
			continue
		}
		used[n] = true
	}
	next := 0
	for _, t := range tasks {
		if _, ok := k[t.Dir]; ok {
			continue
		}
		for used[next] {
			next++
		}
		k[t.Dir], used[next] = next, true
	}
}

// Of returns the mark of a task that has one, and its style.
func (k Marks) Of(t *node.Task) (rune, screen.Style) {
	n := k[t.Dir]
	st := styles[n%len(styles)]
	if n >= len(letters) {
		return last, st
	}
	return rune(letters[n]), st
}
