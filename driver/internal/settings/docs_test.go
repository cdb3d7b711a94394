// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package settings

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/nomad/plugins/shared/hclspec"
	"github.com/shoenig/test/must"
)

// A key is one attribute as the tables of docs/configure.md tell it.
type key struct {
	kind     string // its type in words
	fallback string // its default as in HCL; "" where the schema has none
}

const required = "*required*"

// kinds are the types of the schema, in the words of the tables.
var kinds = map[string]string{"string": "string", "bool": "bool", "number": "number", "list(string)": "list of strings"}

// keys are all attributes of a schema, by their names as the tables write them:
// `name`, `block { name }`, `block "NAME" { name }`.
func keys(t *testing.T, schema *hclspec.Spec) map[string]key {
	t.Helper()
	found := map[string]key{}
	for name, spec := range schema.GetObject().GetAttributes() {
		addKeys(t, found, name, spec)
	}
	return found
}

func addKeys(t *testing.T, found map[string]key, name string, spec *hclspec.Spec) {
	t.Helper()
	nested := func(title string, inner *hclspec.Spec) {
		for below, spec := range inner.GetObject().GetAttributes() {
			addKeys(t, found, fmt.Sprintf("%s { %s }", title, below), spec)
		}
	}
	switch b := spec.GetBlock().(type) {
	case *hclspec.Spec_Attr:
		k := key{kind: kinds[b.Attr.GetType()]}
		if b.Attr.GetRequired() {
			k.fallback = required
		}
		found[name] = k
	case *hclspec.Spec_Default:
		literal := b.Default.GetDefault().GetLiteral().GetValue()
		found[name] = key{kinds[b.Default.GetPrimary().GetAttr().GetType()], "`" + literal + "`"}
	case *hclspec.Spec_BlockValue:
		nested(name, b.BlockValue.GetNested())
	case *hclspec.Spec_BlockMap:
		nested(name+` "NAME"`, b.BlockMap.GetNested())
	case *hclspec.Spec_BlockAttrs:
		found[name] = key{kind: "block of " + kinds[b.BlockAttrs.GetType()] + "s"}
	default:
		t.Fatalf("%s: the tables have no words for %T", name, b)
	}
}

// tableKeys are the rows of the table below a heading of a page. Every name must be there
// once.
func tableKeys(t *testing.T, page, heading string) map[string]key {
	t.Helper()
	_, section, ok := strings.Cut(page, "\n## "+heading+"\n")
	must.True(t, ok, must.Sprintf("no heading %q", heading))
	section, _, _ = strings.Cut(section, "\n## ")
	rows := map[string]key{}
	for line := range strings.Lines(section) {
		cells := strings.Split(strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(line), "| "), " |"), " | ")
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		must.Len(t, 4, cells, must.Sprintf("row %q", line))
		name := strings.Trim(cells[0], "`")
		must.MapNotContainsKey(t, rows, name)
		must.NotEq(t, "", strings.TrimSpace(cells[3]), must.Sprintf("%s: no meaning", name))
		rows[name] = key{cells[1], cells[2]}
	}
	return rows
}

// The tables have every key that Nomad takes, and no other, with type and default.
func TestDocs_TablesAreTheSchemas(t *testing.T) {
	page, err := os.ReadFile("../../../docs/configure.md")
	must.NoError(t, err)
	for heading, schema := range map[string]*hclspec.Spec{"Agent configuration": Spec, "Task configuration": TaskSpec} {
		t.Run(heading, func(t *testing.T) {
			for _, problem := range compare(keys(t, schema), tableKeys(t, string(page), heading)) {
				t.Error("docs/configure.md:", problem)
			}
		})
	}
}

// compare says in what the tables differ from the schema.
func compare(schema, table map[string]key) []string {
	var problems []string
	for _, name := range slices.Sorted(maps.Keys(schema)) {
		want := schema[name]
		got, ok := table[name]
		switch {
		case !ok:
			problems = append(problems, fmt.Sprintf("no row for %s", name))
		case got.kind != want.kind:
			problems = append(problems, fmt.Sprintf("%s is a %s, not a %s", name, want.kind, got.kind))
		case want.fallback != "" && got.fallback != want.fallback:
			problems = append(problems, fmt.Sprintf("the default of %s is %s, not %s", name, want.fallback, got.fallback))
		case want.fallback == "" && (got.fallback == required || strings.TrimSpace(got.fallback) == ""):
			problems = append(problems, fmt.Sprintf("%s need not be given: say what it is then", name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(table)) {
		if _, ok := schema[name]; !ok {
			problems = append(problems, fmt.Sprintf("there is no %s", name))
		}
	}
	return problems
}

// A name that is taken away, added or told otherwise is found, on either side.
func TestDocs_EveryDifferenceIsFound(t *testing.T) {
	for heading, schema := range map[string]*hclspec.Spec{"Agent configuration": Spec, "Task configuration": TaskSpec} {
		page, err := os.ReadFile("../../../docs/configure.md")
		must.NoError(t, err)
		table := tableKeys(t, string(page), heading)
		for name, row := range table {
			without := maps.Clone(table)
			delete(without, name)
			must.Eq(t, []string{"no row for " + name}, compare(keys(t, schema), without))

			other := maps.Clone(table)
			other[name] = key{"tree", row.fallback}
			must.Len(t, 1, compare(keys(t, schema), other))
			other[name] = key{row.kind, ""}
			must.Len(t, 1, compare(keys(t, schema), other), must.Sprint(name))
		}
		more := maps.Clone(table)
		more["colour"] = key{"string", "`\"\"`"}
		must.Eq(t, []string{"there is no colour"}, compare(keys(t, schema), more))
	}
}
