// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package placement

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// MissingCgroups says in words what tasks go without because the node lacks cgroups
// that an agent which runs as root is expected to have; nothing where all are there,
// or where the agent is not root. limited says whether processes are to be bounded.
func (c *Cores) MissingCgroups(limited bool) []string {
	if os.Geteuid() != 0 {
		return nil // it has none, and README says so
	}
	if c.cgroups.V2 {
		return c.missingControllers(limited)
	}
	var missing []string
	for _, hierarchy := range []string{"freezer", "cpu", "memory", "cpuset"} {
		if !c.isHierarchy(hierarchy) {
			missing = append(missing, hierarchy)
		}
	}
	if len(missing) > 0 {
		return []string{fmt.Sprintf("tasks run without cgroups, and so without limits: there is no cgroup v1 hierarchy %s below %s; boot with cgroup v2, or mount it",
			strings.Join(missing, ", "), c.cgroups.Root)}
	}
	if limited && !c.isHierarchy("pids") {
		return []string{fmt.Sprintf("nothing bounds the processes of a task: there is no cgroup v1 hierarchy pids below %s; mount it, or set max_processes = 0", c.cgroups.Root)}
	}
	return nil
}

// without says what a task goes without that has not got a controller of cgroup v2.
var without = []struct{ controller, words string }{
	{"cpuset", "only affinity keeps tasks on their cores"},
	{"memory", "nothing bounds the memory of a task"},
	{"cpu", "tasks have no CPU shares"},
	{"pids", "nothing bounds the processes of a task"},
}

// missingControllers looks at what the kernel has, and at what the agent's parent hands
// down once Nomad has made it.
func (c *Cores) missingControllers(limited bool) (words []string) {
	places := []string{filepath.Join(c.cgroups.Root, "cgroup.controllers")}
	for _, parent := range c.knownParents() {
		places = append(places, filepath.Join(c.cgroups.Root, parent, "cgroup.subtree_control"))
	}
	for _, w := range without {
		if w.controller == "pids" && !limited {
			continue
		}
		for _, place := range places {
			data, err := os.ReadFile(place)
			if err != nil || slices.Contains(strings.Fields(string(data)), w.controller) {
				continue
			}
			words = append(words, fmt.Sprintf("%s: %s does not name the controller %s", w.words, place, w.controller))
			break
		}
	}
	return words
}

// knownParents returns the cgroup parents of the agents whose runs are known.
func (c *Cores) knownParents() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var parents []string
	for parent := range c.parents {
		parents = append(parents, parent)
	}
	slices.Sort(parents)
	return parents
}

// isHierarchy reports whether a v1 hierarchy is mounted.
func (c *Cores) isHierarchy(name string) bool {
	return isFile(filepath.Join(c.cgroups.Root, name, "cgroup.procs"))
}
