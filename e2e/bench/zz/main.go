package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/supervisor"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	root, _ := os.MkdirTemp("", "zz")
	defer os.RemoveAll(root)
	os.Chmod(root, 0o755)
	const n = 50
	var dirs []string
	for i := range n {
		dir := filepath.Join(root, fmt.Sprint("rec", i))
		run := filepath.Join(root, fmt.Sprint("run", i))
		must(os.Mkdir(dir, 0o700))
		must(os.Mkdir(run, 0o777))
		must(os.Chmod(run, 0o777))
		lock, err := supervisor.LockRecord(dir)
		must(err)
		p, err := supervisor.Start(context.Background(), supervisor.Launch{Dir: dir, Lock: lock, Spec: &supervisor.Spec{
			TaskID: "bench", Command: "/bin/sleep", Args: []string{"60"}, Dir: run,
			User: supervisor.User{UID: 65534, GID: 65534}, Cgroups: supervisor.Cgroups{Mode: supervisor.CgroupNone}, StdoutName: "stdout", StderrName: "stderr",
		}})
		must(err)
		p.Close()
		dirs = append(dirs, dir)
	}
	defer func() {
		for _, d := range dirs {
			p, err := supervisor.Open(d)
			must(err)
			t, err := p.Tree()
			must(err)
			must(t.Kill(context.Background()))
			<-p.Done()
		}
	}()
	for range 3 {
		lap := func(name string, f func(i int)) {
			b := time.Now()
			for i := range n {
				f(i)
			}
			fmt.Printf("%-12s %v each\n", name, time.Since(b)/n)
		}
		ps := make([]*supervisor.Process, n)
		lap("open", func(i int) { p, err := supervisor.Open(dirs[i]); must(err); ps[i] = p })
		lap("state", func(i int) { ps[i].State() })
		lap("record", func(i int) { ps[i].Record() })
		lap("readspec", func(i int) { supervisor.ReadSpec(dirs[i]) })
		fs := make([]*lsdyna.RunFolder, n)
		lap("openrun", func(i int) { f, err := lsdyna.OpenRunFolder(root, fmt.Sprint("run", i)); must(err); fs[i] = f })
		lap("follower", func(i int) { lsdyna.NewFollower(fs[i], lsdyna.FollowOptions{Stdout: "stdout"}) })
		for i := range n {
			ps[i].Close()
			fs[i].Close()
		}
	}
}
