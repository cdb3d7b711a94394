// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Command vm boots a machine with two NUMA nodes, eight physical cores and
// sixteen threads in QEMU, runs a test binary as its payload, and exits as that
// did. The machine has cgroups v2 and Debian's kernel 6.1, and lives in memory
// but for an optional disk that survives its reboots.
//
// It emulates, so it needs no rights; it writes to a temporary directory and
// listens nowhere.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

type options struct {
	bin     string // directory of the binaries
	example string
	kernel  string
	run     string
	payload string // shell command instead of the tests, "" for the tests
	boots   int
	timeout time.Duration // of each boot
	console bool
}

// disk tells whether the machine gets one: only what is rebooted needs it.
func (o options) disk() bool { return o.boots > 1 }

func main() {
	var o options
	flag.StringVar(&o.bin, "bin", "bin", "`directory` with nomad, nomad-driver-lsdyna, lsdyna-standin and e2e.test")
	flag.StringVar(&o.example, "example", "example", "`directory` that the tests find as ../example")
	flag.StringVar(&o.kernel, "kernel", "", "kernel `image` (default the newest /boot/vmlinuz-*-cloud-amd64)")
	flag.StringVar(&o.run, "run", "^TestVM", "tests to run")
	flag.StringVar(&o.payload, "payload", "", "shell `command` to run in the directory of the binaries instead of the tests")
	flag.IntVar(&o.boots, "boots", 1, "`number` of boots; with more than one, /disk survives the power cuts between them")
	flag.DurationVar(&o.timeout, "timeout", 40*time.Minute, "limit for each boot")
	flag.BoolVar(&o.console, "console", false, "show the kernel's console")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "vm:", err)
		stop()
		os.Exit(1)
	}
}

// run boots the machine as often as asked and reports the first failure.
func run(ctx context.Context, o options, out io.Writer) error {
	k, err := findKernel(o.kernel)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "lsd-vm-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()

	m := machine{kernel: k.image, initrd: filepath.Join(dir, "initrd"), consoleLog: filepath.Join(dir, "console")}
	if o.disk() {
		m.disk = filepath.Join(dir, "disk")
		if err := makeDisk(ctx, m.disk); err != nil {
			return err
		}
	}
	for boot := 1; boot <= o.boots; boot++ {
		if err := writeImage(m.initrd, o, k, payload(o, boot)); err != nil {
			return err
		}
		start := time.Now()
		_, _ = fmt.Fprintf(out, "vm: boot %d of %d, %s\n", boot, o.boots, filepath.Base(k.image))
		err := m.bootPatiently(ctx, o.timeout, out)
		if err != nil || o.console {
			console, _ := os.ReadFile(m.consoleLog)
			_, _ = fmt.Fprintf(out, "vm: end of the console:\n%s\n", console[max(0, len(console)-1500):])
		}
		if err != nil {
			return fmt.Errorf("boot %d: %w", boot, err)
		}
		_, _ = fmt.Fprintf(out, "vm: boot %d passed in %s\n", boot, time.Since(start).Round(time.Second))
	}
	return nil
}

// A machine is what QEMU emulates.
type machine struct {
	kernel, initrd, consoleLog string
	disk                       string // "" for none
}

// bootPatiently boots once more when the kernel never gets to its first process,
// which happens now and then with QEMU 7.2, in the late initcalls: nothing was begun
// yet.
func (m machine) bootPatiently(ctx context.Context, timeout time.Duration, out io.Writer) error {
	const tries = 4
	for try := 1; ; try++ {
		err := m.boot(ctx, timeout, out)
		if !errors.Is(err, errSilent) || try == tries {
			return err
		}
		_, _ = fmt.Fprintf(out, "vm: %v, once more\n", err)
	}
}

// payload is the shell script that init runs. Sixteen emulated CPUs share a few
// real ones: a Go runtime that looks for work on each of them has nothing else done.
// The solver's environment is not ours, so it has them all.
func payload(o options, boot int) string {
	const env = "export HOME=/root GOMAXPROCS=2\n"
	if o.payload != "" {
		return env + "cd /opt/bin && " + o.payload + "\n"
	}
	return fmt.Sprintf(env+`export LSDYNA_E2E_VM=1 LSDYNA_E2E_REQUIRED=1 LSDYNA_E2E_BIN=/opt/bin LSDYNA_E2E_BOOT=%d
./e2e.test -test.v -test.parallel 1 -test.timeout %s -test.run '%s'
`, boot, o.timeout, strings.ReplaceAll(o.run, "'", `'\''`))
}

