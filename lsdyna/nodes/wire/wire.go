// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package wire connects the nodes of one run. Both ends of a connection prove that they
// know the same secret, which only the run's user can read, and what they say after that
// nobody else can read or change.
//
// The secret never travels. TLS 1.3 gives a fresh key to whoever is at the other end,
// and each end then sends a proof that is made of the secret and of that key: a proof
// that was overheard is of no use in another connection, and a stranger in the middle
// has two connections with two keys.
package wire

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"time"
)

// SecretBytes is the length of a secret.
const SecretBytes = 32

// Secret is what both ends of a connection know. It prints as nothing that tells of it.
type Secret [SecretBytes]byte

// NewSecret makes a secret that nobody can guess.
func NewSecret() Secret {
	var s Secret
	_, _ = rand.Read(s[:]) // never fails: it ends the process instead
	return s
}

// ParseSecret reads what Hex writes.
func ParseSecret(text string) (Secret, error) {
	var s Secret
	data, err := hex.DecodeString(text)
	if err != nil || len(data) != len(s) {
		return s, fmt.Errorf("the secret is not %d bytes in hexadecimal digits", len(s))
	}
	copy(s[:], data)
	return s, nil
}

// Hex is the secret itself, for the one file that holds it.
func (s Secret) Hex() string { return hex.EncodeToString(s[:]) }

// String keeps the secret out of logs.
func (Secret) String() string { return "<secret>" }

// GoString keeps the secret out of logs.
func (s Secret) GoString() string { return s.String() }

// HandshakeTimeout bounds how long an end may take to prove who it is.
const HandshakeTimeout = 10 * time.Second

// ErrStranger is the error of a connection whose other end does not know the secret.
var ErrStranger = errors.New("the other end does not know the run's secret")

// Of the end of a connection that is not answered any more: a node that lost its power
// or its network. The kernel answers for a process that is stopped.
const (
	aliveIdle  = 3 * time.Second
	aliveEvery = 2 * time.Second
	aliveCount = 3
)

// Silence is how long it takes at most until an end notices that the other node is gone.
const Silence = aliveIdle + aliveEvery*aliveCount

// keepAlive has the kernel find out that the other node is gone.
func keepAlive(c net.Conn) error {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return nil // a test's pipe
	}
	err := tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: aliveIdle, Interval: aliveEvery, Count: aliveCount})
	return errors.Join(err, setUserTimeout(tcp, Silence))
}

// exporter is the label under which TLS derives the key that the proofs are made of
// (RFC 8446, 7.5).
const exporter = "EXPORTER-nomad-driver-lsdyna-launch"

// What the ends prove to be.
const (
	roleDial   = "dial"
	roleAccept = "accept"
)

type proof [sha256.Size]byte

// prove makes the proof of one role in one connection.
func prove(s Secret, state tls.ConnectionState, role string) (p proof, err error) {
	key, err := state.ExportKeyingMaterial(exporter, nil, sha256.Size)
	if err != nil {
		return p, fmt.Errorf("derive the connection's key: %w", err)
	}
	mac := hmac.New(sha256.New, s[:])
	_, _ = io.WriteString(mac, role)
	_, _ = mac.Write(key)
	mac.Sum(p[:0])
	return p, nil
}

// Certificate is what an accepting end shows. It proves nothing, the secret does: TLS
// does not work without one.
type Certificate struct{ config *tls.Config }

// NewCertificate makes one for the life of a process.
func NewCertificate() (*Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().AddDate(100, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	return &Certificate{&tls.Config{
		MinVersion:             tls.VersionTLS13,
		Certificates:           []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		SessionTicketsDisabled: true, // each connection has a key of its own
	}}, nil
}

// Accept proves to the dialling end of a connection that this one knows the secret, once
// that one has. Closing the connection is the caller's, beside an error too.
func Accept(c net.Conn, cert *Certificate, s Secret) (*Conn, error) {
	return secure(c, tls.Server(c, cert.config), func(t *tls.Conn) error {
		if err := demand(t, s, roleDial); err != nil {
			return err
		}
		return give(t, s, roleAccept)
	})
}

// Dial proves to the accepting end of a connection that this one knows the secret, and
// demands the same of it. Closing the connection is the caller's, beside an error too.
func Dial(c net.Conn, s Secret) (*Conn, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true} //nolint:gosec // the secret tells who it is
	return secure(c, tls.Client(c, config), func(t *tls.Conn) error {
		if err := give(t, s, roleDial); err != nil {
			return err
		}
		return demand(t, s, roleAccept)
	})
}

func secure(c net.Conn, t *tls.Conn, prove func(*tls.Conn) error) (*Conn, error) {
	err := keepAlive(c)
	if err == nil {
		err = c.SetDeadline(time.Now().Add(HandshakeTimeout))
	}
	if err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), HandshakeTimeout)
		err = t.HandshakeContext(ctx)
		cancel()
	}
	if err == nil {
		err = prove(t)
	}
	if err == nil {
		err = c.SetDeadline(time.Time{})
	}
	if err != nil {
		return nil, fmt.Errorf("connection with %s: %w", c.RemoteAddr(), err)
	}
	return newConn(t), nil
}

func give(t *tls.Conn, s Secret, role string) error {
	p, err := prove(s, t.ConnectionState(), role)
	if err != nil {
		return err
	}
	_, err = t.Write(p[:])
	return err
}

func demand(t *tls.Conn, s Secret, role string) error {
	want, err := prove(s, t.ConnectionState(), role)
	if err != nil {
		return err
	}
	var got proof
	if _, err := io.ReadFull(t, got[:]); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("%w, or ended: %w", ErrStranger, err)
		}
		return err
	}
	if !hmac.Equal(got[:], want[:]) {
		return ErrStranger
	}
	return nil
}
