// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package hangfs

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long the server has for each thing it is asked, on a busy machine.
const patience = time.Minute

// A keeper has the server for a child, stops it and lets it go on.
type keeper struct {
	path    string
	server  *exec.Cmd
	orders  io.WriteCloser
	answers *bufio.Reader
	control *os.File // the kernel's folder for this connection
	stopped bool
}

// keeping is the whole life of a keeper of a server in that role.
func keeping(server string) func(backing, path string) error {
	return func(backing, path string) error { return keep(server, backing, path) }
}

func keep(server, backing, path string) error {
	// The server's life is bound to the thread that forks it.
	runtime.LockOSThread()
	// The kernel sends SIGHUP to a process group in which a process is stopped, when
	// it loses its last parent outside (setpgid(2)). There is work to do then.
	signal.Ignore(syscall.SIGHUP)
	k := &keeper{path: path}
	if err := k.start(server, backing); err != nil {
		return errors.Join(err, k.end())
	}
	fmt.Print(done)
	orders := bufio.NewScanner(os.Stdin)
	for orders.Scan() {
		if err := k.obey(orders.Text()); err != nil {
			fmt.Println(strings.ReplaceAll(err.Error(), "\n", "; "))
			continue
		}
		fmt.Print(done)
	}
	return errors.Join(orders.Err(), k.end())
}

func (k *keeper) start(role, backing string) (err error) {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	k.server = exec.Command(self, role, backing, k.path)
	k.server.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	k.server.Stderr = os.Stderr
	if k.orders, err = k.server.StdinPipe(); err != nil {
		return err
	}
	out, err := k.server.StdoutPipe()
	if err != nil {
		return err
	}
	k.answers = bufio.NewReader(out)
	if err := k.server.Start(); err != nil {
		return err
	}
	if err := k.expect("mounted"); err != nil {
		return err
	}
	k.control, err = openControl(k.path)
	return err
}

// expect reads the server's next line.
func (k *keeper) expect(word string) error {
	line, err := k.answers.ReadString('\n')
	if err == nil && strings.TrimSpace(line) != word {
		err = fmt.Errorf("the server: %s", strings.TrimSpace(line))
	}
	return err
}

// end leaves nothing behind, whatever the server does.
func (k *keeper) end() error {
	var errs []error
	if k.server.Process != nil {
		errs = append(errs, k.server.Process.Kill())
		_ = k.server.Wait() // killed
	}
	err := unix.Unmount(k.path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
	if err != nil && !errors.Is(err, unix.EINVAL) { // EINVAL: the server has not mounted
		errs = append(errs, &os.PathError{Op: "unmount", Path: k.path, Err: err})
	}
	return errors.Join(errs...)
}

func (k *keeper) obey(order string) error {
	verb, process, with := strings.Cut(order, " ")
	switch {
	case verb == "resume":
		return k.resume()
	case k.stopped:
		return errors.New("it hangs already")
	case verb == "skew":
		return k.ask("skew "+process, "skewed")
	case verb == "arm":
		return k.ask("arm "+process, "armed")
	case !with:
		return k.stop(0)
	}
	if err := k.ask("hold", "holds"); err != nil {
		return err
	}
	return k.stop(1)
}

// ask has the server do something, and waits for its answer.
func (k *keeper) ask(order, answer string) error {
	if _, err := fmt.Fprintln(k.orders, order); err != nil {
		return err
	}
	return k.expect(answer)
}

func (k *keeper) resume() error {
	if !k.stopped {
		return nil
	}
	k.stopped = false
	if err := k.server.Process.Signal(syscall.SIGCONT); err != nil {
		return err
	}
	return k.ask("release", "released")
}

// stop stops the server at a moment at which it owes so many answers. Requests
// come at any time, also between the stop and the look at their number; then it
// tries again.
func (k *keeper) stop(owed int) error {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if err := k.freeze(); err != nil {
			return err
		}
		n, err := k.requests()
		if err == nil && n == owed {
			k.stopped = true
			return nil
		}
		if err := errors.Join(err, k.server.Process.Signal(syscall.SIGCONT)); err != nil {
			return err
		}
	}
	return fmt.Errorf("within %s there was no moment at which %d answers were owed", patience, owed)
}

// freeze stops every thread of the server.
func (k *keeper) freeze() error {
	if err := k.server.Process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	for {
		var status unix.WaitStatus
		_, err := unix.Wait4(k.server.Process.Pid, &status, unix.WUNTRACED, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return os.NewSyscallError("wait4", err)
		case !status.Stopped():
			return fmt.Errorf("the server has ended: %v", status)
		default:
			return nil
		}
	}
}

// requests returns how many requests wait for their answers, read by the server
// or not.
func (k *keeper) requests() (int, error) {
	fd, err := unix.Openat(int(k.control.Fd()), "waiting", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, &os.PathError{Op: "open", Path: k.control.Name() + "/waiting", Err: err}
	}
	defer func() { _ = unix.Close(fd) }()
	text := make([]byte, 32)
	n, err := unix.Read(fd, text)
	if err != nil {
		return 0, &os.PathError{Op: "read", Path: k.control.Name() + "/waiting", Err: err}
	}
	return strconv.Atoi(strings.TrimSpace(string(text[:n])))
}

// openControl opens the folder that the kernel shows of the connection behind a
// mount. The file system that this is in needs no place in the tree
// (linux/Documentation/filesystems/fuse/fuse.rst, "Control filesystem").
func openControl(path string) (*os.File, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return nil, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	context, err := unix.Fsopen("fusectl", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("fsopen", err)
	}
	defer func() { _ = unix.Close(context) }()
	if err := unix.FsconfigCreate(context); err != nil {
		return nil, os.NewSyscallError("fsconfig", err)
	}
	all, err := unix.Fsmount(context, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("fsmount", err)
	}
	defer func() { _ = unix.Close(all) }()
	name := strconv.FormatUint(uint64(unix.Minor(st.Dev)), 10)
	fd, err := unix.Openat(all, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: "fusectl/" + name, Err: err}
	}
	return os.NewFile(uintptr(fd), "fusectl/"+name), nil
}