// makeDisk makes a file system for what is to survive a reboot.
func makeDisk(ctx context.Context, path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(1<<30), f.Close()); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "mkfs.ext4", "-q", path)
	cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mkfs.ext4: %w: %s", err, out)
	}
	return nil
}

func (m machine) args() []string {
	args := []string{
		"-accel", "tcg,thread=multi", "-cpu", "Skylake-Server",
		"-smp", "16,sockets=2,cores=4,threads=2", "-m", "4G",
		"-object", "memory-backend-ram,id=m0,size=2G", "-object", "memory-backend-ram,id=m1,size=2G",
		"-numa", "node,nodeid=0,memdev=m0", "-numa", "node,nodeid=1,memdev=m1",
		"-numa", "cpu,node-id=0,socket-id=0", "-numa", "cpu,node-id=1,socket-id=1",
		"-numa", "dist,src=0,dst=1,val=21",
		"-kernel", m.kernel, "-initrd", m.initrd,
		// Nobody attacks this machine, and page table isolation has the emulator
		// forget its translations with every system call: five times the time.
		"-append", "console=ttyS0 panic=-1 oops=panic random.trust_cpu=on mitigations=off",
		"-display", "none", "-monitor", "none", "-nic", "none", "-no-reboot",
		// The kernel's messages and the tests' each have a port of their own.
		"-serial", "file:" + m.consoleLog, "-serial", "stdio",
	}
	if m.disk != "" {
		args = append(args, "-drive", "if=virtio,format=raw,cache=writeback,file="+m.disk)
	}
	return args
}

// errSilent means that the kernel never came to start its first process.
var errSilent = errors.New("the machine hangs in its boot")

// bootPatience is many times what a boot takes, on a busy machine, too.
const bootPatience = 2 * time.Minute

// result is how the tests ended.
type result struct {
	reported bool
	code     int
}

// boot runs the machine once and copies the tests' output.
func (m machine) boot(ctx context.Context, timeout time.Duration, out io.Writer) error {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("not done after %s", timeout))
	defer cancel()
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	silence := time.AfterFunc(bootPatience, func() { giveUp(errSilent) })
	defer silence.Stop()
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", m.args()...)
	// QEMU warns of each feature that it cannot emulate, for each CPU.
	var warnings strings.Builder
	cmd.Stderr = &warnings
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("install qemu-system-x86: %w", err)
	}
	r, readErr := follow(stdout, out, func() { silence.Stop() })
	if r.reported || readErr != nil {
		// The power is cut at once: what the machine's kernel has not written to
		// its disk by now is lost, as it would be with a real one.
		readErr = errors.Join(readErr, cmd.Process.Kill())
	}
	if err := cmd.Wait(); err != nil && !r.reported && readErr == nil {
		if cause := context.Cause(ctx); cause != nil {
			return fmt.Errorf("qemu: %w (%w)", err, cause)
		}
		return fmt.Errorf("qemu: %w\n%s", err, warnings.String())
	}
	switch {
	case readErr != nil:
		return readErr
	case !r.reported:
		return errors.New("the machine switched off without a result")
	case r.code != 0:
		return fmt.Errorf("the tests failed with exit code %d", r.code)
	}
	return nil
}

// follow copies the tests' lines until it finds the result, or the machine is off.
// It calls booted when the first process runs.
// A run without any test is a failure: a misspelt -run would else always pass.
func follow(in io.Reader, out io.Writer, booted func()) (result, error) {
	var r result
	none := false
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := strings.TrimRight(lines.Text(), "\r")
		if line == "e2e-vm: booted" {
			booted()
			continue
		}
		if code, ok := strings.CutPrefix(line, "e2e-vm: exit "); ok {
			n, err := strconv.Atoi(code)
			if err != nil {
				return r, fmt.Errorf("the machine's result %q: %w", line, err)
			}
			r = result{reported: true, code: n}
			break
		}
		none = none || strings.Contains(line, "no tests to run")
		if _, err := fmt.Fprintln(out, line); err != nil {
			return r, err
		}
	}
	if none && r.code == 0 {
		return r, errors.New("no test ran")
	}
	return r, lines.Err()
}
