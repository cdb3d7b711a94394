// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package discover stands in for the module of that name in a lean Nomad.
package discover

import (
	"errors"
	"log"
)

// Discover knows no cloud.
type Discover struct{}

// Addrs returns an error: there is no cloud to ask.
func (*Discover) Addrs(string, *log.Logger) ([]string, error) {
	return nil, errors.New("this Nomad is built for tests, without cloud auto-join; name addresses")
}

// Help returns nothing.
func (*Discover) Help() string { return "" }

// Names returns no providers.
func (*Discover) Names() []string { return nil }
