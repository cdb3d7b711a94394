// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package shim

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// maxMessage bounds a message: an environment may be as large as the kernel
// takes for an exec (a quarter of the stack limit, 6 MiB at most), and JSON may
// escape it.
const maxMessage = 64 << 20

// conn is one end of a Unix stream socket that carries messages: four bytes of
// length, big endian, and so much JSON. Both ends are always the same program.
type conn struct{ fd int }

// openConn takes an inherited descriptor if it is a socket.
func openConn(fd int) (*conn, error) {
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil {
		return nil, fmt.Errorf("descriptor %d: %w", fd, err)
	}
	if st.Mode&syscall.S_IFMT != syscall.S_IFSOCK {
		return nil, fmt.Errorf("descriptor %d is not a socket", fd)
	}
	syscall.CloseOnExec(fd)
	return &conn{fd}, nil
}

// Socketpair returns two connected ends, both close-on-exec.
func Socketpair() (ours, theirs int, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, -1, os.NewSyscallError("socketpair", err)
	}
	return fds[0], fds[1], nil
}

func (c *conn) Read(p []byte) (int, error) {
	for {
		n, err := syscall.Read(c.fd, p)
		switch {
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.ECONNRESET):
			return 0, io.EOF // the other end died and left something unread
		case err != nil:
			return 0, os.NewSyscallError("read", err)
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

func (c *conn) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		n, err := syscall.SendmsgN(c.fd, p[done:], nil, nil, syscall.MSG_NOSIGNAL)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return done, os.NewSyscallError("send", err)
		}
		done += n
	}
	return done, nil
}

func (c *conn) Close() error { return syscall.Close(c.fd) }

func (c *conn) send(message any) error { return WriteMessage(c, message) }

func (c *conn) receive(into any) error { return ReadMessage(c, into) }

// WriteMessage sends one message.
func WriteMessage(w io.Writer, message any) error {
	var b bytes.Buffer
	b.Write(make([]byte, 4))
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(message); err != nil {
		return err
	}
	size := b.Len() - 4
	if size > maxMessage {
		return fmt.Errorf("message of %d bytes is too large", size)
	}
	binary.BigEndian.PutUint32(b.Bytes(), uint32(size))
	_, err := w.Write(b.Bytes())
	return err
}

// ReadMessage receives one message; io.EOF when the other end has closed.
func ReadMessage(r io.Reader, into any) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size > maxMessage {
		return fmt.Errorf("message of %d bytes is too large", size)
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(r, data); err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}

// receiveFiles takes n descriptors, close-on-exec.
func (c *conn) receiveFiles(n int) ([]int, error) {
	var b [1]byte
	control := make([]byte, syscall.CmsgSpace(4*n))
	for {
		_, got, _, _, err := syscall.Recvmsg(c.fd, b[:], control, syscall.MSG_CMSG_CLOEXEC)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return nil, os.NewSyscallError("recvmsg", err)
		}
		messages, err := syscall.ParseSocketControlMessage(control[:got])
		if err != nil || len(messages) != 1 {
			return nil, fmt.Errorf("receive descriptors: there are none: %w", errors.Join(err, io.ErrUnexpectedEOF))
		}
		fds, err := syscall.ParseUnixRights(&messages[0])
		if err == nil && len(fds) != n {
			for _, fd := range fds {
				syscall.Close(fd)
			}
			err = fmt.Errorf("receive descriptors: %d instead of %d", len(fds), n)
		}
		return fds, err
	}
}

// The messages between the plugin and a supervisor.
type (
	// Order goes to the supervisor: first with the environment, then with
	// Go. THP says that the solver may have transparent huge pages, which
	// the supervisor has been forbidden (DisableTHP), Stage that it executes a stage
	// even where it can fork.
	Order struct {
		Env   []string `json:"env,omitempty"`
		THP   bool     `json:"thp,omitempty"`
		Stage bool     `json:"stage,omitempty"`
		Go    bool     `json:"go,omitempty"`
	}
	// Report comes back: Ready with the pid, then Started; or Error at any time.
	Report struct {
		Ready   bool   `json:"ready,omitempty"`
		Started bool   `json:"started,omitempty"`
		PID     int    `json:"pid,omitempty"`
		Error   string `json:"error,omitempty"`
	}
)
