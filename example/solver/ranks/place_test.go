// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package ranks

import (
	"io"
	"net"
	"strings"
	"testing"
)

func TestPlaceOfEachLauncher(t *testing.T) {
	for name, c := range map[string]struct {
		env  map[string]string
		want Place
	}{
		"no launcher": {nil, Place{Size: 1, LocalSize: 1}},
		"Open MPI on one host": {
			map[string]string{"OMPI_COMM_WORLD_RANK": "3", "OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_LOCAL_SIZE": "4"},
			Place{Rank: 3, Size: 4, LocalSize: 4},
		},
		"Open MPI on several": {
			map[string]string{
				"OMPI_COMM_WORLD_RANK": "3", "OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
				"PMIX_NAMESPACE": "17", "OMPI_MCA_orte_precondition_transports": "a-b",
			},
			Place{Rank: 3, Size: 4, LocalSize: 2, name: "PMIX_NAMESPACE=17 OMPI_MCA_orte_precondition_transports=a-b"},
		},
		"Hydra on several":           {map[string]string{"PMI_RANK": "1", "PMI_SIZE": "2", "MPI_LOCALNRANKS": "1", "PMI_FD": "6"}, Place{Rank: 1, Size: 2, LocalSize: 1, pmi: "6"}},
		"a local size is not told":   {map[string]string{"PMI_RANK": "1", "PMI_SIZE": "2"}, Place{Rank: 1, Size: 2, LocalSize: 2}},
		"a local size is nonsense":   {map[string]string{"PMI_RANK": "1", "PMI_SIZE": "2", "MPI_LOCALNRANKS": "0"}, Place{Rank: 1, Size: 2, LocalSize: 2}},
		"Platform MPI":               {map[string]string{"MPI_RANKID": "0", "MPI_NRANKS": "2"}, Place{Rank: 0, Size: 2, LocalSize: 2}},
		"a rank beyond the number":   {map[string]string{"PMI_RANK": "7", "PMI_SIZE": "2"}, Place{Size: 1, LocalSize: 1}},
		"a rank that is no number":   {map[string]string{"PMI_RANK": "x", "PMI_SIZE": "2"}, Place{Size: 1, LocalSize: 1}},
		"a rank without their count": {map[string]string{"PMI_RANK": "0"}, Place{Size: 1, LocalSize: 1}},
	} {
		if got := Find(func(k string) string { return c.env[k] }); got != c.want {
			t.Errorf("%s: %+v, not %+v", name, got, c.want)
		}
	}
}

// answers answers questions one by one.
type answers struct {
	io.Reader
	asked strings.Builder
}

func (a *answers) Write(b []byte) (int, error) { return a.asked.Write(b) }

func TestNameOfALaunchByPMI(t *testing.T) {
	const hello, bye = "cmd=response_to_init pmi_version=1 pmi_subversion=1 rc=0\n", "cmd=finalize_ack\n"
	for name, c := range map[string]struct{ said, want string }{
		"Hydra":                    {hello + "cmd=my_kvsname kvsname=kvs_77_0_1_nodea\n" + bye, "kvs_77_0_1_nodea"},
		"another answer":           {hello + "cmd=maxes kvsname_max=256\n" + bye, ""},
		"an empty name":            {hello + "cmd=my_kvsname kvsname=\n" + bye, ""},
		"it ends":                  {hello, ""},
		"it does not let us go":    {hello + "cmd=my_kvsname kvsname=a\n", ""},
		"another protocol":         {"    43cmd=fullinit-response;pmi-version=2;\n", ""},
		"a line that does not end": {strings.Repeat("x", 1<<17), ""},
	} {
		a := &answers{Reader: strings.NewReader(c.said)}
		got, err := askName(a)
		if (err == nil) != (c.want != "") || err == nil && got != c.want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if c.want != "" && a.asked.String() != "cmd=init pmi_version=1 pmi_subversion=1\ncmd=get_my_kvsname\ncmd=finalize\n" {
			t.Errorf("%s: asked %q", name, a.asked.String())
		}
	}
}

func TestDescriptorThatIsNoSocketIsAnError(t *testing.T) {
	for _, fd := range []string{"x", "-1", "2", "99999"} {
		if _, err := (Place{Size: 2, pmi: fd}).launch(); err == nil || !strings.Contains(err.Error(), "PMI_FD="+fd) {
			t.Errorf("%s: %v", fd, err)
		}
	}
}

func FuzzAskName(f *testing.F) {
	f.Add("cmd=response_to_init rc=0\ncmd=my_kvsname kvsname=a\ncmd=finalize_ack\n")
	f.Fuzz(func(t *testing.T, said string) {
		if name, err := askName(&answers{Reader: strings.NewReader(said)}); err == nil && name == "" {
			t.Error("no name, and no error")
		}
	})
}

// The addresses of this host that other hosts may use.
func TestOfferedAddresses(t *testing.T) {
	mine := prefixes(t, "127.0.0.1/8", "::1/128", "10.77.0.1/24", "fe80::1/64", "169.254.3.3/16", "fd00::2/64", "224.0.0.1/4")
	want := "10.77.0.1:80 [fd00::2]:80 127.0.0.1:80 [::1]:80"
	if got := strings.Join(offered(mine, 80), " "); got != want {
		t.Errorf("%s, not %s", got, want)
	}
	var many []string
	for i := range 200 {
		many = append(many, net.IPv4(10, 0, 0, byte(i)).String()+"/8")
	}
	if got := offered(prefixes(t, append(many, "127.0.0.1/8")...), 80); len(got) > maxOffered || got[len(got)-1] != "127.0.0.1:80" {
		t.Errorf("%d addresses, the last is %s", len(got), got[len(got)-1])
	}
}

func TestAddressesInTheSameNetworkAreTriedFirst(t *testing.T) {
	mine := prefixes(t, "127.0.0.1/8", "10.77.0.2/24", "fd00::2/64")
	given := []string{"127.0.0.1:1", "192.0.2.1:1", "nonsense", "10.77.0.1:1", "[fd00::1]:1"}
	want := "10.77.0.1:1 [fd00::1]:1 192.0.2.1:1 127.0.0.1:1 nonsense"
	if got := strings.Join(inOrder(mine, given), " "); got != want {
		t.Errorf("%s, not %s", got, want)
	}
}
