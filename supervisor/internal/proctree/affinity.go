// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package proctree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/pidfile"
)

// maskWords holds one bit for every CPU Linux can have.
const maskWords = (pidfile.MaxCPU + 1) / 64

type cpuMask [maskWords]uint64

func maskOf(cpus []int) (cpuMask, error) {
	var m cpuMask
	for _, c := range cpus {
		if c < 0 || c > pidfile.MaxCPU {
			return m, fmt.Errorf("%d is no CPU index", c)
		}
		m[c/64] |= 1 << (c % 64)
	}
	return m, nil
}

func (m *cpuMask) cpus() []int {
	cpus := []int{}
	for w, word := range m {
		for b := 0; word != 0; b, word = b+1, word>>1 {
			if word&1 != 0 {
				cpus = append(cpus, w*64+b)
			}
		}
	}
	return cpus
}

// SetAffinity binds one thread (0: the calling one) to the CPUs and reads the
// mask back. Fewer CPUs than asked, which the kernel grants silently when some are
// outside the cpuset, are an error.
func SetAffinity(tid int, cpus []int) error {
	mask, err := maskOf(cpus)
	if err != nil {
		return fmt.Errorf("bind to CPUs %s: %w", FormatCPUs(cpus), err)
	}
	if err := setMask(tid, &mask); err != nil {
		if errors.Is(err, syscall.EINVAL) {
			return fmt.Errorf("bind to CPUs %s: none of them is online and in the task's cpuset (%s): %w", FormatCPUs(cpus), cpusetOf(tid), err)
		}
		return fmt.Errorf("bind to CPUs %s: %w", FormatCPUs(cpus), err)
	}
	got, err := getMask(tid)
	if err != nil {
		return fmt.Errorf("read back CPU affinity: %w", err)
	}
	if got != mask {
		return fmt.Errorf("bind to CPUs %s: the kernel allows only %s of them", FormatCPUs(cpus), FormatCPUs(got.cpus()))
	}
	return nil
}

// Affinity returns the CPUs that a thread may run on.
func Affinity(tid int) ([]int, error) {
	m, err := getMask(tid)
	if err != nil {
		return nil, err
	}
	return m.cpus(), nil
}

func setMask(tid int, m *cpuMask) error {
	_, _, errno := syscall.RawSyscall(syscall.SYS_SCHED_SETAFFINITY, uintptr(tid), unsafe.Sizeof(*m), uintptr(unsafe.Pointer(m)))
	if errno != 0 {
		return errno
	}
	return nil
}

func getMask(tid int) (cpuMask, error) {
	var m cpuMask
	_, _, errno := syscall.RawSyscall(syscall.SYS_SCHED_GETAFFINITY, uintptr(tid), unsafe.Sizeof(m), uintptr(unsafe.Pointer(&m)))
	if errno != 0 {
		return m, errno
	}
	return m, nil
}

// cpusetOf says which CPUs a thread's cpuset lets it have, for an error message.
func cpusetOf(tid int) string {
	self := "self"
	if tid != 0 {
		self = strconv.Itoa(tid)
	}
	status, err := os.ReadFile("/proc/" + self + "/status")
	if err != nil {
		return "unknown"
	}
	_, rest, _ := strings.Cut(string(status), "\nCpus_allowed_list:")
	line, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(line)
}

// FormatCPUs prints CPUs in the kernel's list format: "0-3,8".
func FormatCPUs(cpus []int) string {
	sorted := slices.Compact(slices.Sorted(slices.Values(cpus)))
	var b strings.Builder
	for i := 0; i < len(sorted); {
		j := i
		for j+1 < len(sorted) && sorted[j+1] == sorted[j]+1 {
			j++
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(sorted[i]))
		if j > i {
			b.WriteByte('-')
			b.WriteString(strconv.Itoa(sorted[j]))
		}
		i = j + 1
	}
	return b.String()
}

// Thread is one thread of a task.
type Thread struct {
	PID  int
	TID  int
	CPUs []int // its affinity, as the kernel reports it
}

