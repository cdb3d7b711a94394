// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package accounts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// What the directory is asked.
const (
	askUser   = "passwd" // databases of getent
	askGroup  = "group"
	askGroups = "" // of a user: id -G
)

// question is one run of getent or id.
type question struct{ database, key string }

// args returns the program and its arguments.
func (q question) args() []string {
	if q.database == askGroups {
		return []string{"id", "-G", q.key}
	}
	return []string{"getent", q.database, q.key}
}

// String is the command as somebody would type it, to see the same.
func (q question) String() string {
	if q.database == askGroups {
		return fmt.Sprintf("id -G %q", q.key)
	}
	return fmt.Sprintf("getent %s %q", q.database, q.key)
}

// kind is what is not known when getent does not know it.
func (q question) kind() string {
	if q.database == askGroup {
		return "group"
	}
	return "user"
}

// reply is what was found: one of these.
type reply struct {
	user   User
	gid    int
	groups []int
}

// answer is the answer to a question, or the wait for it.
type answer struct {
	began time.Time
	until time.Time // it is used again until then; zero: it is not there yet
	done  chan struct{}
	reply reply // when done
	err   error // when done
}

const (
	// maxAsking bounds the programs that run at once: a directory that hangs costs
	// one for each name that jobs come up with.
	maxAsking = 64
	// maxKept bounds the answers that are kept.
	maxKept = 1024
	// maxOutput is enough for the ids of as many groups as a process can have.
	maxOutput = 1 << 20
)

// errNoProgram says that the node has no getent or id: it is a small system, and
// files are all there is.
var errNoProgram = errors.New("there is no such program on this node")

// ask puts a question to the directory, or waits for the answer to the same question
// that somebody else has put.
func (a *Accounts) ask(ctx context.Context, q question) (reply, error) {
	program, err := a.find(q.args()[0])
	if err != nil {
		if q.database != askGroups {
			err = &UnknownError{Kind: q.kind(), Name: q.key}
		}
		return reply{}, err
	}
	answer, err := a.begin(program, q)
	if err != nil {
		return reply{}, &NoAnswerError{q.String(), err}
	}
	timer := time.NewTimer(time.Until(answer.began.Add(a.patience)))
	defer timer.Stop()
	select {
	case <-answer.done:
	case <-ctx.Done():
	case <-timer.C:
	}
	select {
	case <-answer.done:
		return answer.reply, answer.err
	default:
	}
	if ctx.Err() != nil {
		return reply{}, &NoAnswerError{q.String(), ctx.Err()}
	}
	return reply{}, a.silent(q)
}

// silent is the error of a question that takes too long.
func (a *Accounts) silent(q question) error {
	return &NoAnswerError{q.String(), fmt.Errorf("no answer within %s", a.patience)}
}

// find returns the path of a program. The agent's PATH does not count.
func (a *Accounts) find(name string) (string, error) {
	for _, dir := range a.programs {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0 {
			return path, nil
		}
	}
	return "", errNoProgram
}

// begin begins to ask, unless the answer is there or on its way.
func (a *Accounts) begin(program string, q question) (*answer, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	known := a.asked[q]
	switch {
	case known != nil && (known.until.IsZero() || a.now().Before(known.until)):
		return known, nil
	case a.closed:
		return nil, errors.New("the driver ends")
	case a.asking >= maxAsking:
		return nil, fmt.Errorf("%d earlier questions have no answer yet", a.asking)
	}
	if len(a.asked) >= maxKept {
		for old, answer := range a.asked {
			if !answer.until.IsZero() {
				delete(a.asked, old)
			}
		}
	}
	answer := &answer{began: time.Now(), done: make(chan struct{})}
	a.asked[q] = answer
	a.asking++
	a.running.Go(func() { a.await(program, q, answer) })
	return answer, nil
}

// await waits for the program, which is killed when its time is over. One that not
// even that ends, because it waits in the kernel, stays the answer that is not there.
func (a *Accounts) await(program string, q question, to *answer) {
	ctx, cancel := context.WithTimeout(a.ctx, a.patience)
	defer cancel()
	to.reply, to.err = a.run(ctx, program, q)
	a.mu.Lock()
	var unknown *UnknownError
	switch {
	case to.err == nil:
		to.until = a.now().Add(keepFound)
	case errors.As(to.err, &unknown):
		to.until = a.now().Add(keepUnknown)
	default:
		delete(a.asked, q)
	}
	a.asking--
	a.mu.Unlock()
	close(to.done)
}

// run runs the program, with an environment of its own: libraries and NSS modules
// obey variables, and the agent's are not theirs.
func (a *Accounts) run(ctx context.Context, program string, q question) (reply, error) {
	out, errs := head{limit: maxOutput}, head{limit: 200}
	// The kernel ends it with the thread that started it: a plugin that is killed leaves
	// none behind that hangs.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, program, q.args()[1:]...)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C"}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.WaitDelay = time.Second // a child that keeps the output open is not waited for
	err := cmd.Run()
	const notFound = 2 // getent(1)
	switch {
	case ctx.Err() != nil:
		return reply{}, a.silent(q)
	case err != nil && cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == notFound && q.database != askGroups:
		return reply{}, &UnknownError{Kind: q.kind(), Name: q.key, Asked: q.String()}
	case err != nil && len(errs.data) > 0:
		err = fmt.Errorf("%w: %q", err, bytes.TrimSpace(errs.data))
	case err == nil && out.cut && q.database != askGroup:
		err = fmt.Errorf("more than %d bytes", maxOutput)
	}
	var r reply
	if err == nil {
		r, err = q.parse(out.data)
	}
	if err != nil {
		return reply{}, &NoAnswerError{q.String(), err}
	}
	return r, nil
}

// parse reads what the program printed.
func (q question) parse(out []byte) (r reply, err error) {
	switch q.database {
	case askUser:
		r.user, err = parseUser(out)
		// A name may come back in other words, with its domain or in lower case.
		if err == nil && isNumber(q.key) && strconv.Itoa(r.user.UID) != q.key {
			err = fmt.Errorf("that is user %q with uid %d", r.user.Name, r.user.UID)
		}
	case askGroup:
		r.gid, err = parseGroup(out)
	default:
		r.groups, err = parseGroups(out)
	}
	return r, err
}

// Close waits, after the context that New got has ended, for the programs that ran
// then. Nothing is asked any more.
func (a *Accounts) Close() {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	a.running.Wait()
}

// head keeps the beginning of what is written to it.
type head struct {
	limit int
	data  []byte
	cut   bool
}

func (h *head) Write(p []byte) (int, error) {
	n := min(len(p), h.limit-len(h.data))
	h.data = append(h.data, p[:n]...)
	h.cut = h.cut || n < len(p)
	return len(p), nil
}
