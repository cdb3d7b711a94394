// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package gcpckms stands in for the module of that name in a lean Nomad.
package gcpckms

import wrapping "github.com/hashicorp/go-kms-wrapping/v2"

// NewWrapper panics: the agent's configuration asks for a keyring that is not there.
func NewWrapper() wrapping.Wrapper {
	panic("this Nomad is built for tests, without Google Cloud KMS; take it out of the agent's configuration")
}
