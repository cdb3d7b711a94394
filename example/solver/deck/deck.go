// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package deck reads LS-DYNA keyword decks for the stand-in solver: cards in
// fixed columns, comma separated or long, parameters, and include files.
//
// It keeps the part of the keyword language that the stand-in solver's
// solution uses, warns about keywords it knows but does not model, and reports
// everything else in the words of LS-DYNA's keyword reader. It reads files and
// does nothing else. Units are the deck's own: LS-DYNA has none.
package deck

// Deck is what a keyword input file and its includes say.
type Deck struct {
	Title     string
	Nodes     []Node
	Solids    []Element
	Shells    []Element
	Beams     []Element
	Masses    []NodalMass
	Parts     map[int]Part
	Sections  map[int]Section
	Materials map[int]Material
	NodeSets  map[int][]int
	Fixed     []Constraint
	Moving    []Velocity
	Walls     []Wall

	// Control cards. EndTime and the intervals are in the deck's time unit;
	// zero means that the deck does not say.
	EndTime      float64
	EndCycle     int
	TimeStepSafe float64 // TSSFAC, default 0.9
	TimeStepMin  float64 // error termination below DTMIN times the first step
	PlotEvery    float64 // *DATABASE_BINARY_D3PLOT
	DumpEvery    int     // *DATABASE_BINARY_D3DUMP, cycles
	RunrsfEvery  int     // *DATABASE_BINARY_RUNRSF, cycles
	GlstatEvery  float64 // *DATABASE_GLSTAT

	Cases []Case // *CASE, in order

	// Directives are the words after "$ standin:" in comment cards.
	Directives []string
	// Log holds what the reader says while reading, in order.
	Log []Message
	// Set marks the control cards that were present, for a small restart deck.
	Set map[string]bool
}

// Case is one *CASE: a run of its own, with "case" on the command line.
type Case struct {
	ID    int
	JobID string
}

// Node is one *NODE card.
type Node struct {
	ID      int
	X, Y, Z float64
	TC      int // translational constraint code of the card
}

// Element is one element with its nodes' IDs.
type Element struct {
	ID, Part int
	Nodes    []int
}

// NodalMass is one *ELEMENT_MASS card.
type NodalMass struct {
	Node int
	Mass float64
}

// Part ties elements to a section and a material.
type Part struct {
	ID, Section, Material int
	Title                 string
}

// Section holds a shell's thickness or a beam's cross section area.
type Section struct {
	Kind      string // solid, shell or beam
	Thickness float64
	Area      float64
}

// Material holds what *MAT_ELASTIC and *MAT_PLASTIC_KINEMATIC share.
type Material struct {
	Density, Young, Poisson float64
	Yield, Tangent          float64 // Yield 0: elastic
}

// Constraint fixes translations of a node (Set false) or a node set.
type Constraint struct {
	Target  int
	Set     bool
	X, Y, Z bool
}

// Velocity is an initial velocity of one node, a set, or (neither) all nodes.
type Velocity struct {
	Node, Set int
	V         [3]float64
}

// Wall is one *RIGIDWALL_PLANAR: a point and the outward normal.
type Wall struct {
	Point, Normal [3]float64
	Friction      float64
}

// Kind says what a Message is.
type Kind int

// The kinds of message.
const (
	Opened  Kind = iota // an include file was opened; Text is its name
	Error               // a keyword error
	Warning             // a keyword warning
)

// Message is one thing the reader has to say. Code is LS-DYNA's number without
// its offset: Error 10087 (KEY+87) has Code 87.
type Message struct {
	Kind Kind
	Code int
	Text string // lines separated by \n
}

// Errors counts the errors in the log.
func (d *Deck) Errors() int { return d.count(Error) }

// Warnings counts the warnings in the log.
func (d *Deck) Warnings() int { return d.count(Warning) }

func (d *Deck) count(k Kind) int {
	n := 0
	for _, m := range d.Log {
		if m.Kind == k {
			n++
		}
	}
	return n
}

func newDeck() *Deck {
	return &Deck{
		Parts:        map[int]Part{},
		Sections:     map[int]Section{},
		Materials:    map[int]Material{},
		NodeSets:     map[int][]int{},
		Set:          map[string]bool{},
		TimeStepSafe: 0.9,
	}
}
