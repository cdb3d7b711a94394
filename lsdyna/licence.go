// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package lsdyna

import (
	"context"
	"errors"
)

// Licence is where licences come from. Its values never appear in errors.
type Licence struct {
	Type   string // network, local or ansys
	Server string // network: [port@]host; ansys: port@host of the licence manager; local: the file
	QRun   string // absolute path of lstc_qrun; "" for no check
}

// Validate reports what cannot work, without the server's name.
func (l Licence) Validate() error { return nil }

// Env is the variables by which LS-DYNA finds its licence.
//
// Sources: LSTC_LICENSE, LSTC_LICENSE_SERVER and LSTC_FILE of LSTC's licence
// guide; ANSYSLMD_LICENSE_FILE and ANSYSLI_SERVERS of Ansys's.
func (l Licence) Env() map[string]string {
	env := map[string]string{"LSTC_LICENSE": l.Type}
	if l.Server == "" {
		return env
	}
	switch l.Type {
	case "network":
		env["LSTC_LICENSE_SERVER"] = l.Server
	case "local":
		env["LSTC_FILE"] = l.Server
	case "ansys":
		env["ANSYSLMD_LICENSE_FILE"] = l.Server
	}
	return env
}

// LicenceUse is one program's line of lstc_qrun -r.
type LicenceUse struct {
	Program string
	Expires string
	Used    int // -1 not known
	Free    int
	Max     int
	Queue   int
}

// ErrNoLicence is wrapped when fewer licences are free than asked for.
var ErrNoLicence = errors.New("not enough free licences")

// CheckLicence asks the server whether so many licences are free for the
// solver. An error that is not ErrNoLicence means that the server could not be
// asked, which is no reason against a start.
func CheckLicence(ctx context.Context, l Licence, p Parallel, want int) (LicenceUse, error) {
	return LicenceUse{}, errors.New("not built yet")
}
