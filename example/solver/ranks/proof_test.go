// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package ranks

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// port is a listening socket, and its address.
func port(t *testing.T) (net.Listener, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, l.Addr().String()
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// tap writes down what goes through a connection.
type tap struct {
	net.Conn
	sent, received bytes.Buffer
}

func (c *tap) Write(b []byte) (int, error) {
	c.sent.Write(b)
	return c.Conn.Write(b)
}

func (c *tap) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.received.Write(b[:n])
	return n, err
}

// What is wrong with a caller makes rank 0 refuse it, and holds up no other.
func TestStrangersAreRefused(t *testing.T) {
	true0 := secret{token: newToken(), launch: "launch", size: 3}
	other := func(change func(s *secret)) secret {
		s := true0
		change(&s)
		return s
	}
	socket, address := port(t)
	l := serve(socket, true0, 0)
	defer l.discard()

	silent := dial(t, address)
	defer silent.Close()
	for name, s := range map[string]secret{
		"wrong token":    other(func(s *secret) { s.token = newToken() }),
		"no token":       other(func(s *secret) { s.token = nil }),
		"another launch": other(func(s *secret) { s.launch = "yesterday's" }),
		"another size":   other(func(s *secret) { s.size = 4 }),
	} {
		conn := dial(t, address)
		if err := s.call(conn, 1, 0, nil); err == nil {
			t.Errorf("%s: admitted", name)
		}
		conn.Close()
	}
	for name, c := range map[string][2]int{"rank 0 itself": {0, 0}, "a rank too many": {3, 0}, "one that looks for rank 2": {1, 2}} {
		conn := dial(t, address)
		if err := true0.call(conn, c[0], c[1], nil); err == nil {
			t.Errorf("%s: admitted", name)
		}
		conn.Close()
	}
	for name, said := range map[string]string{"http": "GET / HTTP/1.1\r\nHost: a\r\n\r\n" + strings.Repeat("x", 80), "zeros": strings.Repeat("\x00", 80)} {
		if heard := say(t, address, said); heard != "" {
			t.Errorf("%s: rank 0 said %q", name, heard)
		}
	}

	for n := 1; n < 3; n++ {
		if err := true0.call(dial(t, address), n, 0, []string{"a:1", "b:2"}); err != nil {
			t.Fatalf("rank %d: %v", n, err)
		}
	}
	callers, err := l.wait(time.Now().Add(long))
	if err != nil || len(callers) != 3 || strings.Join(callers[2].addresses, " ") != "a:1 b:2" {
		t.Errorf("%v, %v", callers, err)
	}
}

// say says something and gives what comes back.
func say(t *testing.T, address, said string) string {
	t.Helper()
	conn := dial(t, address)
	defer conn.Close()
	_, _ = io.WriteString(conn, said)
	_ = conn.SetReadDeadline(time.Now().Add(long))
	heard, _ := io.ReadAll(conn)
	return string(heard)
}

// A recording of a true rank's call proves nothing, and holds no token.
func TestReplayedCallIsRefused(t *testing.T) {
	s := secret{token: newToken(), launch: "launch", size: 2}
	socket, address := port(t)
	l := serve(socket, s, 0)
	defer l.discard()
	recorded := &tap{Conn: dial(t, address)}
	if err := s.call(recorded, 1, 0, []string{"a:1"}); err != nil {
		t.Fatal(err)
	}
	all := recorded.sent.String() + recorded.received.String()
	for _, token := range []string{string(s.token), hex.EncodeToString(s.token)} {
		if strings.Contains(all, token) {
			t.Error("the token was sent")
		}
	}
	if heard := say(t, address, recorded.sent.String()); strings.HasSuffix(heard, "\x01") && len(heard) == recorded.received.Len() {
		t.Error("the recording was admitted")
	}
	l.mu.Lock()
	refused := l.refused
	l.mu.Unlock()
	if refused != 1 {
		t.Errorf("%d refused", refused)
	}
}

