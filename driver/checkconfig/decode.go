// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package checkconfig

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hcldec"
	hcljson "github.com/hashicorp/hcl/v2/json"
	"github.com/hashicorp/nomad/helper/pluginutils/hclspecutils"
	"github.com/hashicorp/nomad/helper/pluginutils/hclutils"
	"github.com/hashicorp/nomad/plugins/base"
	"github.com/hashicorp/nomad/plugins/shared/hclspec"
	"github.com/zclconf/go-cty/cty/msgpack"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/driver/internal/settings"
)

// problem is something for which the agent refuses a block before the plugin sees it.
type problem struct {
	key     settings.Key
	text    string
	missing string // what the block at key needs and lacks
}

// decode turns a block into the driver's configuration as the agent and the plugin do: the
// agent writes it as JSON, which it decodes by the schema (hclutils.ParseHclInterface) and
// sends as msgpack. It is done here again because the places of problems are lost there.
func decode(block map[string]any) (decoded settings.Config, problems []problem) {
	data, err := json.Marshal(block)
	if err != nil {
		return decoded, []problem{{text: err.Error()}}
	}
	spec, diags := hclspecutils.Convert(settings.Spec)
	if diags.HasErrors() {
		return decoded, explain(diags, nil, nil)
	}
	file, diags := hcljson.Parse(data, "")
	if diags.HasErrors() {
		return decoded, explain(diags, data, block)
	}
	value, diags := hcldec.Decode(file.Body, spec, &hcl.EvalContext{Functions: hclutils.GetStdlibFuncs()})
	if diags.HasErrors() {
		return decoded, explain(diags, data, block)
	}
	packed, err := msgpack.Marshal(value, value.Type())
	if err == nil {
		err = base.MsgPackDecode(packed, &decoded)
	}
	if err != nil {
		return decoded, []problem{{text: err.Error()}}
	}
	return decoded, nil
}

// explain says in the words of an agent's configuration what is wrong with its JSON.
func explain(diags hcl.Diagnostics, data []byte, block map[string]any) (problems []problem) {
	for _, d := range diags {
		if d.Severity != hcl.DiagError {
			continue
		}
		var key settings.Key
		if d.Subject != nil {
			key = keyAt(data, int64(d.Subject.Start.Byte))
		}
		problems = append(problems, explainOne(d, key, block))
	}
	return problems
}

var (
	quoted       = regexp.MustCompile(`"([^"]*)"`)
	requirement  = regexp.MustCompile(`: (.+)\.$`)
	unknownNames = regexp.MustCompile(`^No argument or block type is named "([^"]*)"\.`)
)

func explainOne(d *hcl.Diagnostic, key settings.Key, block map[string]any) problem {
	name := ""
	if m := quoted.FindStringSubmatch(d.Detail); m != nil {
		name = m[1]
	}
	say := func(format string, args ...any) problem { return problem{key: key, text: fmt.Sprintf(format, args...)} }
	switch {
	case unknownNames.MatchString(d.Detail):
		return say("%sthere is no key %q%s", inBlock(key), name, nearKey(name, key))
	case d.Summary == "Missing required argument":
		return problem{key, fmt.Sprintf("%s%s is missing, and needed", inBlock(append(slices.Clip(key), name)), name), name}
	case d.Summary == "Incorrect attribute value type":
		text := fmt.Sprintf("%s: %s", key, requirement.FindStringSubmatch(d.Detail)[1])
		if value, ok := valueAt(block, key).(string); ok && key[0] != "license" && !strings.Contains(text, "but have") {
			text += fmt.Sprintf(", not %q", value)
		}
		return say("%s", text)
	case d.Summary == "Incorrect JSON value type" && len(key) > 0:
		return say("%s is a block: write %s { … }, not %s = …", key, head(key[0]), key[0])
	case d.Summary == "Missing block label" && len(key) > 0:
		return say("%s needs a name: write %s { … }", key, head(key[0]))
	case strings.HasPrefix(d.Summary, "Duplicate") && len(key) > 0:
		return say("%s: only one such block may be there, and there are more", key)
	case strings.Contains(d.Detail, "variable") || strings.Contains(d.Summary, "template") || strings.Contains(d.Summary, "Variable"):
		return say("%s: %s: %s Write $${…} for the text ${…} itself", key, d.Summary, d.Detail)
	}
	return say("%s: %s: %s", key, d.Summary, d.Detail)
}

// head is how a block begins.
func head(block string) string {
	if block == "solver" {
		return `solver "NAME"`
	}
	return block
}

