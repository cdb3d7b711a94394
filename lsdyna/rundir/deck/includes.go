// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package deck

import (
	"bytes"
	"path"
	"strings"
)

// includeCards finds the file names of *INCLUDE keywords. Plain *INCLUDE has one on
// every card up to the next keyword, *INCLUDE_… on the first card only. A card that
// ends with " +" continues on the next.
type includeCards struct {
	cards   int // cards that may still hold a name
	partial string
}

func (c *includeCards) line(line []byte) string {
	line = bytes.TrimRight(line, " \t\r\n")
	switch {
	case len(line) == 0 || line[0] == '$':
		return ""
	case line[0] == '*':
		c.partial, c.cards = "", 0
		switch keyword := strings.ToUpper(string(line)); {
		case strings.HasPrefix(keyword, "*INCLUDE_PATH"):
		case keyword == "*INCLUDE":
			c.cards = maxIncludes
		case strings.HasPrefix(keyword, "*INCLUDE"):
			c.cards = 1
		}
		return ""
	case c.cards == 0:
		return ""
	}
	text := strings.TrimSpace(string(line))
	if more, ok := strings.CutSuffix(text, " +"); ok && len(c.partial) < 8*maxLine {
		c.partial += strings.TrimSpace(more)
		return ""
	}
	name := c.partial + text
	c.partial = ""
	c.cards--
	return path.Clean(name)
}
