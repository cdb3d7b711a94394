// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package checkconfig

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/hashicorp/nomad/helper/pluginutils/hclspecutils"
	"github.com/hashicorp/nomad/helper/pluginutils/hclutils"
	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/settings"
)

func TestKeyAt(t *testing.T) {
	const data = `{"a":[{"b":1,"c":[{"d":"e"}]}],"f":["g","h"],"i":{}}`
	for part, want := range map[string]string{
		`"a"`: "a", `1`: "a.b", `"d"`: "a.c.d", `"e"`: "a.c.d", `}]}],"f"`: "a.c", `}],"f"`: "a", `"f"`: "f", `"h"`: "f", `{}`: "i", `"i"`: "i", `{"a"`: "",
	} {
		must.Eq(t, want, keyAt([]byte(data), int64(strings.Index(data, part))).String(), must.Sprint(part))
	}
	must.Nil(t, keyAt([]byte(`{"a":`), 100))
}

// FuzzDecode compares with the agent's own decoding: what one takes the other takes.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{}`,
		`{"state_dir":"/srv/x","cores":[{"usable":"0-3,8","smt":"share"}],"allow_command":true,"max_processes":12}`,
		`{"solver":[{"r14":[{"path":"/opt/r14","env":[{"A":"b"}]}]},{"r14":[{"path":"/opt/r14"}]}]}`,
		`{"solver":[{"r14":[{"parallel":"mpp"}]}],"cores":[{},{}],"license":"x","allow_root":"yes","foo":{"bar":[1,null]}}`,
		`{"solver":{"":{"path":[]}},"work_roots":["/a",1,true],"state_dir":"${HOME}","status_dir":"%{ if }"}`,
	} {
		f.Add([]byte(seed))
	}
	spec, diags := hclspecutils.Convert(settings.Spec)
	if diags.HasErrors() {
		f.Fatal(diags)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var block map[string]any
		if json.Unmarshal(data, &block) != nil || block == nil {
			return
		}
		_, problems := decode(block)
		_, _, errs := hclutils.ParseHclInterface(block, spec, nil)
		if (len(problems) > 0) != (len(errs) > 0) {
			t.Fatalf("the agent says %v, and this %v", errs, problems)
		}
		for _, p := range problems {
			if p.text == "" {
				t.Fatal("a problem without words")
			}
		}
		if len(problems) > 0 {
			decode(mend(block, problems))
		}
	})
}
