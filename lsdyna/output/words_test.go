// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package output

import (
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna"
	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/output/around/aroundtest"
)

const dashes = "--------------------------------------------------------------------------\n"

// What launchers, batch systems, shells, runtimes and the kernel print below a run that
// has no end of its own, with the verdict on it when nobody saw the exit.
var aroundTable = []struct {
	who, text string
	want      Kind
	reason    string
}{
	{"Open MPI 4, a kill", dashes + "mpiexec noticed that process rank 5 with PID 811 on node fe12 exited on signal 9 (Killed).\n" + dashes, Killed, "signal 9 (SIGKILL)"},
	{"Open MPI 5, wrapped elsewhere", dashes + "prterun noticed that process rank 5 with PID 811 on node\nfe12 exited on signal 7 (Bus error).\n" + dashes, Failed, "signal 7 (SIGBUS)"},
	{"Open MPI 5, twice wrapped", "prun noticed that process rank 5 with\nPID 811 on node fe12 exited on\nsignal 15 (Terminated).\n", Killed, "signal 15"},
	{"Open MPI, a notice without its end", "mpirun noticed that process rank 5 with PID 811 on node fe12 exited on\n" + dashes, Failed, "rank 5"},
	{"Open MPI, a crash with a traceback", "[fe12:00811] *** Process received signal ***\n[fe12:00811] Signal: Floating point exception (8)\n[fe12:00811] Signal code: Integer divide-by-zero (1)\n", Failed, "signal 8 (SIGFPE)"},
	{"Open MPI, MPI_ABORT", dashes + "MPI_ABORT was invoked on rank 7 in communicator MPI_COMM_WORLD\nwith errorcode 13.\n" + dashes, Failed, "MPI_ABORT was invoked on rank 7"},
	{"Open MPI, an MPI error", "[fe12:00811] *** An error occurred in MPI_Waitall\n[fe12:00811] *** MPI_ERR_PENDING: pending request\n", Failed, "MPI_ERR_PENDING"},
	{"Open MPI, an exit code", dashes + "prterun detected that one or more processes exited with non-zero status, thus causing\nthe job to be terminated. The first process to do so was:\n\n   Process name: [prterun-fe12-9@1,2] Exit code:    2\n" + dashes, Failed, ""},
	{"Open MPI, an exit code that is a signal", "mpirun detected that one or more processes exited with non-zero status, thus causing\n\n  Process name: [[1,1],2]\n  Exit code:    139\n", Failed, "signal 11"},
	{"Open MPI, an exit code, and the others ended", sigterm + "mpirun detected that one or more processes exited with non-zero status, thus causing\n\n  Process name: [[1,1],2]\n  Exit code:    3\n", Failed, "exit code 3"},
	{"Open MPI, all ended by a signal", sigterm + "mpirun detected that one or more processes exited with non-zero status, thus causing\n\n  Process name: [[1,1],2]\n  Exit code:    78\n", Killed, "signal 15"},
	{"Open MPI, a daemon lost", "ORTE has lost communication with a remote daemon.\n\n  HNP daemon   : [[1,0],0] on node fe12\n", Failed, "lost communication"},
	{"MPICH, a crash", hydra("11", "Segmentation fault (signal 11)"), Failed, "signal 11 (SIGSEGV)"},
	{"MPICH, SIGTERM", hydra("15", "Terminated (signal 15)"), Killed, "signal 15"},
	{"MPICH, an abort", "application called MPI_Abort(MPI_COMM_WORLD, 4) - process 2\n", Failed, "MPI_Abort"},
	{"MPICH 4, an abort", "Abort(740367) on node 2 (rank 2 in comm 0): Fatal error in internal_Allreduce: Message truncated, error stack:\n", Failed, "Fatal error in internal_Allreduce"},
	{"MPICH, an MPI error because a peer was killed", "Fatal error in PMPI_Recv: Unknown error class, error stack:\nFatal error in PMPI_Wait: connection reset by peer\n" + hydra("9", "Killed (signal 9)"), Failed, "PMPI_Recv"},
	{"Intel MPI, an abort trap", strings.ReplaceAll(aroundtest.IntelMPI, "9 (Killed)", "6 (Aborted)"), Failed, "signal 6 (SIGABRT)"},
	{"Platform MPI", "MPI Application rank 3 killed before MPI_Finalize() with signal 11\n", Failed, "signal 11"},
	{"Platform MPI, an exit", "MPI Application rank 3 exited before MPI_Finalize() with status 2\n", Failed, "MPI_Finalize"},
	{"UCX", "[fe12:811  :0:811] Caught signal 11 (Segmentation fault: address not mapped to object at address 0x18)\n", Failed, "signal 11"},
	{"Slurm, time", "slurmstepd: error: *** STEP 77.0 ON fe12 CANCELLED AT 2024-01-02T03:04:05 DUE TO TIME LIMIT ***\nforrtl: error (78): process killed (SIGTERM)\nsrun: error: fe12: tasks 0-7: Terminated\n", Killed, "TIME LIMIT"},
	{"Slurm, a node", "slurmstepd: error: *** JOB 77 ON fe12 CANCELLED AT 2024-01-02T03:04:05 DUE TO NODE FAILURE, SEE SLURMCTLD LOG FOR DETAILS ***\n", Killed, "NODE FAILURE"},
	{"Slurm, preemption", "slurmstepd: error: *** JOB 77 ON fe12 CANCELLED AT 2024-01-02T03:04:05 DUE TO PREEMPTION ***\n", Killed, "PREEMPTION"},
	{"Slurm, somebody", "slurmstepd: error: *** JOB 77 ON fe12 CANCELLED AT 2024-01-02T03:04:05 ***\n", Killed, "CANCELLED"},
	{"Slurm, memory", "slurmstepd: error: Detected 2 oom_kill events in StepId=77.batch. Some of the step tasks have been OOM Killed.\n", Killed, "oom_kill"},
	{"Slurm, memory, older", "slurmstepd: error: Detected 1 oom-kill event(s) in step 77.0 cgroup. Some of your processes may have been killed by the cgroup out-of-memory handler.\n", Killed, "oom-kill"},
	{"Slurm, memory, oldest", "slurmstepd: error: Job 77 exceeded memory limit (4100 > 4096), being killed\n", Killed, "memory limit"},
	{"Slurm, memory, srun alone", "srun: error: fe12: task 4: Out Of Memory\n", Killed, "Out Of Memory"},
	{"Slurm, a crash, then the step", "srun: error: fe12: task 4: Segmentation fault (core dumped)\nsrun: Terminating StepId=77.0\nslurmstepd: error: *** STEP 77.0 ON fe12 CANCELLED AT 2024-01-02T03:04:05 ***\n", Failed, "signal 11"},
	{"Slurm, a kill", "srun: error: fe12: task 4: Killed\n", Killed, "signal 9"},
	{"Slurm, an exit code", "srun: error: fe12: tasks 0-3: Exited with exit code 2\n", Failed, "exit code 2"},
	{"PBS, memory", "=>> PBS: job killed: mem 9437184kb exceeded limit 8388608kb\n", Killed, "mem 9437184kb"},
	{"PBS, a node", "=>> PBS: job killed: node 1 (fe13) requested job terminate, 'EOF' (code 1099) - received SISTER_EOF attempting to communicate with sister MOM's\n", Killed, "SISTER_EOF"},
	{"LSF, time", "TERM_RUNLIMIT: job killed after reaching LSF run time limit.\nExited with exit code 140.\n", Killed, "TERM_RUNLIMIT"},
	{"LSF, memory", "TERM_MEMLIMIT: job killed after reaching LSF memory usage limit.\nExited with signal termination: 9.\n", Killed, "TERM_MEMLIMIT"},
	{"LSF, somebody", "TERM_OWNER: job killed by owner.\n", Killed, "TERM_OWNER"},
	{"LSF, a signal", "Exited with signal termination: 11.\n", Failed, "signal 11"},
	{"LSF, a shell's code", "Exited with exit code 137.\n", Killed, "signal 9"},
	{"Grid Engine", "job 4242 exceeded hard wallclock time - initiate terminate method\n", Killed, "hard wallclock time"},
	{"Grid Engine, memory", "job 4242.1 exceeds job hard limit \"h_vmem\" of queue \"all.q@fe12\" (9 > limit:8) - sending SIGKILL\n", Killed, "h_vmem"},
	{"HTCondor, a signal", "\t(0) Abnormal termination (signal 11)\n", Failed, "signal 11"},
	{"HTCondor, a user", "009 (042.000.000) 2024-01-02 03:04:05 Job was aborted.\n", Killed, "aborted"},
	{"HTCondor, evicted", "004 (042.000.000) 01/02 03:04:05 Job was evicted.\n", Killed, "evicted"},
	{"bash, a crash", "./go.sh: line 3:  4242 Segmentation fault      (core dumped) ./ls-dyna i=a.k ncpu=8\n", Failed, "signal 11"},
	{"bash, an abort", "/var/spool/pbs/mom_priv/jobs/9.SC: line 9: 4242 Aborted                 $EXE i=a.k\n", Failed, "signal 6"},
	{"bash, a login shell", "-bash: line 2: 4242 Killed                  ./ls-dyna i=a.k\n", Killed, "signal 9"},
	{"bash, another language's dash", "./go.sh: line 3: 4242 Floating point exception(core dumped) ./ls-dyna i=a.k\n", Failed, "signal 8"},
	{"bash, job control", "[1]+  Killed                  ./ls-dyna i=a.k ncpu=8\n", Killed, "signal 9"},
	{"zsh", "zsh: segmentation fault (core dumped)  ./ls-dyna i=a.k ncpu=8\n", Failed, "signal 11"},
	{"zsh, a kill", "zsh: killed     ./ls-dyna i=a.k\n", Killed, "signal 9"},
	{"zsh, in the background", "[2]  + 4242 bus error  ./ls-dyna i=a.k\n", Failed, "signal 7"},
	{"dash", "Killed\n", Killed, "signal 9"},
	{"dash, a crash", "Segmentation fault (core dumped)\n", Failed, "signal 11"},
	{"csh", "Illegal instruction\n", Failed, "signal 4"},
	{"macOS", "Abort trap: 6\n", Failed, "signal 6"},
	{"ksh", "go.ksh[7]: 4242 Memory fault(coredump)\n", Failed, "signal 11"},
	{"time", "Command terminated by signal 15\n", Killed, "signal 15"},
	{"timeout", "timeout: sending signal TERM to command './ls-dyna'\n", Killed, "timeout"},
	{"the kernel, memory", "[ 9911.2] Out of memory: Killed process 4242 (ls-dyna) total-vm:9kB, anon-rss:8kB\n", Killed, "Out of memory"},
	{"the kernel, a cgroup", "kernel: Memory cgroup out of memory: Killed process 4242 (ls-dyna)\n", Killed, "cgroup out of memory"},
	{"the kernel, a crash", "ls-dyna_smp_d[4242]: segfault at 10 ip 00000 sp 00000 error 4\n", Failed, "signal 11"},
	{"systemd, a crash", "crash.service: Main process exited, code=dumped, status=11/SEGV\n", Failed, "signal 11"},
	{"systemd", "crash.service: Main process exited, code=killed, status=9/KILL\n", Killed, "signal 9"},
	{"docker compose, a kill", "solver-1 exited with code 137\n", Killed, "signal 9"},
	{"docker compose, a crash", "solver-1 exited with code 139\n", Failed, "signal 11"},
	{"docker compose, an error", "solver-1 exited with code 2\n", Failed, "code 2"},
	{"docker compose, an end", "solver-1 exited with code 0\n", Unknown, "printed no end"},
	{"the Fortran runtime, a kill by the terminal", "forrtl: error (69): process interrupted (SIGINT)\n", Killed, "signal 2"},
	{"the Fortran runtime, Windows", "forrtl: severe (157): Program Exception - access violation\n", Failed, "signal 11"},
	{"the Fortran runtime, no signal", "forrtl: severe (41): insufficient virtual memory\n", Failed, "insufficient virtual memory"},
	{"gfortran", "Program received signal SIGFPE: Floating-point exception - erroneous arithmetic operation.\n", Failed, "signal 8"},
	{"the C library", "*** Error in `./ls-dyna': double free or corruption (!prev): 0x0 ***\n", Failed, "signal 6"},
	{"the C library, newer", "double free or corruption (out)\n", Failed, "signal 6"},
	{"a crash under a launcher that then kills", "forrtl: severe (174): SIGSEGV, segmentation fault occurred\nforrtl: error (78): process killed (SIGTERM)\n" + openMPI, Failed, "signal 11"},
	{"out-of-range numbers", "\n *** termination due to out-of-range velocities ***\n", Failed, "out-of-range velocities"},
	{"NaN, told by the first rank alone", " *** NaN detected.  Please check message file from processor for detail.\n", Failed, "NaN detected"},
	{"NaN, then the launcher", " *** Error NaN detected on processor #         3  <<<\nMPI_ABORT was invoked on rank 3 in communicator MPI_COMM_WORLD\n", Failed, "*** Error NaN detected on processor # 3"},
	{"an error, then the launcher", " *** Error 40509 (SOL+509)\n     negative volume\n\n" + sigterm + "slurmstepd: error: *** STEP 77.0 ON fe12 CANCELLED AT 2024-01-02T03:04:05 ***\n", Failed, "40509"},

	{"words of no end", "The job was not killed.\nlog of signal processing\nsignal 9\nterminated the contract\nmpirun: Forwarding signal 18 to job\n", Unknown, "printed no end"},
}

