// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package vectors

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// SetSource sets what tells where the other series come from: the program's version, and
// when it read them. A file for the textfile collector stays when its writer has ended,
// and its old numbers would look like new ones.
func SetSource(registry prometheus.Registerer, version string, read time.Time) {
	auto := promauto.With(registry)
	auto.NewGaugeVec(prometheus.GaugeOpts{
		Namespace: metricsNamespace, Name: "build_info", Help: "1, by the version of nomad-driver-lsdyna that tells this.",
	}, []string{"version"}).WithLabelValues(valid(version)).Set(1)
	auto.NewGauge(prometheus.GaugeOpts{
		Namespace: metricsNamespace, Name: "read_timestamp_seconds", Help: "When all this was read.",
	}).Set(float64(read.UnixMilli()) / 1000)
}
