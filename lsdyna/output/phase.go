// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package output

// Phase is how far a run has come, in LS-DYNA's own order.
type Phase string

// The phases that outputs show.
const (
	PhaseStarting     Phase = "starting"     // nothing printed yet
	PhaseLicence      Phase = "licence"      // header printed, no licence yet
	PhaseReading      Phase = "reading"      // has its licence and reads the deck
	PhaseDecomposing  Phase = "decomposing"  // MPP decomposition
	PhaseInitialising Phase = "initialising" // deck read, setting up
	PhaseSolving      Phase = "solving"      // cycles run
	PhaseEnding       Phase = "ending"       // a termination line or the first banner was printed
	PhaseEnded        Phase = "ended"        // the closing block and the last banner were printed
)

// order numbers the phases from the first to the last. Progress lines ask for it
// millions of times, which is why it is no map.
func (p Phase) order() int {
	switch p {
	case PhaseSolving:
		return 5
	case PhaseLicence:
		return 1
	case PhaseReading:
		return 2
	case PhaseDecomposing:
		return 3
	case PhaseInitialising:
		return 4
	case PhaseEnding:
		return 6
	case PhaseEnded:
		return 7
	}
	return 0
}

// Banner is the last line that LS-DYNA prints about a run.
type Banner string

// The banners.
const (
	NoBanner     Banner = ""
	NormalBanner Banner = "normal"
	ErrorBanner  Banner = "error"
)
