// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package ranks

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// pmiPatience bounds a launcher's answers.
const pmiPatience = 30 * time.Second

// launch is the name of this launch, or nothing where the launcher gives none.
func (p Place) launch() (string, error) {
	if p.name != "" || p.pmi == "" {
		return p.name, nil
	}
	name, err := pmiName(p.pmi)
	if err != nil {
		// Without the name this rank would look for another file than the others.
		return "", fmt.Errorf("ask the launcher for the name of this launch (PMI_FD=%s): %w", p.pmi, err)
	}
	return name, nil
}

// pmiName asks Hydra for the name of the launch's key-value space, which
// contains a process id, a random number and the host's name. It leaves PMI at
// once: Hydra takes a rank that ends without leaving for a failed one.
func pmiName(descriptor string) (string, error) {
	fd, err := strconv.Atoi(descriptor)
	if err != nil || fd < 3 {
		return "", fmt.Errorf("it is not a descriptor")
	}
	file := os.NewFile(uintptr(fd), "PMI")
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(pmiPatience))
	return askName(conn)
}

// askName speaks version 1 of the PMI wire protocol: lines of name=value.
func askName(conn io.ReadWriter) (string, error) {
	in := bufio.NewReader(io.LimitReader(conn, 1<<16))
	ask := func(question, answer string) (map[string]string, error) {
		if _, err := io.WriteString(conn, question+"\n"); err != nil {
			return nil, err
		}
		line, err := in.ReadString('\n')
		if err != nil {
			return nil, err
		}
		values := map[string]string{}
		for field := range strings.FieldsSeq(line) {
			name, value, _ := strings.Cut(field, "=")
			values[name] = value
		}
		if values["cmd"] != answer {
			return nil, fmt.Errorf("it answered %.80q to %q", line, question)
		}
		return values, nil
	}
	if _, err := ask("cmd=init pmi_version=1 pmi_subversion=1", "response_to_init"); err != nil {
		return "", err
	}
	values, err := ask("cmd=get_my_kvsname", "my_kvsname")
	if err != nil {
		return "", err
	}
	if values["kvsname"] == "" {
		return "", fmt.Errorf("it has no name for this launch")
	}
	_, err = ask("cmd=finalize", "finalize_ack")
	return values["kvsname"], err
}
