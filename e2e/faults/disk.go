// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"math/rand/v2"
)

var diskFaults = []fault{}

var recordFaults = []fault{}

func runMutants(ctx context.Context, o options, name string) error { _ = rand.Int; return nil }
