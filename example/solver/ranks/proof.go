// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package ranks

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// Caller and listener prove to each other that they know the token. Each
// answers the other's random number, so what was recorded once proves nothing
// later, and a stranger on an address that was true yesterday learns nothing.
//
//	caller:   magic, its rank, the rank it looks for, number of ranks, random number
//	listener: random number, proof
//	caller:   length of its addresses, its addresses, proof
//	listener: one byte: admitted

const (
	magic        = "STANDIN1"
	tokenSize    = 32
	nonceSize    = 32
	helloSize    = len(magic) + 3*4 + nonceSize
	maxAddresses = 1 << 13 // bytes

	// proofPatience bounds one exchange of proofs: a stranger may say nothing.
	proofPatience = 10 * time.Second
)

// admitted is the listener's last word.
const admitted = 1

// errStranger is the error of a proof that is wrong.
var errStranger = errors.New("it does not know this launch's token")

// secret is what the ranks of a launch share.
type secret struct {
	token  []byte
	launch string // the launch's name
	size   int
}

// newToken makes a token that nobody can guess.
func newToken() []byte {
	b := make([]byte, tokenSize)
	_, _ = rand.Read(b) // never fails
	return b
}

// proof is the proof of one side for all that was said so far.
func (s secret) proof(side string, said ...[]byte) []byte {
	m := hmac.New(sha256.New, s.token)
	for _, part := range append([][]byte{[]byte(side), []byte(s.launch)}, said...) {
		_, _ = m.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(part))))
		_, _ = m.Write(part)
	}
	return m.Sum(nil)
}

// call is the caller's side: rank from has connected to what should be rank to.
func (s secret) call(conn net.Conn, from, to int, addresses []string) error {
	_ = conn.SetDeadline(time.Now().Add(proofPatience))
	hello := []byte(magic)
	for _, n := range []int{from, to, s.size} {
		hello = binary.LittleEndian.AppendUint32(hello, uint32(n))
	}
	hello = append(hello, newToken()...)
	if _, err := conn.Write(hello); err != nil {
		return err
	}
	answer := make([]byte, nonceSize+sha256.Size)
	if _, err := io.ReadFull(conn, answer); err != nil {
		return err
	}
	nonce := answer[:nonceSize]
	if !hmac.Equal(answer[nonceSize:], s.proof("listener", hello, nonce)) {
		return errStranger
	}
	text := []byte(strings.Join(addresses, " "))
	message := binary.LittleEndian.AppendUint32(nil, uint32(len(text)))
	message = append(message, text...)
	message = append(message, s.proof("caller", hello, nonce, text)...)
	if _, err := conn.Write(message); err != nil {
		return err
	}
	last := []byte{0}
	if _, err := io.ReadFull(conn, last); err != nil {
		return err
	}
	if last[0] != admitted {
		return fmt.Errorf("it did not admit this rank")
	}
	return conn.SetDeadline(time.Time{})
}

// answer is the listener's side, up to the last word. It tells who called, and
// the caller's addresses.
func (s secret) answer(conn net.Conn, me int) (from int, addresses []string, err error) {
	_ = conn.SetDeadline(time.Now().Add(proofPatience))
	hello := make([]byte, helloSize)
	if _, err := io.ReadFull(conn, hello); err != nil {
		return 0, nil, err
	}
	number := func(i int) int { return int(binary.LittleEndian.Uint32(hello[len(magic)+4*i:])) }
	from = number(0)
	if !bytes.HasPrefix(hello, []byte(magic)) || from <= me || from >= s.size || number(1) != me || number(2) != s.size {
		return 0, nil, fmt.Errorf("it is not a rank of this launch")
	}
	nonce := newToken()
	if _, err := conn.Write(append(nonce[:nonceSize:nonceSize], s.proof("listener", hello, nonce)...)); err != nil {
		return 0, nil, err
	}
	length := make([]byte, 4)
	if _, err := io.ReadFull(conn, length); err != nil {
		return 0, nil, err
	}
	n := binary.LittleEndian.Uint32(length)
	if n > maxAddresses {
		return 0, nil, fmt.Errorf("it sends %d bytes of addresses", n)
	}
	message := make([]byte, int(n)+sha256.Size)
	if _, err := io.ReadFull(conn, message); err != nil {
		return 0, nil, err
	}
	if !hmac.Equal(message[n:], s.proof("caller", hello, nonce, message[:n])) {
		return 0, nil, errStranger
	}
	return from, strings.Fields(string(message[:n])), nil
}