func TestDecide_whoEndedIt(t *testing.T) {
	for _, c := range aroundTable {
		t.Run(c.who, func(t *testing.T) {
			cutOff := string(fixture(t, "cut.stdout")) + "\n"
			joined := Decide(Combine([]Source{read(lsdyna.KindStdout, cutOff+c.text)}), Exit{})
			must.Eq(t, c.want, joined.Kind, must.Sprint(joined.Reason))
			must.StrContains(t, joined.Reason, c.reason)
			must.StrNotContains(t, joined.Reason, "\n")

			if strings.HasPrefix(strings.TrimSpace(c.text), "*** ") {
				return // the solver's own, in stdout
			}
			completed := string(fixture(t, "completed-smp.stdout")) + "\n" + c.text
			must.Eq(t, Completed, Decide(Combine([]Source{read(lsdyna.KindStdout, completed)}), Exit{}).Kind)
			apart := Decide(Combine([]Source{read(lsdyna.KindStdout, cutOff), read(lsdyna.KindStderr, c.text)}), Exit{})
			if !strings.Contains(c.text, "\n *** Error ") {
				must.Eq(t, c.want, apart.Kind, must.Sprint(apart.Reason))
			}
		})
	}
}

// A launcher's exit code means what that launcher means by it.
func TestDecide_exitCodesOfLaunchers(t *testing.T) {
	for name, c := range map[string]struct {
		launcher lsdyna.MPI
		code     int
		text     string
		want     Kind
		reason   string
	}{
		"MPICH, a kill":                   {lsdyna.MPICH, 9, "", Killed, "signal 9 (SIGKILL) (exit code 9)"},
		"MPICH, a crash":                  {lsdyna.MPICH, 11, "", Failed, "signal 11 (SIGSEGV)"},
		"MPICH, a crash with a core":      {lsdyna.MPICH, 139, "", Failed, "signal 11 (SIGSEGV)"},
		"MPICH, LS-DYNA's own code":       {lsdyna.MPICH, 3, "", Failed, "exit code 3"},
		"MPICH, and it says so":           {lsdyna.MPICH, 9, hydra("9", "Killed (signal 9)"), Killed, "signal 9"},
		"MPICH, it is a code":             {lsdyna.MPICH, 9, hydra("9", ""), Failed, "ended with exit code 9"},
		"Intel MPI":                       {lsdyna.IntelMPI, 11, "", Failed, "signal 11"},
		"Open MPI, a crash":               {lsdyna.OpenMPI, 139, "", Failed, "signal 11"},
		"Open MPI, a kill":                {lsdyna.OpenMPI, 137, "", Killed, "signal 9"},
		"Open MPI, a number of a signal":  {lsdyna.OpenMPI, 9, "", Failed, "exit code 9"},
		"no launcher, a signal's number":  {"", 11, "", Failed, "exit code 11"},
		"no launcher, a shell's SIGABRT":  {"", 134, "", Failed, "signal 6"},
		"no launcher, a shell's SIGXCPU":  {"", 152, "", Killed, "signal 24"},
		"no launcher, an impossible code": {"", 255, "", Failed, "exit code 255"},
	} {
		t.Run(name, func(t *testing.T) {
			o := Decide(Combine([]Source{read(lsdyna.KindStdout, string(fixture(t, "cut.stdout"))+"\n"+c.text)}), Exit{Known: true, Code: c.code, Launcher: c.launcher})
			must.Eq(t, c.want, o.Kind, must.Sprint(o.Reason))
			must.StrContains(t, o.Reason, c.reason)
		})
	}
}

