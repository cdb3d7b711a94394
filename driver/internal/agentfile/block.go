// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package agentfile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl"
	"github.com/hashicorp/hcl/hcl/ast"
	"github.com/hashicorp/nomad/nomad/structs/config"
)

// Block is one plugin block of a file.
type Block struct {
	plugin  *config.PluginConfig
	file    *file
	line    int             // of its label
	content *ast.ObjectList // what stands in it
}

// Place is that of the block's config, or of the block where it has none.
func (b *Block) Place() Place {
	if line, depth := find(b.content, []string{"config"}); depth > 0 {
		return Place{b.file.name, line}
	}
	return Place{b.file.name, b.line}
}

// pluginBlocks returns the file's plugin blocks, in the order in which the decoder takes
// them: those with labels come first, as in decodeStruct of the library.
func (f *file) pluginBlocks() (blocks []*Block) {
	plugins := f.root.Filter("plugin")
	items := slices.Clone(plugins.Children().Items)
	for _, unnamed := range plugins.Elem().Items {
		for _, list := range lists(unnamed.Val) {
			items = append(items, list.Items...)
		}
	}
	if len(items) != len(f.agent.Plugins) {
		return nil // other than is known here: nothing is said of blocks
	}
	for i, item := range items {
		b := &Block{plugin: f.agent.Plugins[i], file: f, line: lineOfItem(item), content: &ast.ObjectList{}}
		if len(item.Keys) > 1 { // JSON's parser joins a block with what alone stands in it
			inner := *item
			inner.Keys = item.Keys[1:]
			b.content.Items = append(b.content.Items, &inner)
		} else {
			for _, list := range lists(item.Val) {
				b.content.Items = append(b.content.Items, list.Items...)
			}
		}
		blocks = append(blocks, b)
	}
	return blocks
}

// Configs returns the block whose settings the agent gives to a plugin, and the blocks with
// settings that do not count. Of a file the agent takes a plugin's last block alone, and of
// several files the last config that is not empty. counts is nil where there is no block.
func (a *Agent) Configs(plugin string) (counts *Block, others []*Block) {
	drop := func(b *Block) {
		if b != nil && len(b.plugin.Config) > 0 {
			others = append(others, b)
		}
	}
	for _, f := range a.files {
		var last *Block
		for _, b := range f.blocks {
			if b.plugin.Name == plugin {
				drop(last)
				last = b
			}
		}
		if last != nil && (counts == nil || len(last.plugin.Config) > 0) {
			drop(counts)
			counts = last
		}
	}
	return counts, others
}

// Ignored returns the places of keys that stand in a plugin's blocks, and that the agent
// does not know and passes over, by their names.
func (a *Agent) Ignored(plugin string) map[string]Place {
	ignored := map[string]Place{}
	for _, f := range a.files {
		for _, b := range f.blocks {
			for _, item := range b.content.Items {
				if key := keyText(item.Keys[0]); b.plugin.Name == plugin && !isKnown(key) {
					ignored[key] = Place{f.name, lineOfItem(item)}
				}
			}
		}
	}
	return ignored
}

// isKnown reports whether a key has a meaning in a plugin block.
func isKnown(key string) bool {
	return strings.EqualFold(key, "config") || strings.EqualFold(key, "args")
}

// unexpected returns the keys of plugin blocks for which the agent refuses the file
// (extraKeys in its command/agent): what the decoder takes for labels, a second one or, of
// JSON, what stands in blocks that have nothing but blocks.
func (f *file) unexpected() (keys []string, line int) {
	plugins := &ast.ObjectList{}
	for _, item := range f.root.Items {
		if len(item.Keys) > 0 && strings.EqualFold(keyText(item.Keys[0]), "plugin") {
			plugins.Items = append(plugins.Items, item)
			line = lineOfItem(item)
		}
	}
	var decoded struct {
		Plugins []*config.PluginConfig `hcl:"plugin"`
		Keys    []string               `hcl:",unusedKeys"`
	}
	if hcl.DecodeObject(&decoded, plugins) != nil {
		return nil, 0
	}
	for _, p := range decoded.Plugins {
		for _, name := range []string{p.Name, "config", "plugin"} {
			if i := slices.IndexFunc(decoded.Keys, func(key string) bool { return strings.EqualFold(key, name) }); i >= 0 {
				decoded.Keys = slices.Delete(decoded.Keys, i, i+1)
			}
		}
	}
	return decoded.Keys, line
}

// explain says why the agent refuses keys of plugin blocks, and what to do.
func (f *file) explain(keys []string) error {
	what := "a plugin block has one label, its name"
	if f.json {
		what = `in JSON the agent knows no block that holds nothing but blocks: put [ ] around the objects, "config": [{ … }], or write HCL`
	}
	return fmt.Errorf("the agent does not expect %s in a plugin block, and does not start: %s", strings.Join(keys, ", "), what)
}
