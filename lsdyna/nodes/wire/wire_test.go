// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package wire

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/shoenig/test/must"
)

// pair returns the two ends of a TCP connection.
func pair(t *testing.T) (dialled, accepted net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must.NoError(t, err)
	defer l.Close()
	got := make(chan net.Conn, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			close(got)
			return
		}
		got <- c
	}()
	dialled, err = net.Dial("tcp", l.Addr().String())
	must.NoError(t, err)
	accepted = <-got
	must.NotNil(t, accepted)
	t.Cleanup(func() { _ = dialled.Close(); _ = accepted.Close() })
	return dialled, accepted
}

func certificate(t *testing.T) *Certificate {
	t.Helper()
	cert, err := NewCertificate()
	must.NoError(t, err)
	return cert
}

type accepted struct {
	conn *Conn
	err  error
}

// accept accepts beside the test. Beside an error it closes the connection, as a
// daemon does.
func accept(t *testing.T, c net.Conn, s Secret) <-chan accepted {
	t.Helper()
	cert, done := certificate(t), make(chan accepted, 1)
	go func() {
		conn, err := Accept(c, cert, s)
		if err != nil {
			_ = c.Close()
		}
		done <- accepted{conn, err}
	}()
	return done
}

func TestConnection_CarriesMessagesBothWays(t *testing.T) {
	secret := NewSecret()
	near, far := pair(t)
	other := accept(t, far, secret)
	a, err := Dial(near, secret)
	must.NoError(t, err)
	b := <-other
	must.NoError(t, b.err)
	big := bytes.Repeat([]byte("x"), MaxMessage)
	sent := make(chan error, 1)
	go func() { sent <- errors.Join(a.Send(1, []byte("one")), a.Send(2, nil), a.Send(3, big)) }()
	for i, want := range [][]byte{[]byte("one"), {}, big} {
		k, data, err := b.conn.Receive()
		must.NoError(t, err)
		must.Eq(t, Kind(i+1), k)
		must.True(t, bytes.Equal(want, data))
	}
	must.NoError(t, <-sent)
	must.NoError(t, b.conn.SendJSON(9, map[string]int{"code": 3}))
	k, data, err := a.ReceiveBy(time.Now().Add(time.Minute))
	must.NoError(t, err)
	must.Eq(t, 9, k)
	must.Eq(t, `{"code":3}`, string(data))
	must.Error(t, a.Send(1, make([]byte, MaxMessage+1)))
	must.NoError(t, a.Close())
	_, _, err = b.conn.Receive()
	must.ErrorIs(t, err, io.EOF)
}

func TestConnection_NeitherEndTakesAStranger(t *testing.T) {
	near, far := pair(t)
	other := accept(t, far, NewSecret())
	_, err := Dial(near, NewSecret())
	must.Error(t, err)
	must.ErrorIs(t, (<-other).err, ErrStranger)
}

// Who accepts without the secret learns nothing of use, and is not believed.
func TestConnection_AFalseMemberIsRefused(t *testing.T) {
	near, far := pair(t)
	cert := certificate(t)
	go func() {
		_, _ = secure(far, tls.Server(far, cert.config), func(c *tls.Conn) error {
			var theirs proof
			if _, err := io.ReadFull(c, theirs[:]); err != nil {
				return err
			}
			_, err := c.Write(theirs[:]) // the dialling end's own proof, sent back
			return err
		})
	}()
	_, err := Dial(near, NewSecret())
	must.ErrorIs(t, err, ErrStranger)
}

// A stranger in the middle has what both ends say, but neither's key.
func TestConnection_AStrangerInTheMiddleIsRefused(t *testing.T) {
	secret := NewSecret()
	near, farOfNear := pair(t)
	nearOfFar, far := pair(t)
	cert := certificate(t)
	other := accept(t, far, secret)
	go func() {
		left := tls.Server(farOfNear, cert.config)
		_, _ = secure(nearOfFar, tls.Client(nearOfFar, &tls.Config{InsecureSkipVerify: true}), func(right *tls.Conn) error {
			if err := left.Handshake(); err != nil {
				return err
			}
			go func() { _, _ = io.Copy(left, right); _ = farOfNear.Close() }()
			_, err := io.Copy(right, left)
			return err
		})
	}()
	_, err := Dial(near, secret)
	must.Error(t, err)
	must.ErrorIs(t, (<-other).err, ErrStranger)
}

