// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package wire

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Kind says what a message is.
type Kind byte

// MaxMessage bounds a message: what a launcher sends is far below.
const MaxMessage = 1 << 20

// writePatience bounds how long a message may take on its way.
const writePatience = 30 * time.Second

// Conn carries messages between two ends that have proved who they are. One goroutine
// may receive while others send.
type Conn struct {
	stream net.Conn
	in     *bufio.Reader

	mu sync.Mutex // guards writing, so that messages stay whole
}

func newConn(c net.Conn) *Conn { return &Conn{stream: c, in: bufio.NewReader(c)} }

// Close ends the connection. It may be called more than once, and while somebody sends
// or receives.
func (c *Conn) Close() error { return c.stream.Close() }

// Peer is the other end's address.
func (c *Conn) Peer() net.Addr { return c.stream.RemoteAddr() }

// header is a message's kind and length.
const header = 1 + 4

// Send sends a message.
func (c *Conn) Send(k Kind, data []byte) error {
	if len(data) > MaxMessage {
		return fmt.Errorf("send a message of %d bytes: at most %d can be", len(data), MaxMessage)
	}
	message := make([]byte, header, header+len(data))
	message[0] = byte(k)
	binary.BigEndian.PutUint32(message[1:], uint32(len(data))) //nolint:gosec // bounded above
	message = append(message, data...)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.stream.SetWriteDeadline(time.Now().Add(writePatience)); err != nil {
		return err
	}
	_, err := c.stream.Write(message)
	return err
}

// SendJSON sends a value.
func (c *Conn) SendJSON(k Kind, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode a message: %w", err)
	}
	return c.Send(k, data)
}

// Receive waits for a message. io.EOF says that the other end closed the connection
// between two.
func (c *Conn) Receive() (Kind, []byte, error) {
	var head [header]byte
	if _, err := io.ReadFull(c.in, head[:1]); err != nil {
		return 0, nil, err
	}
	if _, err := io.ReadFull(c.in, head[1:]); err != nil {
		return 0, nil, whole(err)
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n > MaxMessage {
		return 0, nil, fmt.Errorf("a message of %d bytes: at most %d can be", n, MaxMessage)
	}
	data := make([]byte, n)
	if _, err := io.ReadFull(c.in, data); err != nil {
		return 0, nil, whole(err)
	}
	return Kind(head[0]), data, nil
}

// ReceiveBy is Receive with an end.
func (c *Conn) ReceiveBy(deadline time.Time) (Kind, []byte, error) {
	if err := c.stream.SetReadDeadline(deadline); err != nil {
		return 0, nil, err
	}
	k, data, err := c.Receive()
	return k, data, errors.Join(err, c.stream.SetReadDeadline(time.Time{}))
}

// whole makes an error of the end of a connection inside a message.
func whole(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
