// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

package pidfile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"github.com/nomad-driver-lsdyna/nomad-driver-lsdyna/allocator/cpuset"
)

// The second line's keys that we know.
const (
	keyCores               = "cores"
	keyStartTime           = "start_time"
	keyBootID              = "boot_id"
	keySupervisorPID       = "supervisor_pid"
	keySupervisorStartTime = "supervisor_start_time"
)

// Parse reads a pid file's content. The error wraps ErrNoPID, or ErrNoCores
// beside a record whose PID is valid; such a record has its identity (StartTime,
// BootID, supervisor) where the second line is a JSON object that has it.
func Parse(data []byte) (Record, error) {
	first, rest, _ := bytes.Cut(data, []byte("\n"))
	pid, err := parsePID(bytes.TrimSpace(first))
	if err != nil {
		return Record{}, err
	}
	r := Record{PID: pid}
	rest = bytes.TrimSpace(rest)
	if len(rest) == 0 {
		return r, fmt.Errorf("%w: there is no second line", ErrNoCores)
	}
	if bytes.IndexByte(rest, '\n') >= 0 {
		return r, fmt.Errorf("%w: there are more than two lines", ErrNoCores)
	}
	keys, err := objectKeys(rest)
	if err != nil {
		return r, fmt.Errorf("%w: %w", ErrNoCores, err)
	}
	if err := r.takeIdentity(keys); err != nil {
		return Record{PID: pid}, fmt.Errorf("%w: %w", ErrNoCores, err)
	}
	cores, err := parseCores(keys[keyCores])
	delete(keys, keyCores)
	if len(keys) > 0 {
		r.Extra = keys
	}
	if err != nil {
		return r, fmt.Errorf("%w: %w", ErrNoCores, err)
	}
	r.Cores = cores
	return r, nil
}

// parsePID takes plain decimal digits only: no sign, no other base.
func parsePID(line []byte) (int, error) {
	pid, err := strconv.ParseUint(string(line), 10, 31)
	if err != nil || pid == 0 {
		return 0, fmt.Errorf("%w: %.40q", ErrNoPID, line)
	}
	return int(pid), nil
}

// objectKeys splits a JSON object. encoding/json would match field names in
// any case and let a later duplicate win; a record with two different
// "cores" or "start_time" is not one to believe, so both are refused here.
func objectKeys(line []byte) (map[string]json.RawMessage, error) {
	dec := json.NewDecoder(bytes.NewReader(line))
	if tok, err := dec.Token(); err != nil || tok != json.Delim('{') {
		return nil, fmt.Errorf("it is not a JSON object")
	}
	keys := map[string]json.RawMessage{}
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return nil, err
		}
		key, _ := tok.(string)
		if _, twice := keys[key]; twice {
			return nil, fmt.Errorf("%q stands there twice", key)
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, err
		}
		keys[key] = value
	}
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	if dec.InputOffset() != int64(len(line)) {
		return nil, fmt.Errorf("something follows the JSON object")
	}
	return keys, nil
}

// takeIdentity moves the identity's keys from keys into r. A key of the wrong
// type makes the line invalid: a record whose identity cannot be read must not pass for
// one that has none.
func (r *Record) takeIdentity(keys map[string]json.RawMessage) error {
	var supervisor uint64
	for key, into := range map[string]any{
		keyStartTime:           &r.StartTime,
		keyBootID:              &r.BootID,
		keySupervisorPID:       &supervisor,
		keySupervisorStartTime: &r.SupervisorStartTime,
	} {
		raw, ok := keys[key]
		if !ok {
			continue
		}
		if err := json.Unmarshal(raw, into); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		delete(keys, key)
	}
	if supervisor > math.MaxInt32 {
		return fmt.Errorf("%s: %d is no process id", keySupervisorPID, supervisor)
	}
	r.SupervisorPID = int(supervisor)
	return nil
}

func parseCores(raw json.RawMessage) ([]int, error) {
	if raw == nil {
		return nil, fmt.Errorf("there is no %q", keyCores)
	}
	var cores []int
	if err := json.Unmarshal(raw, &cores); err != nil {
		return nil, fmt.Errorf("%s: %w", keyCores, err)
	}
	if cores == nil {
		return nil, fmt.Errorf("%s is null", keyCores)
	}
	if err := checkCores(cores); err != nil {
		return nil, err
	}
	return cores, nil
}

func checkCores(cores []int) error {
	var seen cpuset.Set
	for _, c := range cores {
		if seen.Contains(c) {
			return fmt.Errorf("%s: %d stands there twice", keyCores, c)
		}
		if !seen.Add(c) {
			return fmt.Errorf("%s: %d is no CPU index: 0 to %d are supported", keyCores, c, cpuset.MaxCPUs-1)
		}
	}
	return nil
}

// Encode returns the two lines; only the first when Cores is nil and nothing
// else is known. It refuses a record that Parse would not give back.
func (r Record) Encode() ([]byte, error) {
	if r.PID <= 0 || r.PID > math.MaxInt32 {
		return nil, fmt.Errorf("%w: %d", ErrNoPID, r.PID)
	}
	if err := checkCores(r.Cores); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%d\n", r.PID)
	if r.Cores == nil && r.StartTime == 0 && r.BootID == "" && r.SupervisorPID == 0 && r.SupervisorStartTime == 0 && len(r.Extra) == 0 {
		return b.Bytes(), nil
	}
	line, err := r.secondLine()
	if err != nil {
		return nil, err
	}
	b.Write(line)
	b.WriteByte('\n')
	if b.Len() > MaxBytes {
		return nil, fmt.Errorf("the record is larger than %d bytes", MaxBytes)
	}
	return b.Bytes(), nil
}

// secondLine puts "cores" first, as the older tool did, then what we know, then
// the other keys in their alphabetical order.
func (r Record) secondLine() ([]byte, error) {
	known := struct {
		Cores               *[]int `json:"cores,omitempty"`
		StartTime           uint64 `json:"start_time,omitempty"`
		BootID              string `json:"boot_id,omitempty"`
		SupervisorPID       int    `json:"supervisor_pid,omitempty"`
		SupervisorStartTime uint64 `json:"supervisor_start_time,omitempty"`
	}{nil, r.StartTime, r.BootID, r.SupervisorPID, r.SupervisorStartTime}
	if r.Cores != nil {
		known.Cores = &r.Cores
	}
	line, err := json.Marshal(known)
	if err != nil || len(r.Extra) == 0 {
		return line, err
	}
	for _, key := range []string{keyCores, keyStartTime, keyBootID, keySupervisorPID, keySupervisorStartTime} {
		if _, clash := r.Extra[key]; clash {
			return nil, fmt.Errorf("extra key %q is one of the record's own", key)
		}
	}
	extra, err := json.Marshal(r.Extra) // sorts, and drops line breaks inside values
	if err != nil {
		return nil, err
	}
	if len(line) > len("{}") {
		line[len(line)-1] = ','
		return append(line, extra[1:]...), nil
	}
	return extra, nil
}