func TestDecide_otherAimsThanTheEndTime(t *testing.T) {
	const end = "\n N o r m a l    t e r m i n a t i o n                          03/02/25 10:02:05\n\n Problem time       =    %\n Problem cycle      =         7\n" +
		" Elapsed time      31 seconds for       7 cycles using     2 SMP threads\n\n N o r m a l    t e r m i n a t i o n                          03/02/25 10:02:05\n"
	const asked = " termination time                  = 1.000E+00\n"
	for name, c := range map[string]struct {
		text, time string
		want       Kind
		reason     string
	}{
		"eigenvalues":                   {" Eigenvalue analysis with the Lanczos solver\n", "0.0000E+00", Completed, "eigenvalue analysis"},
		"eigenvalues, by their number":  {"   number of eigenvalues to extract ........       12\n", "0.0000E+00", Completed, "eigenvalue analysis"},
		"no eigenvalues":                {"   number of eigenvalues to extract ........        0\n", "0.0000E+00", Stopped, "before the end time"},
		"eigenvalues, by their = sign":  {" Implicit eigenvalue analysis: number of modes requested =   20\n", "0.0000E+00", Completed, "eigenvalue analysis"},
		"settings about eigenvalues":    {"   eigenvalue tolerance ................... 1.0000E-06\n   eigenvalue method ................ 2\n", "0.0000E+00", Stopped, "before the end time"},
		"eigenvalues in between":        {" Eigenvalue analysis with the Lanczos solver\n", "2.0000E-01", Stopped, "before the end time"},
		"eigenvalues, and stopped":      {" Eigenvalue analysis\n *** kill file detected - terminating ****\n", "0.0000E+00", Stopped, "d3kil"},
		"nothing":                       {"", "0.0000E+00", Stopped, "before the end time"},
		"a number of cycles":            {"\n *** termination cycle reached ***\n", "2.0000E-01", Completed, "cycle reached"},
		"mass":                          {"\n *** termination due to mass increase ***\n", "2.0000E-01", Stopped, "termination due to mass increase"},
		"energy":                        {"\n *** termination due to energy ratio limit ***\n", "2.0000E-01", Stopped, "termination due to energy ratio limit"},
		"time step":                     {"\n *** termination due to time step size ***\n", "2.0000E-01", Stopped, "termination due to time step size"},
		"an end time that was moved":    {" termination time                  = 2.000E-01\n *** termination time reached ***\n", "2.0000E-01", Completed, "at the end time"},
		"numbers that are out of range": {"\n *** termination due to out-of-range forces ***\n", "2.0000E-01", Failed, "out-of-range forces"},
	} {
		t.Run(name, func(t *testing.T) {
			o := Decide(Combine([]Source{read(lsdyna.KindStdout, asked+c.text+strings.Replace(end, "%", c.time, 1))}), Exit{Known: true})
			must.Eq(t, c.want, o.Kind, must.Sprint(o.Reason))
			must.StrContains(t, o.Reason, c.reason)
		})
	}
}