// What listens where rank 0 should be must know the token, too. It gets no
// proof of the caller's before it has given its own.
func TestFalseRankZeroIsNotBelieved(t *testing.T) {
	s := secret{token: newToken(), launch: "launch", size: 2}
	socket, address := port(t)
	l := serve(socket, s, 0)
	defer l.discard()
	recorded := &tap{Conn: dial(t, address)}
	if err := s.call(recorded, 1, 0, nil); err != nil {
		t.Fatal(err)
	}
	for name, said := range map[string][]byte{
		"a recording":  recorded.received.Bytes(),
		"random bytes": append(append(newToken(), newToken()...), admitted),
	} {
		t.Run(name, func(t *testing.T) {
			heard := make(chan int64, 1)
			_, false0 := stranger(t, func(conn net.Conn) {
				_, _ = io.CopyN(io.Discard, conn, int64(helloSize))
				_, _ = conn.Write(said)
				n, _ := io.Copy(io.Discard, conn)
				heard <- n
			})
			conn := dial(t, false0)
			if err := s.call(conn, 1, 0, nil); !errors.Is(err, errStranger) {
				t.Errorf("%v, not %v", err, errStranger)
			}
			conn.Close()
			if n := <-heard; n != 0 {
				t.Errorf("it was told %d bytes more", n)
			}
		})
	}
}

// A rank whose first connection broke before it was told calls again.
func TestSecondCallOfARankCounts(t *testing.T) {
	s := secret{token: newToken(), launch: "launch", size: 3}
	socket, address := port(t)
	l := serve(socket, s, 0)
	defer l.discard()
	for _, from := range []int{1, 1, 2} {
		if err := s.call(dial(t, address), from, 0, []string{"of:1"}); err != nil {
			t.Fatal(err)
		}
	}
	if callers, err := l.wait(time.Now().Add(long)); err != nil || callers[1] == nil || callers[2] == nil {
		t.Errorf("%v, %v", callers, err)
	}
}

// stranger listens on a port and does something with each who calls. The
// channel tells of each call.
func stranger(t *testing.T, do func(conn net.Conn)) (<-chan struct{}, string) {
	t.Helper()
	l, address := port(t)
	called := make(chan struct{}, 1000)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				do(conn)
				conn.Close()
				select {
				case called <- struct{}{}:
				default:
				}
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		all.Wait()
	})
	return called, address
}

// What an earlier launch left is not taken: the rank looks until rank 0 of its
// own launch has written the file.
func TestStaleAddressesAreNotTaken(t *testing.T) {
	for name, do := range map[string]func(conn net.Conn){
		"somebody who closes": func(net.Conn) {},
		"somebody who echoes": func(conn net.Conn) { _, _ = io.CopyN(conn, conn, int64(helloSize)) },
		"somebody who talks":  func(conn net.Conn) { _, _ = io.WriteString(conn, strings.Repeat("220 ready\r\n", 20)) },
		"rank 0 of another token": func(conn net.Conn) {
			_, _, _ = secret{token: newToken(), launch: "", size: 2}.answer(conn, 0)
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMeeting(t.TempDir(), "", 2) // without a launch's name, so with the same file
			called, address := stranger(t, do)
			if err := m.write(newToken(), []string{address}); err != nil {
				t.Fatal(err)
			}
			each(together(t, 2, func(p Place) (*Ranks, error) {
				if p.Rank == 0 { // starts when rank 1 has seen what is stale
					<-called
					<-called
				}
				return connectHosts(p, m, long)
			}), func(r *Ranks) { converse(t, r) })
		})
	}
}

// Two launches in one folder at once do not take each other's ranks.
func TestLaunchesInOneFolderKeepApart(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a", "b"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(together(t, 3, overTCP(newMeeting(dir, name, 3))), func(r *Ranks) {
				if said, err := r.Broadcast(name); err != nil || said != name {
					t.Errorf("%q, %v", said, err)
				}
			})
		})
	}
}

func FuzzAnswer(f *testing.F) {
	s := secret{token: newToken(), launch: "launch", size: 2}
	f.Add([]byte(magic + "\x01\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00" + strings.Repeat("n", 32) + "\x00\x00\x00\x00" + strings.Repeat("p", 32)))
	f.Fuzz(func(t *testing.T, said []byte) {
		mine, theirs := net.Pipe()
		go func() {
			_, _ = theirs.Write(said)
			theirs.Close()
		}()
		go func() { _, _ = io.Copy(io.Discard, theirs) }()
		if _, _, err := s.answer(mine, 0); err == nil {
			t.Error("admitted")
		}
		mine.Close()
	})
}
