package command

import (
	"fmt"
	"os"
	"testing"
	"time"
)

func TestLook(t *testing.T) {
	for _, w := range []string{"60", "100", "160"} {
		t.Setenv("COLUMNS", w)
		for _, m := range []machine{{1, 1, 1, 2, 1, 0, ""}, {2, 1, 1, 4, 2, 0, ""}, {2, 1, 1, 64, 1, 0, ""}, {2, 4, 2, 8, 2, 0, ""}, {1, 1, 1, 6, 2, 8, "20,21"}} {
			sys := m.sysfs(t)
			dir := stateDir(t)
			madeTask{job: "crash-42", alloc: "3f1c2a9b-1111-2222-3333-444455556666", task: "solve", cores: []int{0, 1}, since: 2 * time.Hour, stdout: solving(5, 1e-2)}.make(t, dir)
			if m.cores > 2 {
				madeTask{job: "a-very-long-job-name/dispatch-1700000-abcdef", alloc: "4f1c2a9b-1111-2222-3333-444455556666", task: "lsdyna-solver", cores: []int{2, 4, 5}, since: 26 * time.Hour}.make(t, dir)
				madeTask{job: "unp", alloc: "5f1c2a9b-1111-2222-3333-444455556666", task: "s", cores: []int{}, since: 26 * time.Second, stdout: "x\n"}.make(t, dir)
			}
			fmt.Println("=====", w, m)
			Run(t.Context(), []string{"status", "-sysfs", sys, "-state-dir", dir}, os.Stdout, os.Stderr)
			if w == "100" {
				fmt.Println("----- plan")
				Run(t.Context(), []string{"plan", "-sysfs", sys, "-ncpu", "3", "-busy", "0"}, os.Stdout, os.Stderr)
				fmt.Println("----- topology")
				Run(t.Context(), []string{"topology", "-sysfs", sys}, os.Stdout, os.Stderr)
			}
		}
	}
}
