// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package output

import (
	"encoding/json"
	"testing"

	"github.com/shoenig/test/must"
)

func TestReader_licenceTroubleNamesNoServer(t *testing.T) {
	for _, line := range []string{
		" [license/error] no license is free on server 31010@secret", " [license/error] cannot connect to license server secret", "License error: server secret.example.org not found",
		" license server secret:31010 refused", " could not get a license from host secret",
	} {
		f := whole([]byte(line + "\n"))
		must.NotEq(t, "", f.LicenceTrouble, must.Sprint(line))
		must.StrNotContains(t, f.LicenceTrouble, "secret")
	}
}

// Every text of a solver that is kept may end in an event.
func TestReader_noTextAboutLicencesNamesAServer(t *testing.T) {
	for _, text := range []string{
		" *** Error 70099 (OTH+99)\n     No license on server secret.example:31010\n     nor from 31010@secret\n\n",
		" *** termination due to license server secret ***\n",
		"forrtl: severe (24): license of host secret\n",
		" license server secret\n",
	} {
		data, err := json.Marshal(whole([]byte(text)))
		must.NoError(t, err)
		must.StrNotContains(t, string(data), "secret")
	}
}