// Threads returns every thread of every process with its affinity.
func (t *Tree) Threads() ([]Thread, error) {
	var threads []Thread
	err := t.eachThread(func(pid, tid int) error {
		cpus, err := Affinity(tid)
		if err != nil {
			return err
		}
		threads = append(threads, Thread{pid, tid, cpus})
		return nil
	})
	return threads, err
}

// eachThread calls do for every thread. ESRCH from do means the thread has
// ended meanwhile, and is no error.
func (t *Tree) eachThread(do func(pid, tid int) error) error {
	pids, err := t.PIDs()
	if err != nil {
		return err
	}
	for _, pid := range pids {
		dir, err := os.Open(t.ProcRoot + "/" + strconv.Itoa(pid) + "/task")
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("list threads: %w", err)
		}
		names, err := dir.Readdirnames(-1)
		dir.Close()
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("list threads: %w", err)
		}
		for _, name := range names {
			tid, err := strconv.Atoi(name)
			if err != nil {
				continue
			}
			if err := do(pid, tid); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("thread %d of process %d: %w", tid, pid, err)
			}
		}
	}
	return nil
}

// bindPasses bounds Bind: a task that starts threads faster than they can be
// bound, over so many passes, from threads already bound, does not exist.
const bindPasses = 100

// Bind binds every thread of every process of the task. A thread started
// by one that was not yet bound inherits the old mask, so it goes on until a whole
// pass finds nothing to do.
func (t *Tree) Bind(cpus []int) error {
	want, err := maskOf(cpus)
	if err != nil {
		return fmt.Errorf("bind to CPUs %s: %w", FormatCPUs(cpus), err)
	}
	for range bindPasses {
		moved := false
		err := t.eachThread(func(_, tid int) error {
			got, err := getMask(tid)
			if err != nil || got == want {
				return err
			}
			moved = true
			return SetAffinity(tid, cpus)
		})
		if err != nil {
			return err
		}
		if !moved {
			return nil
		}
	}
	return fmt.Errorf("bind to CPUs %s: after %d passes there still were threads elsewhere", FormatCPUs(cpus), bindPasses)
}

// Confine keeps every thread on the CPUs without binding all of them alike: a
// thread that is bound more tightly, as MPI ranks bind themselves, stays so. A
// thread that has exactly the CPUs of an earlier call, was, gets the new ones, so
// that the task spreads when CPUs come back; without was every thread gets them. No
// CPUs means all there are. What the cpuset leaves of the CPUs counts; a thread that
// it leaves none stays where it is.
func (t *Tree) Confine(was, cpus []int) error {
	want, err := maskOf(cpus)
	if err != nil {
		return fmt.Errorf("keep on CPUs %s: %w", FormatCPUs(cpus), err)
	}
	if len(cpus) == 0 {
		for i := range want {
			want[i] = ^uint64(0)
		}
	}
	earlier, err := maskOf(was)
	if err != nil {
		return fmt.Errorf("keep on CPUs %s: %w", FormatCPUs(cpus), err)
	}
	for range bindPasses {
		moved := false
		err := t.eachThread(func(_, tid int) error {
			before, err := getMask(tid)
			if err != nil || len(was) > 0 && before != earlier && before.within(&want) {
				return err
			}
			if err := setMask(tid, &want); err != nil && !errors.Is(err, syscall.EINVAL) {
				return err
			}
			after, err := getMask(tid)
			moved = moved || after != before
			return err
		})
		if err != nil {
			return fmt.Errorf("keep on CPUs %s: %w", FormatCPUs(cpus), err)
		}
		if !moved {
			return nil
		}
	}
	return fmt.Errorf("keep on CPUs %s: after %d passes there still were threads elsewhere", FormatCPUs(cpus), bindPasses)
}

// within tells whether every CPU of m is one of o.
func (m *cpuMask) within(o *cpuMask) bool {
	for i, word := range m {
		if word&^o[i] != 0 {
			return false
		}
	}
	return true
}
