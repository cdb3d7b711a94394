# Copyright The nomad-driver-lsdyna Authors
# SPDX-License-Identifier: MPL-2.0

app {
  url = "https://github.com/nomad-driver-lsdyna/nomad-driver-lsdyna"
}

pack {
  name        = "lsdyna"
  description = "An LS-DYNA run (SMP, MPP or hybrid, on one node or several) on CPU cores of its own."
  version     = "0.1.0"
}
