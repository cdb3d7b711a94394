// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package license

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/internal/sanitize"
)

// Config is where licences come from. Its server never appears in an error.
type Config struct {
	Type   string // network, local or ansys
	Server string // network: [port@]host; ansys: port@host of the licence manager; local: the licence file
	QRun   string // absolute path of lstc_qrun; "" for no check before a start

	// Interconnect is where Ansys's licensing interconnect is: a port on the hosts of
	// Server, or port@host as Server has it; "" for port 2325 on these.
	Interconnect string
}

// Validate reports what cannot work, as a *lsdyna.FieldError. It does not hold the server's
// name.
func (l Config) Validate() error {
	switch l.Type {
	case "network", "ansys":
		if l.Server == "" {
			return refuse("server", "type = %q needs a server", l.Type)
		}
	case "local":
	default:
		return refuse("type", "type must be network, local or ansys, not %q", l.Type)
	}
	for key, value := range map[string]string{"server": l.Server, "interconnect": l.Interconnect} {
		if strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
			return refuse(key, "%s holds a blank or a control character; hosts are set apart by commas (three that are one service) or colons", key)
		}
	}
	if l.Interconnect != "" && l.Type != "ansys" {
		return refuse("interconnect", "interconnect is Ansys's; remove it with type = %q", l.Type)
	}
	if n, err := strconv.ParseUint(l.Interconnect, 10, 16); l.Interconnect != "" && !strings.Contains(l.Interconnect, "@") && (err != nil || n == 0) {
		return refuse("interconnect", "interconnect must be a port such as 2325, or port@host as in server")
	}
	if strings.HasPrefix(l.Server, "-") {
		return refuse("server", "server begins with a dash")
	}
	if l.QRun != "" && !filepath.IsAbs(l.QRun) {
		return refuse("qrun", "qrun must be the absolute path of lstc_qrun, not %q", l.QRun)
	}
	if l.QRun != "" && l.Type != "network" {
		return refuse("qrun", "qrun asks LSTC's network licence server; remove it with type = %q", l.Type)
	}
	return nil
}

// refuse returns what is wrong with a setting.
func refuse(field, format string, args ...any) error {
	return &lsdyna.FieldError{Field: field, Text: "license: " + fmt.Sprintf(format, args...)}
}

// interconnectPort is the usual port of Ansys's licensing interconnect.
const interconnectPort = "2325"

// interconnect is the value of ANSYSLI_SERVERS: the hosts of the licence manager with the
// port of the interconnect. Hosts behind commas are three servers of one service (a
// triad), and those behind colons others.
func (l Config) interconnect() string {
	if strings.Contains(l.Interconnect, "@") {
		return l.Interconnect
	}
	port := cmp.Or(l.Interconnect, interconnectPort)
	services := strings.Split(l.Server, ":")
	for i, service := range services {
		hosts := strings.Split(service, ",")
		for j, host := range hosts {
			_, name, found := strings.Cut(host, "@")
			if !found {
				name = host
			}
			hosts[j] = port + "@" + name
		}
		services[i] = strings.Join(hosts, ",")
	}
	return strings.Join(services, ":")
}

// Env is the variables from which LS-DYNA takes its licence.
//
// Sources: LSTC_LICENSE, LSTC_LICENSE_SERVER and LSTC_FILE of LSTC's licence
// guide; ANSYSLMD_LICENSE_FILE and ANSYSLI_SERVERS of Ansys's.
func (l Config) Env() map[string]string {
	env := map[string]string{"LSTC_LICENSE": l.Type}
	if l.Server == "" {
		return env
	}
	switch l.Type {
	case "network":
		env["LSTC_LICENSE_SERVER"] = l.Server
	case "local":
		env["LSTC_FILE"] = l.Server
	case "ansys":
		env["ANSYSLMD_LICENSE_FILE"] = l.Server
		env["ANSYSLI_SERVERS"] = l.interconnect()
	}
	return env
}

// Redact takes the server out of a text, e.g. of one that a solver printed.
func (l Config) Redact(text string) string { return NewSecrets(l.Env()).Redact(text) }

// Use is one program's line of lstc_qrun -r.
type Use struct {
	Program string
	Expires string // MM/DD/YYYY
	Used    int    // -1 not known
	Free    int    // also bounded by the program's licence group
	Max     int
	Queue   int // licences that others wait for
}

// Bounds of what is read of lstc_qrun, and of what an error quotes of it.
const (
	maxQRunOutput = 1 << 20
	maxErrorLine  = 200
)

