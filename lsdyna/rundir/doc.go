// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package rundir is the folder that a solver runs in: the outputs as they grow,
// dumps and which of them a run can go on from, the sense switch in d3kil, and the
// record of the run. Package deck below it reads decks, which it opens.
//
// Files in a run folder belong to an untrusted user. They are reached only
// through a [Folder]: never across a symbolic link, never a FIFO, socket, device
// or directory, never more of a file at a time than a fixed buffer; only the deck
// may be reached through links, as long as they stay in the folder. What is written
// is created under a new name and renamed: the sense switch, the files of a
// launch.Command, and the run's record.
//
// Whoever calls has the user's rights: with more, a file that the user moved here
// could be read that he may not read; and a root that the folder's file server does not
// trust has less.
//
// The folder may be on a file server that stops answering. Everything in this package
// blocks as long as the file system does. It is for the goroutine of package watch, or
// for a command that may wait.
package rundir
