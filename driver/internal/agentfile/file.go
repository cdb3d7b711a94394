// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package agentfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl"
	"github.com/hashicorp/hcl/hcl/ast"
	"github.com/hashicorp/hcl/hcl/parser"
)

// file is one file of the configuration.
type file struct {
	name  string
	root  *ast.ObjectList
	agent Agent
	json  bool

	blocks []*Block // its plugin blocks, as agent.Plugins has them
}

func readFile(name string) (*file, *Error) {
	refuse := func(err error) (*file, *Error) { return nil, &Error{Place{name, lineOf(err)}, err} }
	r, err := os.Open(name)
	if err != nil {
		return refuse(err)
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	switch {
	case err != nil:
		return refuse(err)
	case len(text) > maxFile:
		return refuse(fmt.Errorf("the file is larger than %d MiB: is it a configuration?", maxFile>>20))
	}
	tree, err := hcl.ParseBytes(text)
	if err != nil {
		return refuse(err)
	}
	root, ok := tree.Node.(*ast.ObjectList)
	if !ok {
		return refuse(errors.New("the file is no list of blocks and settings"))
	}
	f := &file{name: name, root: root}
	f.json = strings.HasPrefix(strings.TrimSpace(string(text)), "{") // as the parser decides
	if err := hcl.DecodeObject(&f.agent, tree); err != nil {
		return refuse(err)
	}
	f.blocks = f.pluginBlocks()
	if keys, line := f.unexpected(); len(keys) > 0 {
		return nil, &Error{Place{name, line}, f.explain(keys)}
	}
	return f, nil
}

// position is how errors tell where: "At 3:4: …", "3:4: …", "unknown token: 3:4 RBRACK ]".
var position = regexp.MustCompile(`(?:^|\s)(\d+):\d+(?::| )`)

// lineOf returns the line that an error of the parser names, 0 for none.
func lineOf(err error) int {
	if at, ok := errors.AsType[*parser.PosError](err); ok {
		return at.Pos.Line
	}
	if m := position.FindStringSubmatch(err.Error()); m != nil {
		line, _ := strconv.Atoi(m[1])
		return line
	}
	return 0
}

// find returns the line of a key in a list, or of the nearest block around it, and how much
// of the path leads there. Of several the last counts.
func find(list *ast.ObjectList, path []string) (line, depth int) {
	for _, item := range list.Items {
		shared := sharedKeys(item, path)
		if shared == 0 || shared < len(item.Keys) && shared < len(path) {
			continue
		}
		at, deep := lineOfItem(item), shared
		for _, inner := range lists(item.Val) {
			if below, more := find(inner, path[shared:]); more > 0 && shared+more >= deep {
				at, deep = below, shared+more
			}
		}
		if deep >= depth {
			line, depth = at, deep
		}
	}
	return line, depth
}

// sharedKeys counts the keys of an item with which a path begins.
func sharedKeys(item *ast.ObjectItem, path []string) int {
	n := 0
	for n < len(item.Keys) && n < len(path) && keyText(item.Keys[n]) == path[n] {
		n++
	}
	return n
}

// lists are the objects in a value: a block, or a list of objects as JSON may have it.
func lists(value ast.Node) []*ast.ObjectList {
	switch v := value.(type) {
	case *ast.ObjectType:
		return []*ast.ObjectList{v.List}
	case *ast.ListType:
		var all []*ast.ObjectList
		for _, one := range v.List {
			all = append(all, lists(one)...)
		}
		return all
	}
	return nil
}

func keyText(key *ast.ObjectKey) string {
	text, _ := key.Token.Value().(string)
	return text
}

// lineOfItem is the line of a key; JSON's parser knows only that of the colon behind it.
func lineOfItem(item *ast.ObjectItem) int {
	if len(item.Keys) > 0 && item.Keys[0].Pos().Line > 0 {
		return item.Keys[0].Pos().Line
	}
	return item.Assign.Line
}

// config returns the content of a config block that stands in no plugin block.
func (f *file) config() map[string]any {
	var bare struct {
		Config map[string]any `hcl:"config"`
	}
	if hcl.DecodeObject(&bare, f.root) != nil {
		return nil
	}
	return bare.Config
}

// keys are the names at the top of the file.
func (f *file) keys() (keys []string) {
	for _, item := range f.root.Items {
		if len(item.Keys) > 0 && !slices.Contains(keys, keyText(item.Keys[0])) {
			keys = append(keys, keyText(item.Keys[0]))
		}
	}
	return keys
}

// whole returns the content of the file.
func (f *file) whole() map[string]any {
	content := map[string]any{}
	if hcl.DecodeObject(&content, f.root) != nil {
		return nil
	}
	return content
}