// parseQRun reads what lstc_qrun -r prints:
//
//	PROGRAM          EXPIRATION CPUS  USED   FREE    MAX | QUEUE
//	---------------- ----------      ----- ------ ------ | -----
//	LS-DYNA          07/31/2020          0   2000   2000 |     0
//	                   LICENSE GROUP     0   2000   2000 |     0
//
// A LICENSE GROUP line bounds the programs above it. Other lines are ignored; an
// ERROR line is an error.
func parseQRun(output []byte) ([]Use, error) {
	var all []Use
	group := 0 // first program of the group being read
	table := false
	for line := range bytes.Lines(output) {
		text := strings.TrimSpace(strings.ToValidUTF8(string(line), "?"))
		switch {
		case strings.HasPrefix(text, "ERROR"):
			return nil, fmt.Errorf("the licence server's answer is an error: %s", sanitize.HideHosts(sanitize.Line([]byte(text), maxErrorLine)))
		case strings.HasPrefix(text, "PROGRAM"):
			table = true
			continue
		case !table:
			continue
		}
		use, ok := parseQRunLine(text)
		switch {
		case !ok:
		case use.Program == licenceGroup:
			for i := group; i < len(all); i++ {
				all[i].Free = min(all[i].Free, use.Free)
				all[i].Queue = max(all[i].Queue, use.Queue)
			}
			group = len(all)
		default:
			all = append(all, use)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("the licence server's answer holds no table of licences")
	}
	return all, nil
}

const licenceGroup = "LICENSE GROUP"

func parseQRunLine(text string) (Use, bool) {
	left, right, ok := strings.Cut(text, "|")
	if !ok {
		return Use{}, false
	}
	use := Use{Used: -1}
	fields := strings.Fields(left)
	if strings.HasPrefix(text, licenceGroup) {
		use.Program, fields = licenceGroup, strings.Fields(left[len(licenceGroup):])
	} else if len(fields) >= 5 && strings.Count(fields[1], "/") == 2 {
		use.Program, use.Expires, fields = fields[0], fields[1], fields[2:]
	}
	if use.Program == "" || len(fields) < 3 {
		return Use{}, false
	}
	fields = fields[len(fields)-3:]
	count := func(s string) int {
		n, err := strconv.ParseUint(s, 10, 30)
		if err != nil {
			return -1
		}
		return int(n)
	}
	use.Used, use.Free, use.Max, use.Queue = count(fields[0]), count(fields[1]), count(fields[2]), count(strings.TrimSpace(right))
	return use, use.Free >= 0 && use.Max >= 0 && use.Queue >= 0
}

// ErrNotEnough is wrapped by Check when fewer licences are free than asked for.
var ErrNotEnough = errors.New("not enough free licences")

// qrunGrace is how long lstc_qrun's output may stay open after it was ended.
const qrunGrace = time.Second

// Check asks the server with lstc_qrun whether as many licences as wanted are free;
// LS-DYNA takes one for each core. The context needs a timeout: lstc_qrun may hang.
// An error that is not ErrNotEnough means that the server could not be asked, which
// is no reason against a start.
func Check(ctx context.Context, l Config, p lsdyna.Parallel, want int) (Use, error) {
	if err := l.Validate(); err != nil {
		return Use{}, err
	}
	output, err := l.ask(ctx)
	if err != nil {
		return Use{}, err
	}
	all, err := parseQRun(output)
	if err != nil {
		return Use{}, errors.New(l.Redact(err.Error()))
	}
	program := "LS-DYNA"
	if p == lsdyna.MPP || p == lsdyna.Hybrid {
		program = "MPPDYNA"
	}
	i := slices.IndexFunc(all, func(u Use) bool { return strings.EqualFold(u.Program, program) })
	if i < 0 {
		return Use{}, fmt.Errorf("the licence server has no line for %s", program)
	}
	if use := all[i]; use.Free < want {
		return use, fmt.Errorf("%w for %s: asked %d, free %d of %d, queue %d", ErrNotEnough, program, want, use.Free, use.Max, use.Queue)
	}
	return all[i], nil
}

// ask runs lstc_qrun. Its exit code is ignored: it is not 0 even when it works.
func (l Config) ask(ctx context.Context) ([]byte, error) {
	out := &limitedBuffer{}
	cmd := exec.CommandContext(ctx, l.QRun, "-r", "-s", l.Server)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LSTC_LICENSE_SERVER=" + l.Server}
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = out, out
	cmd.WaitDelay = qrunGrace
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } //nolint:forbidigo // its group; not waited for yet
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%s did not answer in time: %w", l.QRun, ctx.Err())
	case err == nil, errors.As(err, &exit), errors.Is(err, exec.ErrWaitDelay):
		return out.Bytes(), nil
	}
	return nil, errors.New(l.Redact(fmt.Sprintf("ask the licence server: %v", err)))
}

// limitedBuffer keeps the first maxQRunOutput bytes and drops the rest.
type limitedBuffer struct{ bytes.Buffer }

func (b *limitedBuffer) Write(p []byte) (int, error) {
	if room := maxQRunOutput - b.Len(); room > 0 {
		b.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
