// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package license

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/internal/sanitize"
)

const qrunTable = `LICENSE INFORMATION

PROGRAM          EXPIRATION CPUS  USED   FREE    MAX | QUEUE
---------------- ----------      ----- ------ ------ | -----
LS-DYNA          07/31/2030         12   1988   2000 |     0
LS-OPT           07/31/2030          -     10     10 |     0
                   LICENSE GROUP    12   1500   2000 |     4
MPPDYNA          07/31/2030   8    100      6    106 |     3
`

func TestParseQRun(t *testing.T) {
	all, err := parseQRun([]byte(qrunTable))
	must.NoError(t, err)
	must.Eq(t, []Use{
		{"LS-DYNA", "07/31/2030", 12, 1500, 2000, 4},
		{"LS-OPT", "07/31/2030", -1, 10, 10, 4},
		{"MPPDYNA", "07/31/2030", 100, 6, 106, 3},
	}, all)
	crlf, err := parseQRun([]byte(strings.ReplaceAll(qrunTable, "\n", "\r\n")))
	must.NoError(t, err)
	must.Eq(t, all, crlf)

	for _, rubbish := range []string{"", "hello\nworld\n", "ERROR cannot connect to lic1\n", "PROGRAM\nLS-DYNA x y z | q\n", "\x00\xff|||\n"} {
		_, err := parseQRun([]byte(rubbish))
		must.Error(t, err, must.Sprint(rubbish))
	}
}

func FuzzParseQRun(f *testing.F) {
	f.Add([]byte(qrunTable))
	f.Add([]byte("ERROR x\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		all, err := parseQRun(data)
		must.Eq(t, err != nil, len(all) == 0)
		for _, u := range all {
			must.True(t, u.Free >= 0 && u.Max >= 0 && u.Queue >= 0 && u.Program != "")
		}
	})
}

// fakeQRun writes a script that stands for lstc_qrun.
func fakeQRun(t *testing.T, body string) Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), "lstc_qrun")
	must.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+body), 0o755))
	return Config{Type: "network", Server: "31010@secret-host.example", QRun: path}
}

func TestCheck(t *testing.T) {
	table := fmt.Sprintf("[ \"$1 $2 $3\" = \"-r -s 31010@secret-host.example\" ] || exit 9\ncat <<'EOF'\n%sEOF\nexit 1\n", qrunTable)
	use, err := Check(t.Context(), fakeQRun(t, table), lsdyna.SMP, 8)
	must.NoError(t, err)
	must.Eq(t, 1500, use.Free)

	use, err = Check(t.Context(), fakeQRun(t, table), lsdyna.MPP, 8)
	must.ErrorIs(t, err, ErrNotEnough)
	must.ErrorContains(t, err, "asked 8, free 6 of 106, queue 3")
	must.Eq(t, 6, use.Free)
}

func TestCheck_troubleIsNoRefusalAndTellsNoServer(t *testing.T) {
	missing := Config{Type: "network", Server: "31010@secret-host.example", QRun: "/nowhere/lstc_qrun"}
	for name, l := range map[string]Config{
		"missing":     missing,
		"error":       fakeQRun(t, "echo \"ERROR no answer from secret-host.example, server secret-host.example:31010\"\n"),
		"rubbish":     fakeQRun(t, "head -c 100000 /dev/zero\n"),
		"silent":      fakeQRun(t, "exit 0\n"),
		"no such row": fakeQRun(t, "echo PROGRAM; echo 'LS-OPT 07/31/2030 0 1 1 | 0'\n"),
	} {
		_, err := Check(t.Context(), l, lsdyna.SMP, 8)
		must.Error(t, err, must.Sprint(name))
		must.False(t, errors.Is(err, ErrNotEnough))
		must.StrNotContains(t, err.Error(), "secret-host", must.Sprint(name))
	}
}

func TestCheck_doesNotHangWithItsProgram(t *testing.T) {
	for name, body := range map[string]string{"asleep": "sleep 600\n", "a child holds the pipe": "sleep 600 &\nwait\n", "endless": "yes\n"} {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		begin := time.Now()
		_, err := Check(ctx, fakeQRun(t, body), lsdyna.SMP, 8)
		cancel()
		must.ErrorIs(t, err, context.DeadlineExceeded, must.Sprint(name))
		must.Less(t, 20*time.Second, time.Since(begin))
	}
}

