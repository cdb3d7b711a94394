// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package hangfs

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// export is what a server makes of its files, and the options it mounts with.
type export struct {
	of      func(fuse.RawFileSystem) fuse.RawFileSystem
	options []string
}

var (
	trusting = export{
		of:      func(files fuse.RawFileSystem) fuse.RawFileSystem { return files },
		options: []string{"default_permissions"},
	}
	squashing = export{of: func(files fuse.RawFileSystem) fuse.RawFileSystem { return squashed{files} }}
)

// serving is the whole life of a server of an export.
func serving(e export) func(backing, path string) error {
	return func(backing, path string) error { return serve(e, backing, path) }
}

func serve(e export, backing, path string) error {
	unix.Umask(0) // modes come from those who create
	root, err := fs.NewLoopbackRoot(backing)
	if err != nil {
		return fmt.Errorf("show %s: %w", backing, err)
	}
	loopback, ok := root.(*fs.LoopbackNode)
	if !ok {
		return fmt.Errorf("show %s: its root is a %T", backing, root)
	}
	held := &held{}
	top := &node{LoopbackNode: fs.LoopbackNode{RootData: loopback.RootData}, held: held}
	loopback.RootData.RootNode = top
	options := &fs.Options{MountOptions: fuse.MountOptions{
		AllowOther: true, DirectMountStrict: true, FsName: "hangfs", Name: "hangfs", Options: e.options,
		// It would let files be read past the server.
		DisabledCapabilities: fuse.CAP_PASSTHROUGH,
	}}
	clock := &atomic.Int64{}
	server, err := fuse.NewServer(skewed{e.of(fs.NewNodeFS(top, options)), clock}, path, &options.MountOptions)
	if err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	go server.Serve()
	if err := server.WaitMount(); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	fmt.Println("mounted")
	orders := bufio.NewScanner(os.Stdin)
	for orders.Scan() {
		verb, process, _ := strings.Cut(orders.Text(), " ")
		switch verb {
		case "arm":
			pid, err := strconv.Atoi(process)
			if err != nil {
				return fmt.Errorf("hold a request: %w", err)
			}
			held.arm(pid)
			fmt.Println("armed")
		case "hold":
			if err := held.wait(); err != nil {
				fmt.Println(err)
				continue
			}
			fmt.Println("holds")
		case "release":
			held.release()
			fmt.Println("released")
		case "skew":
			if err := setSkew(clock, process); err != nil {
				return err
			}
			fmt.Println("skewed")
		}
	}
	return orders.Err()
}

// held is the one request that is kept without an answer.
type held struct {
	mu   sync.Mutex
	pid  int           // whose next request is to be held, 0 for nobody's
	came chan struct{} // closed when it is there
	free chan struct{} // closed when it may go on
}

// arm has the process's next request held.
func (h *held) arm(pid int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pid, h.came, h.free = pid, make(chan struct{}), make(chan struct{})
}

// wait returns when the request is held.
func (h *held) wait() error {
	h.mu.Lock()
	pid, came := h.pid, h.came
	h.mu.Unlock()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-came:
		return nil
	case <-timer.C:
		h.release()
		return fmt.Errorf("process %d has asked nothing within %s", pid, patience)
	}
}

func (h *held) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pid = 0
	if h.free != nil {
		close(h.free)
		h.free = nil
	}
}

// pass returns at once but for the request that is to be held.
func (h *held) pass(ctx context.Context) {
	caller, ok := fuse.FromContext(ctx)
	if !ok {
		return
	}
	h.mu.Lock()
	if h.pid == 0 || !isThread(h.pid, int(caller.Pid)) {
		h.mu.Unlock()
		return
	}
	h.pid = 0
	free := h.free
	close(h.came)
	h.mu.Unlock()
	<-free
}

// isThread reports whether a thread is one of the process: the kernel names
// threads to the server.
func isThread(pid, tid int) bool {
	_, err := os.Stat(filepath.Join("/proc", strconv.Itoa(pid), "task", strconv.Itoa(tid)))
	return err == nil
}

// A node is a file or folder.
type node struct {
	fs.LoopbackNode
	held *held
}

var (
	_ fs.NodeWrapChilder = (*node)(nil)
	_ fs.NodeLookuper    = (*node)(nil)
	_ fs.NodeReader      = (*node)(nil)
	_ fs.NodeWriter      = (*node)(nil)
	_ fs.NodeOpener      = (*node)(nil)
	_ fs.NodeCreater     = (*node)(nil)
)

// WrapChild makes the nodes below this one ours, too.
func (n *node) WrapChild(_ context.Context, child fs.InodeEmbedder) fs.InodeEmbedder {
	loopback, ok := child.(*fs.LoopbackNode)
	if !ok {
		return child
	}
	return &node{LoopbackNode: fs.LoopbackNode{RootData: loopback.RootData}, held: n.held}
}

// Lookup is what opening a file begins with.
func (n *node) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	n.held.pass(ctx)
	return n.LoopbackNode.Lookup(ctx, name, out)
}

// Read reads from an open file. One with the sticky bit cannot be read, as if it lay
// on a bad disk.
func (n *node) Read(ctx context.Context, f fs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	n.held.pass(ctx)
	var attr fuse.AttrOut
	if file, ok := f.(fs.FileGetattrer); ok && file.Getattr(ctx, &attr) == fs.OK && attr.Mode&syscall.S_ISVTX != 0 {
		return nil, syscall.EIO
	}
	file, ok := f.(fs.FileReader)
	if !ok {
		return nil, syscall.ENOTSUP
	}
	return file.Read(ctx, dest, off)
}

// Write writes to an open file.
func (n *node) Write(ctx context.Context, f fs.FileHandle, data []byte, off int64) (uint32, syscall.Errno) {
	n.held.pass(ctx)
	file, ok := f.(fs.FileWriter)
	if !ok {
		return 0, syscall.ENOTSUP
	}
	return file.Write(ctx, data, off)
}

// uncached has each read and write ask the server, and a close not.
const uncached = fuse.FOPEN_DIRECT_IO | fuse.FOPEN_NOFLUSH

// Open opens a file.
func (n *node) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	f, _, errno := n.LoopbackNode.Open(ctx, flags)
	return f, uncached, errno
}

// Create makes a file and opens it.
func (n *node) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	inode, f, _, errno := n.LoopbackNode.Create(ctx, name, flags, mode, out)
	return inode, f, uncached, errno
}
