// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package chart computes line charts: scales, ticks, paths and a legend, in the units of
// an SVG's viewBox. It touches nothing and writes no markup: package page's template
// does, which escapes what it is given.
package chart