func TestConfig_environment(t *testing.T) {
	for _, c := range []struct {
		l    Config
		want map[string]string
	}{
		{Config{Type: "network", Server: "31010@a"}, map[string]string{"LSTC_LICENSE": "network", "LSTC_LICENSE_SERVER": "31010@a"}},
		{Config{Type: "local", Server: "/opt/lic"}, map[string]string{"LSTC_LICENSE": "local", "LSTC_FILE": "/opt/lic"}},
		{Config{Type: "local"}, map[string]string{"LSTC_LICENSE": "local"}},
		{Config{Type: "ansys", Server: "1055@a:1055@b"}, map[string]string{"LSTC_LICENSE": "ansys", "ANSYSLMD_LICENSE_FILE": "1055@a:1055@b", "ANSYSLI_SERVERS": "2325@a:2325@b"}},
		{Config{Type: "ansys", Server: "1055@a,1055@b,1055@c"}, map[string]string{"LSTC_LICENSE": "ansys", "ANSYSLMD_LICENSE_FILE": "1055@a,1055@b,1055@c", "ANSYSLI_SERVERS": "2325@a,2325@b,2325@c"}},
		{Config{Type: "ansys", Server: "1055@a,1056@b,c:1055@d", Interconnect: "2326"}, map[string]string{"LSTC_LICENSE": "ansys", "ANSYSLMD_LICENSE_FILE": "1055@a,1056@b,c:1055@d", "ANSYSLI_SERVERS": "2326@a,2326@b,2326@c:2326@d"}},
		{Config{Type: "ansys", Server: "1055@a", Interconnect: "2400@x,2400@y"}, map[string]string{"LSTC_LICENSE": "ansys", "ANSYSLMD_LICENSE_FILE": "1055@a", "ANSYSLI_SERVERS": "2400@x,2400@y"}},
	} {
		must.NoError(t, c.l.Validate())
		must.Eq(t, c.want, c.l.Env())
	}
	for _, l := range []Config{
		{},
		{Type: "flexlm"},
		{Type: "network"},
		{Type: "ansys"},
		{Type: "network", Server: "a b"},
		{Type: "network", Server: "-x"},
		{Type: "network", Server: "a", Interconnect: "2325"},
		{Type: "ansys", Server: "a", Interconnect: "port"},
		{Type: "ansys", Server: "a", Interconnect: "0"},
		{Type: "ansys", Server: "a", Interconnect: "1@ b"},
		{Type: "network", Server: "a", QRun: "lstc_qrun"},
		{Type: "ansys", Server: "a", QRun: "/x"},
	} {
		must.Error(t, l.Validate())
	}
	err := Config{Type: "network", Server: "secret host"}.Validate()
	must.StrNotContains(t, err.Error(), "secret")
}

func TestConfig_redact(t *testing.T) {
	l := Config{Type: "network", Server: "31010@lic1.example"}
	must.Eq(t, "no answer from … or …", l.Redact("no answer from lic1.example or 31010@lic1.example"))
	must.Eq(t, "cycle 31010", l.Redact("cycle 31010"))
	must.Eq(t, "x", Config{}.Redact("x"))
}

func TestSecrets_hideValuesAndTheHostsInThem(t *testing.T) {
	s := NewSecrets(
		map[string]string{"LSTC_LICENSE": "network", "LSTC_LICENSE_SERVER": "31010@lic1.corp.example", "PATH": "/usr/bin"},
		Config{Type: "ansys", Server: "1055@Ans-A:1055@10.1.2.3"}.Env(),
		map[string]string{"LSTC_FILE": "/opt/licences/key", "LSTC_LICENSE_SERVER": "server"},
	)
	for text, want := range map[string]string{
		"31010@lic1.corp.example does not answer":       "… does not answer",
		"LIC1.CORP.EXAMPLE: no answer":                  "…: no answer",
		"host lic1 is down, lic10 is not":               "host … is down, lic10 is not",
		"2325@ans-a refused, so did 10.1.2.3":           "2325@… refused, so did …",
		"cannot read /opt/licences/key, nor /opt/x":     "cannot read …, nor /opt/x",
		"Executing with LSTC network license on Server": "Executing with LSTC network license on …",
		"ports 31010 and 1055, /usr/bin":                "ports 31010 and 1055, /usr/bin",
		"Ärger mit LIC1, Größe 3":                       "Ärger mit …, Größe 3",
		"lic1lic1 lic1-lic1":                            "lic1lic1 …-…",
		"":                                              "",
	} {
		must.Eq(t, want, s.Redact(text))
	}
	must.Eq(t, "as it is", NewSecrets().Redact("as it is"))
	must.Eq(t, "no license from …", Config{Type: "network", Server: "31010@license"}.Redact("no license from 31010@license"))
}

// FuzzSecrets checks that a secret between blanks never gets through.
func FuzzSecrets(f *testing.F) {
	f.Add("31010@lic1.example", "no answer from ", " today")
	f.Add("\xff:a", "\xff", "a\x00")
	f.Fuzz(func(t *testing.T, server, before, after string) {
		s := NewSecrets(map[string]string{"LSTC_LICENSE_SERVER": server})
		value := lowerASCII(strings.TrimSpace(server))
		if value == "" || value == "network" || value == "local" || value == "ansys" || strings.Contains(sanitize.Redacted, value) { //nolint:gocritic // a part of what stands for it
			t.Skip("no secret")
		}
		out := " " + lowerASCII(s.Redact(before+" "+server+" "+after)) + " "
		must.False(t, strings.Contains(out, " "+value+" "))
	})
}
