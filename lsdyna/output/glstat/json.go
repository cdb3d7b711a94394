// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package glstat

import (
	"encoding/json"
	"math"
)

// Statistics are told to other processes as JSON. Names of quantities are there, since
// those may be of another version; a value that is no finite number, which JSON lacks, is
// null.
var names = [quantities]string{
	Dt: "time_step", Kinetic: "kinetic_energy", Internal: "internal_energy", Total: "total_energy", Ratio: "energy_ratio",
	RatioUneroded: "energy_ratio_uneroded", Hourglass: "hourglass_energy", Sliding: "sliding_energy",
	AddedMass: "added_mass", AddedMassPercent: "added_mass_percent",
}

type sampleJSON struct {
	Time   float64             `json:"time"`
	Cycle  int64               `json:"cycle"`
	Values map[string]*float64 `json:"values"`
}

// MarshalJSON writes what the block tells.
func (s Sample) MarshalJSON() ([]byte, error) {
	out := sampleJSON{s.Time, s.Cycle, map[string]*float64{}}
	for q, name := range names {
		if v, ok := s.Value(Quantity(q)); ok {
			out.Values[name] = nil
			if isFinite(v) {
				out.Values[name] = &v
			}
		}
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON wrote. Quantities that are not known are left out.
func (s *Sample) UnmarshalJSON(data []byte) error {
	var in sampleJSON
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	*s = Sample{Time: in.Time, Cycle: in.Cycle}
	for q, name := range names {
		if v, ok := in.Values[name]; ok && v == nil {
			s.Set(Quantity(q), math.NaN())
		} else if ok {
			s.Set(Quantity(q), *v)
		}
	}
	return nil
}

// Newest is the statistics without their series: the newest value of each quantity.
func (s *Stats) Newest() *Stats {
	if s == nil {
		return nil
	}
	newest := *s
	for q := range quantities {
		if p, ok := s.Value(q); ok {
			newest.Last.Set(q, p.Value)
		}
	}
	newest.Series = nil
	return &newest
}
