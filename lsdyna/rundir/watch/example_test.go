// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package watch_test

import (
	"context"
	"fmt"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/lsdyna/rundir/watch"
)

func ExampleInspect() {
	report, err := watch.Inspect(context.Background(), "../../output/testdata/error.stdout", false)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(report.Outcome)
	fmt.Println(report.Reason)
	// Output:
	// error
	// error termination: *** Error 40500 (SOL+500) NaN detected on processor # 3 node id 77: t = 0.0123 of 0.02, 6150 cycles, 1m10s, 2 errors, 3 warnings
}
