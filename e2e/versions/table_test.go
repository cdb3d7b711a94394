// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package main

import (
	"testing"

	"github.com/shoenig/test/must"
)

const first = `=== RUN   TestDriver_RunsADeck
=== PAUSE TestDriver_RunsADeck
=== RUN   TestDriver_Drained
=== PAUSE TestDriver_Drained
=== RUN   TestDriver_Cores
=== CONT  TestDriver_RunsADeck
=== CONT  TestDriver_Drained
=== RUN   TestDriver_Drained/a_part
--- SKIP: TestDriver_Cores (0.00s)
    agents_test.go:70: needs root
--- PASS: TestDriver_RunsADeck (12.89s)
    driver_test.go:1: an event --- FAIL: TestDriver_Drained (1.00s)
--- FAIL: TestDriver_Drained (61.02s)
    --- FAIL: TestDriver_Drained/a_part (1.00s)
FAIL
`

const second = `=== RUN   TestDriver_RunsADeck
--- PASS: TestDriver_RunsADeck (3.10s)
=== RUN   TestDriver_Drained
panic: test timed out after 40m0s
`

func TestTable_TellsWhatCameOfEachTest(t *testing.T) {
	t.Parallel()
	must.Eq(t, `| Test | 1.8.4 | 1.11.3 |
|---|---|---|
| `+"`TestDriver_RunsADeck`"+` | ok 12 s | ok 3 s |
| `+"`TestDriver_Drained`"+` | failed 61 s | failed |
| `+"`TestDriver_Cores`"+` | skipped | not run |
`, table([]column{{"1.8.4", parse(first)}, {"1.11.3", parse(second)}}))
}
