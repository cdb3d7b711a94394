package main

import (
	_ "github.com/creack/pty"
	_ "github.com/fsnotify/fsnotify"
	_ "github.com/hashicorp/go-set/v3"
	_ "github.com/hashicorp/nomad/api"
	_ "github.com/hashicorp/nomad/plugins/drivers/testutils"
	_ "github.com/prometheus/client_golang/prometheus"
	_ "github.com/shirou/gopsutil/v3/cpu"
	_ "github.com/shoenig/test"
	_ "golang.org/x/sys/unix"
	_ "golang.org/x/term"
)
