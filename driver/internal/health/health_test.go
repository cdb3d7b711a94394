// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package health

import (
	"testing"

	"github.com/shoenig/test/must"
)

func TestVersionFromName(t *testing.T) {
	for path, want := range map[string]string{
		"/opt/ls-dyna_smp_d_R13_1_1_x64_centos79_ifort190": "R13.1.1",
		"/opt/ls-dyna_mpp_s_R14.1_x64":                     "R14.1",
		"/opt/lsdyna_R9":                                   "R9",
		"/opt/R12/lsdyna":                                  "unknown",
		"/opt/lsdynar12x":                                  "unknown",
		"/opt/standin_smp_d_R14":                           "R14",
		"":                                                 "unknown",
	} {
		must.Eq(t, want, versionFromName(path), must.Sprint(path))
	}
}
