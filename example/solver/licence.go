// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"os"
	"strings"
	"time"
)

// licenceKind is how a licence would be got: network, local or ansys.
func licenceKind() string {
	switch kind := strings.ToLower(os.Getenv("LSTC_LICENSE")); kind {
	case "network", "ansys":
		return kind
	}
	return "local"
}

// licence pretends to get one, and says with what it executes. ended is true
// when there is none; the process then leaves without a banner.
func (r *run) licence() (code int, ended bool) {
	if r.faults.has("license_wait") {
		r.awaitLicence(r.faults["license_wait"])
	}
	if r.faults.has("license_refused") {
		r.list.print(Stdout, " [license/error] no license is free on server %s\n"+
			" [license/error] the stand-in solver was asked to refuse\n", os.Getenv("LSTC_LICENSE_SERVER"))
		return exitError, true
	}
	r.list.print(Stdout, " Executing with %s\n\n", map[string]string{
		"network": "LSTC network license", "local": "LSTC local workstation license", "ansys": "ANSYS license",
	}[licenceKind()])
	if r.faults.has("element_limit") && r.deck != nil {
		limit := int(r.faults.number("element_limit", 0))
		if n := len(r.deck.Solids) + len(r.deck.Shells) + len(r.deck.Beams); n > limit {
			r.opening()
			r.list.stamped(" Beginning of keyword reader")
			r.list.print(Everywhere, " \n *** Error 70043 (OTH+43)\n     Number of elements( %d) exceeds limit %d\n", n, limit)
			return exitError, true
		}
	}
	return 0, false
}

// awaitLicence is the silence of a solver that waits for a licence.
func (r *run) awaitLicence(seconds string) {
	if seconds == "forever" {
		select {}
	}
	time.Sleep(time.Duration(r.faults.number("license_wait", 0) * float64(time.Second)))
}