// inBlock names the block that a key stands in.
func inBlock(key settings.Key) string {
	switch len(key) {
	case 0, 1:
		return ""
	case 2:
		return key[0] + ": "
	}
	return fmt.Sprintf("%s %q: ", key[0], key[1])
}

// nearKey says what a key that is not known may be meant for: one of its block with a name
// like it, or one of that name in another block.
func nearKey(name string, key settings.Key) string {
	here := settings.Spec
	if len(key) > 1 {
		here = nested(settings.Spec.GetObject().GetAttributes()[key[0]])
	}
	if near := didYouMean(name, keysOf(here)); near != "" {
		return near
	}
	attributes := settings.Spec.GetObject().GetAttributes()
	if len(key) > 1 && attributes[name] != nil {
		return fmt.Sprintf("; %s stands beside %s, not in it", name, key[0])
	}
	for _, block := range slices.Sorted(maps.Keys(attributes)) {
		if slices.Contains(keysOf(nested(attributes[block])), name) {
			return fmt.Sprintf("; it stands in %s { … }", head(block))
		}
	}
	return "; it has " + strings.Join(keysOf(here), ", ")
}

// nested is the schema in a block, nil where it is none.
func nested(spec *hclspec.Spec) *hclspec.Spec {
	switch b := spec.GetBlock().(type) {
	case *hclspec.Spec_BlockValue:
		return b.BlockValue.GetNested()
	case *hclspec.Spec_BlockMap:
		return b.BlockMap.GetNested()
	}
	return nil
}

// keysOf are the names in a schema.
func keysOf(spec *hclspec.Spec) []string {
	return slices.Sorted(maps.Keys(spec.GetObject().GetAttributes()))
}

// valueAt returns what stands at a key of a block, nil for nothing. Blocks are lists of
// maps.
func valueAt(value any, key settings.Key) (found any) {
	if len(key) == 0 {
		return value
	}
	for _, block := range blocks(value) {
		if inner := block[key[0]]; inner != nil {
			found = valueAt(inner, key[1:])
		}
	}
	return found
}

// blocks are the maps that a value is or has.
func blocks(value any) (all []map[string]any) {
	switch v := value.(type) {
	case map[string]any:
		all = append(all, v)
	case []map[string]any:
		all = v
	case []any:
		for _, one := range v {
			all = append(all, blocks(one)...)
		}
	}
	return all
}

// mend returns a copy of a block without what the agent refuses, and with something in the
// place of what is missing: the plugin's own checks find more then.
func mend(block map[string]any, problems []problem) map[string]any {
	mended := map[string]any{}
	data, err := json.Marshal(block)
	if err != nil || json.Unmarshal(data, &mended) != nil {
		return nil
	}
	for _, p := range problems {
		if p.missing != "" {
			for _, inner := range blocks(valueAt(mended, p.key)) {
				inner[p.missing] = "/missing"
			}
			continue
		}
		remove(mended, p.key)
	}
	return mended
}

func remove(value any, key settings.Key) {
	for _, block := range blocks(value) {
		switch {
		case len(key) == 1:
			delete(block, key[0])
		case len(key) > 1:
			remove(block[key[0]], key[1:])
		}
	}
}

// keyAt returns the key whose name or value stands at an offset of JSON; at the end of a
// block that of the block.
func keyAt(data []byte, offset int64) (key settings.Key) {
	dec := json.NewDecoder(bytes.NewReader(data))
	type level struct {
		object, named bool // named: the next token is a value
		key           string
	}
	var levels []level
	keys := func(levels []level) (key settings.Key) {
		for _, l := range levels {
			if l.object && l.key != "" {
				key = append(key, l.key)
			}
		}
		return key
	}
	for {
		token, err := dec.Token()
		if err != nil {
			return nil
		}
		here := dec.InputOffset() > offset
		top := len(levels) - 1
		switch t := token.(type) {
		case json.Delim:
			if t == '}' || t == ']' {
				levels = levels[:top]
				if top > 0 {
					levels[top-1].named = false
				}
			}
			if here {
				return keys(levels)
			}
			if t == '{' || t == '[' {
				levels = append(levels, level{object: t == '{'})
			}
			continue
		case string:
			if levels[top].object && !levels[top].named {
				levels[top].key, levels[top].named = t, true
				if here {
					return keys(levels)
				}
				continue
			}
		}
		if here {
			return keys(levels)
		}
		levels[top].named = false
	}
}
