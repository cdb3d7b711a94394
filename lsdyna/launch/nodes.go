// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package launch

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
)

// Host is one node of a run over several.
type Host struct {
	Label string // by which the launcher has its agent start something there
	Ranks int
}

// Nodes is how the ranks of a run come to several nodes: the launcher calls the agent
// like a remote shell, and every rank begins as the shim, which binds it.
type Nodes struct {
	Hosts   []Host   // the leading node first; its label is not used
	Address string   // the leading node's
	Network string   // that the ranks talk in, as CIDR
	Agent   string   // program that is called like ssh, without arguments of its own
	Shim    []string // program with arguments, before the solver
	AppFile string   // where NodesCommand.AppFile is written
	Root    bool     // the run's user is root
}

// NodesCommand is what has to be executed on the leading node.
type NodesCommand struct {
	Path    string
	Args    []string
	Env     []string // beside the run's
	AppFile []byte   // for the file of Nodes.AppFile; nil for none
}

// CanUseNodes reports whether an MPI's ranks can be on several nodes. They all can whose
// launcher calls a remote shell.
func CanUseNodes(m lsdyna.MPI) bool {
	switch m {
	case lsdyna.OpenMPI, lsdyna.MPICH, lsdyna.IntelMPI, lsdyna.PlatformMPI:
		return true
	}
	return false
}

// SendsEnvironment reports whether an MPI's launcher sends its whole environment to the
// other nodes. Open MPI sends its own variables only. Hydra does also with -genvnone.
// Source: tried with mpirun 4.1.4 and mpiexec.hydra 4.0.2.
func SendsEnvironment(m lsdyna.MPI) bool { return m != lsdyna.OpenMPI }

// CheckFolder reports whether a run over several nodes can be in a folder. Launchers take
// the agent's path, which is in it, apart at blanks and colons, and put it without quotes
// into what a shell reads: Hydra waits for ever then.
// Source: tried with Open MPI 4.1.4 and MPICH 4.0.2.
func CheckFolder(path string) error {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+=@%,~#"
	i := strings.IndexFunc(path, func(r rune) bool { return !strings.ContainsRune(letters, r) })
	if i < 0 {
		return nil
	}
	wrong, _ := utf8.DecodeRuneInString(path[i:])
	return fmt.Errorf("MPI launchers cannot start other nodes from the run folder %q: rename it without %q; letters (a to z), digits and /._-+=@%%,~# can be in its path", path, wrong)
}

// Command makes the command of the solver's arguments.
func (n Nodes) Command(s lsdyna.Solver, args []string) (NodesCommand, error) {
	if err := s.Validate(); err != nil {
		return NodesCommand{}, err
	}
	if len(n.Hosts) < 2 || n.Address == "" || n.Network == "" {
		return NodesCommand{}, fmt.Errorf("a run over several nodes needs two at least, and the leading node's address")
	}
	c := NodesCommand{Path: s.MPIRun}
	ranks := slices.Concat(n.Shim, []string{s.Path}, args)
	switch s.MPI {
	case lsdyna.OpenMPI:
		c.Args, c.Env = append(n.openMPI(), ranks...), n.openMPIEnv()
	case lsdyna.MPICH:
		c.Args = slices.Concat(n.hydra("-bind-to", "none"), []string{"-launcher", "rsh", "-launcher-exec", n.Agent}, ranks)
	case lsdyna.IntelMPI:
		c.Args = slices.Concat(n.hydra("-genv", "I_MPI_PIN", "off"), []string{"-bootstrap", "rsh", "-bootstrap-exec", n.Agent}, ranks)
	case lsdyna.PlatformMPI:
		if err := checkAppFileWords(ranks); err != nil {
			return NodesCommand{}, err
		}
		c.Args, c.AppFile = []string{"-aff=none", "-f", n.AppFile}, n.appFile(ranks)
		// Above 20 hosts it has them start each other in a tree.
		c.Env = []string{"MPI_REMSH=" + n.Agent, "MPI_MAX_REMSH=" + strconv.Itoa(len(n.Hosts))}
	default:
		return NodesCommand{}, fmt.Errorf("solver %q: mpi = %q has no launcher that can use several nodes", s.Name, s.MPI)
	}
	return c, nil
}

func (n Nodes) ranks() (all int) {
	for _, h := range n.Hosts {
		all += h.Ranks
	}
	return all
}

// hosts is the list of hosts with the ranks of each, as both families of launchers take
// it.
func (n Nodes) hosts(local string) string {
	list := make([]string, len(n.Hosts))
	for i, h := range n.Hosts {
		label := h.Label
		if i == 0 {
			label = local
		}
		list[i] = label + ":" + strconv.Itoa(h.Ranks)
	}
	return strings.Join(list, ",")
}

// openMPI has one daemon started on each other node, by mpirun itself: in a tree the
// nodes would start each other's. Networks are named by their numbers: names of
// interfaces that differ between nodes make it hang in silence.
// Source: Open MPI 4.1, tried with mpirun 4.1.4.
func (n Nodes) openMPI() (args []string) {
	if n.Root {
		args = append(args, "--allow-run-as-root")
	}
	return append(args,
		"--mca", "plm_rsh_agent", n.Agent, "--mca", "plm_rsh_no_tree_spawn", "1",
		"--mca", "oob_tcp_if_include", n.Network, "--mca", "btl_tcp_if_include", n.Network,
		"--host", n.hosts("localhost"), "--map-by", "slot", "--bind-to", "none", "-np", strconv.Itoa(n.ranks()))
}

// openMPIEnv is the same for Open MPI 5, whose mpirun is PRRTE's with other names.
// Source: PRRTE 3, src/mca/plm/ssh; not run.
func (n Nodes) openMPIEnv() []string {
	return []string{
		"PRTE_MCA_plm_ssh_agent=" + n.Agent, "PRTE_MCA_plm_ssh_no_tree_spawn=1",
		"PRTE_MCA_prte_if_include=" + n.Network,
	}
}

// hydra gives the other nodes' proxies the leading node's address, so that no name has
// to be resolved.
// Source: Hydra 4.0's -help, and tried with mpiexec.hydra 4.0.2.
func (n Nodes) hydra(more ...string) []string {
	return append([]string{"-localhost", n.Address, "-hosts", n.hosts(n.Address), "-np", strconv.Itoa(n.ranks())}, more...)
}

// checkAppFileWords refuses what Platform MPI would read as something else: its file of
// hosts and programs is taken apart at blanks, has comments, and no quotes are described.
// Source: HP-MPI (later Platform MPI) user's guide, "Appfiles"; not run.
func checkAppFileWords(words []string) error {
	const other = "/._-+=@%,:"
	for _, word := range words {
		i := strings.IndexFunc(word, func(r rune) bool {
			return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(other, r))
		})
		if i >= 0 || word == "" {
			wrong, _ := utf8.DecodeRuneInString(word[max(i, 0):])
			return fmt.Errorf("the launcher of Platform MPI cannot pass %q on to several nodes, because of %q in it: letters (a to z), digits and %s can be in the paths of run folder and solver, and in its arguments", word, wrong, other)
		}
	}
	return nil
}

// appFile has one line for each host.
// Source: HP-MPI (later Platform MPI) user's guide, "Appfiles"; not run.
func (n Nodes) appFile(ranks []string) []byte {
	var b strings.Builder
	for i, h := range n.Hosts {
		label := h.Label
		if i == 0 {
			label = n.Address
		}
		fmt.Fprintf(&b, "-h %s -np %d %s\n", label, h.Ranks, strings.Join(ranks, " "))
	}
	return []byte(b.String())
}