func TestDecide_earlyRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want Kind
		code int
	}{
		"an error and a plain banner":     {"\r\n *** Error 10151 (KEY+151)\r\n     cannot go on\r\n\r\n Error termination\r\n", Failed, 10151},
		"a plain banner alone":            {"Error termination", Failed, 0},
		"a plain normal end":              {" Normal termination\n", Unknown, 0},
		"no licence file":                 {" License option : check network license only\n LSTC License file not found\n", LicenceError, 0},
		"no licence, and a plain banner":  {" License option : check ansys licenses only\n License could not be checked out: server is down\n Error termination\n", LicenceError, 0},
		"a plain banner after a real one": {string(fixture(t, "completed-smp.stdout")) + "\n Error termination of another program\n", Completed, 0},
	} {
		o := Decide(Combine([]Source{read(lsdyna.KindStdout, c.text)}), Exit{})
		must.Eq(t, c.want, o.Kind, must.Sprint(name, o.Reason))
		if c.code != 0 {
			must.Eq(t, c.code, o.FirstError.Code)
		}
	}
}

func TestReader_lastWordsMeanSomething(t *testing.T) {
	for _, noise := range []string{dashes, "=====================\n", "libpthread-2.17.s  00002B0C21A5F630  Unknown               Unknown  Unknown\n", "[fe12:9] [ 0] /lib64/libc.so(+0x1)[0x7f]\n", "[fe12:9] *** End of error message ***\n", "\n \n"} {
		must.Eq(t, "the last words", whole([]byte("the last words\n"+noise)).LastLine, must.Sprint(noise))
	}
}
