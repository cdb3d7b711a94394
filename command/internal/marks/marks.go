// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package command

import (
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/node"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/command/internal/screen"
)

// markStyles tell tasks apart: black on colours that both dark and light
// terminals show. Red is kept for what is wrong.
var markStyles = []screen.Style{"30;46", "30;43", "30;42", "30;45", "97;44", "30;106", "30;103", "30;102", "30;105", "30;104"}

// markLetters mark tasks in the drawing. Those behind the last get lastMark.
const (
	markLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwyz"
	lastMark    = '@'
)

// marks are the numbers of the tasks' marks, by the folder of their record. A task
// keeps its mark from one drawing to the next.
type marks map[string]int

// assign gives a mark to every task that has none, and takes those of tasks
// that are gone back.
func (k marks) assign(tasks []*node.Task) {
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

func (k marks) of(t *node.Task) (rune, screen.Style) {
	n := k[t.Dir]
	st := markStyles[n%len(markStyles)]
	if n >= len(markLetters) {
		return lastMark, st
	}
	return rune(markLetters[n]), st
}