// What was overheard of one connection opens no other; neither does its proof, for whoever
// got to that.
func TestConnection_AReplayedHelloIsRefused(t *testing.T) {
	secret := NewSecret()
	near, far := pair(t)
	var heard bytes.Buffer
	var proof proof
	other := accept(t, far, secret)
	_, err := dialWith(recorder{near, &heard}, func(c *tls.Conn) (err error) {
		if proof, err = prove(secret, c.ConnectionState(), roleDial); err != nil {
			return err
		}
		_, err = c.Write(proof[:])
		return err
	})
	must.NoError(t, err)
	must.NoError(t, (<-other).err)

	again, far := pair(t)
	other = accept(t, far, secret)
	_, err = again.Write(heard.Bytes())
	must.NoError(t, err)
	go func() { _, _ = io.Copy(io.Discard, again) }()
	must.Error(t, (<-other).err)

	third, far := pair(t)
	other = accept(t, far, secret)
	_, err = dialWith(third, func(c *tls.Conn) error {
		_, err := c.Write(proof[:])
		return err
	})
	must.NoError(t, err)
	must.ErrorIs(t, (<-other).err, ErrStranger)
}

// dialWith dials as Dial does, and says what the test wants.
func dialWith(c net.Conn, say func(*tls.Conn) error) (*Conn, error) {
	return secure(c, tls.Client(c, &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true}), say)
}

// recorder keeps what is written.
type recorder struct {
	net.Conn
	heard *bytes.Buffer
}

func (r recorder) Write(p []byte) (int, error) {
	r.heard.Write(p)
	return r.Conn.Write(p)
}

func TestConnection_GarbageAndAbruptEndsAreErrors(t *testing.T) {
	for name, say := range map[string]func(net.Conn) error{
		"HTTP":    func(c net.Conn) error { _, err := io.WriteString(c, "GET / HTTP/1.1\r\n\r\n"); return err },
		"nothing": func(c net.Conn) error { return c.Close() },
		"half a hello": func(c net.Conn) error {
			_, err := c.Write([]byte{22, 3, 1, 2, 0, 1, 0})
			return errors.Join(err, c.Close())
		},
	} {
		t.Run(name, func(t *testing.T) {
			near, far := pair(t)
			other := accept(t, far, NewSecret())
			must.NoError(t, say(near))
			must.Error(t, (<-other).err)
		})
	}
}

func TestConn_ReceiveBounds(t *testing.T) {
	for name, c := range map[string]struct {
		bytes string
		want  string
	}{
		"too large": {"\x01\xff\xff\xff\xff", "at most 1048576"},
		"cut":       {"\x01\x00\x00\x00\x05abc", "unexpected EOF"},
		"cut early": {"\x01\x00", "unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			near, far := pair(t)
			_, err := io.WriteString(near, c.bytes)
			must.NoError(t, err)
			must.NoError(t, near.Close())
			_, _, err = newConn(far).Receive()
			must.ErrorContains(t, err, c.want)
		})
	}
}

func TestSecret(t *testing.T) {
	s := NewSecret()
	must.NotEq(t, NewSecret(), s)
	back, err := ParseSecret(s.Hex())
	must.NoError(t, err)
	must.True(t, s == back)
	for _, text := range []string{"", "00", s.Hex() + "00", s.Hex()[1:] + "x"} {
		_, err := ParseSecret(text)
		must.ErrorContains(t, err, "not 32 bytes")
		must.StrNotContains(t, err.Error(), s.Hex()[2:10])
	}
	for _, text := range []string{fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %s", s, s, s, s)} { //nolint:gocritic // both are what is tested
		must.StrNotContains(t, text, s.Hex()[:8])
		must.StrNotContains(t, text, fmt.Sprint(s[0], " ", s[1]))
	}
}
