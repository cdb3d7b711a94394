// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package ownership says which run has a run folder, and lets no second one in: on
// whatever node it is, and by whatever path it comes.
//
// A run that starts makes a [Claim] on its [Folder]: it takes the lock of [LockFile],
// which its supervisor then holds for as long as it lives, and writes [OwnerFile],
// which names the run. Where the file system has no locks, or a node is gone, the
// record decides by proof; see [Folder.Claim].
package ownership
