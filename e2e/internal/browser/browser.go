// Copyright The nomad-driver-lsdyna Authors
// SPDX-License-Identifier: MPL-2.0

// Package browser drives Debian's chromium without a window, for tests that read a page as
// its user does, and for screenshots. It reaches no network but, where that is asked for,
// servers on this machine. It speaks the DevTools protocol over two pipes
// (--remote-debugging-pipe), so it needs no port.
package browser

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Find returns chromium's path. The error says how to get it.
func Find() (string, error) {
	path, err := exec.LookPath("chromium")
	if err != nil {
		return "", errors.New("there is no chromium: apt-get install chromium")
	}
	return path, nil
}

// Browser is a running chromium with one tab.
type Browser struct {
	cmd     *exec.Cmd
	home    string
	to      *os.File
	stderr  bytes.Buffer
	session string
	ended   chan struct{} // closed when its answers end

	mu      sync.Mutex // guards what follows
	last    int
	waiting map[int]chan message
	events  []Event
}

// Event is something that the browser told by itself.
type Event struct {
	Method string
	Params json.RawMessage
}

type message struct {
	ID        int             `json:"id,omitempty"`
	Method    string          `json:"method,omitempty"`
	Params    json.RawMessage `json:"params,omitempty"`
	Result    json.RawMessage `json:"result,omitempty"`
	SessionID string          `json:"sessionId,omitempty"`
	Error     *struct {
		Message string `json:"message"`
	} `json:"error,omitempty"`
}

// Start starts chromium, which reaches no network. Close ends it.
func Start(ctx context.Context) (*Browser, error) { return start(ctx, false) }

// StartOnLoopback is Start for a chromium that reaches 127.0.0.1, and nothing else.
func StartOnLoopback(ctx context.Context) (*Browser, error) { return start(ctx, true) }

func start(ctx context.Context, loopback bool) (*Browser, error) {
	path, err := Find()
	if err != nil {
		return nil, err
	}
	b := &Browser{waiting: map[int]chan message{}, ended: make(chan struct{})}
	if b.home, err = os.MkdirTemp("", "lsdyna-browser-"); err != nil {
		return nil, err
	}
	theirIn, to, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(b.home))
	}
	from, theirOut, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(b.home))
	}
	b.to = to
	hosts := "MAP * ~NOTFOUND"
	if loopback {
		hosts += ", EXCLUDE 127.0.0.1"
	}
	b.cmd = exec.Command(path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
		"--no-first-run", "--disable-extensions", "--disable-background-networking", "--disable-sync", "--disable-component-update",
		"--host-resolver-rules="+hosts, "--force-color-profile=srgb",
		"--user-data-dir="+b.home, "--remote-debugging-pipe", "about:blank")
	b.cmd.Env = append(os.Environ(), "HOME="+b.home, "DBUS_SESSION_BUS_ADDRESS=disabled:", "TZ=UTC")
	b.cmd.ExtraFiles = []*os.File{theirIn, theirOut}
	b.cmd.Stderr = &b.stderr
	err = b.cmd.Start()
	_, _ = theirIn.Close(), theirOut.Close()
	if err != nil {
		return nil, errors.Join(err, to.Close(), from.Close(), os.RemoveAll(b.home))
	}
	go b.read(from)
	err = b.attach(ctx)
	if err == nil && !loopback {
		err = b.Call(ctx, "Network.emulateNetworkConditions", map[string]any{"offline": true, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}, nil)
	}
	if err != nil {
		err = errors.Join(err, b.Close())
		return nil, fmt.Errorf("start chromium: %w: %s", err, lastLines(b.stderr.String()))
	}
	return b, nil
}

// attach opens the tab.
func (b *Browser) attach(ctx context.Context) error {
	var target struct{ TargetID string }
	if err := b.Call(ctx, "Target.createTarget", map[string]any{"url": "about:blank"}, &target); err != nil {
		return err
	}
	var session struct{ SessionID string }
	if err := b.Call(ctx, "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &session); err != nil {
		return err
	}
	b.session = session.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		if err := b.Call(ctx, domain+".enable", nil, nil); err != nil {
			return err
		}
	}
	return nil
}

// read takes the browser's messages, each of which ends with a zero byte.
func (b *Browser) read(from *os.File) {
	defer close(b.ended)
	defer from.Close()
	r := bufio.NewReader(from)
	for {
		data, err := r.ReadBytes(0)
		if err != nil {
			return
		}
		var m message
		if json.Unmarshal(data[:len(data)-1], &m) != nil {
			continue
		}
		if m.Method == "Page.javascriptDialogOpening" && bytes.Contains(m.Params, []byte(`"beforeunload"`)) {
			// A page that is left asks its user, and there is none. Nobody waits for the answer.
			_ = b.write(0, "Page.handleJavaScriptDialog", map[string]any{"accept": true})
		}
		b.mu.Lock()
		if m.ID == 0 {
			b.events = append(b.events, Event{m.Method, m.Params})
		} else if answer := b.waiting[m.ID]; answer != nil {
			delete(b.waiting, m.ID)
			answer <- m
		}
		b.mu.Unlock()
	}
}

// Call calls a method of the DevTools protocol and decodes its result, unless result is
// nil.
func (b *Browser) Call(ctx context.Context, method string, params, result any) error {
	b.mu.Lock()
	b.last++
	id, answer := b.last, make(chan message, 1)
	b.waiting[id] = answer
	b.mu.Unlock()
	if err := b.write(id, method, params); err != nil {
		return err
	}
	select {
	case m := <-answer:
		if m.Error != nil {
			return fmt.Errorf("%s: %s", method, m.Error.Message)
		}
		if result == nil {
			return nil
		}
		return json.Unmarshal(m.Result, result)
	case <-b.ended:
		return fmt.Errorf("%s: the browser has ended: %s", method, lastLines(b.stderr.String()))
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", method, context.Cause(ctx))
	}
}

// write sends a call, whose answer has its id.
func (b *Browser) write(id int, method string, params any) error {
	said := map[string]any{"id": id, "method": method}
	if params != nil {
		said["params"] = params
	}
	if b.session != "" {
		said["sessionId"] = b.session
	}
	data, err := json.Marshal(said)
	if err != nil {
		return err
	}
	if _, err := b.to.Write(append(data, 0)); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	return nil
}

// View is how a page is looked at.
type View struct {
	Width, Height int // CSS pixels
	Phone         bool
	Dark          bool
	Scale         float64 // device pixels for each; 0 is 1
}

// Open loads a file in a view, and waits until it is there.
func (b *Browser) Open(ctx context.Context, file string, v View) error {
	whole, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	return b.OpenURL(ctx, "file://"+whole, v)
}

// OpenURL loads an address in a view, and waits until it is there; not for what scripts load
// then.
func (b *Browser) OpenURL(ctx context.Context, url string, v View) error {
	scheme := "light"
	if v.Dark {
		scheme = "dark"
	}
	scale := v.Scale
	if scale == 0 {
		scale = 1
	}
	err := b.Call(ctx, "Emulation.setDeviceMetricsOverride", map[string]any{"width": v.Width, "height": v.Height, "deviceScaleFactor": scale, "mobile": v.Phone}, nil)
	if err == nil {
		err = b.Call(ctx, "Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]any{"name": "prefers-color-scheme", "value": scheme}}}, nil)
	}
	if err != nil {
		return err
	}
	b.mu.Lock()
	b.events = nil
	b.mu.Unlock()
	var loaded struct{ ErrorText string }
	if err := b.Call(ctx, "Page.navigate", map[string]any{"url": url}, &loaded); err != nil {
		return err
	}
	if loaded.ErrorText != "" {
		return fmt.Errorf("open %s: %s", url, loaded.ErrorText)
	}
	const pause = 20 * time.Millisecond
	for !b.told("Page.loadEventFired") {
		select {
		case <-ctx.Done():
			return fmt.Errorf("open %s: %w", url, context.Cause(ctx))
		case <-time.After(pause):
		}
	}
	return nil
}

func (b *Browser) told(method string) bool {
	for _, e := range b.Events() {
		if e.Method == method {
			return true
		}
	}
	return false
}

// Events returns what the browser has told since the page was opened.
func (b *Browser) Events() []Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]Event(nil), b.events...)
}

// Eval evaluates JavaScript in the page and decodes its value.
func (b *Browser) Eval(ctx context.Context, expression string, value any) error {
	var r struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct{ Text string }
	}
	if err := b.Call(ctx, "Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true}, &r); err != nil {
		return err
	}
	if r.ExceptionDetails != nil {
		return fmt.Errorf("%s: %s", expression, r.ExceptionDetails.Text)
	}
	return json.Unmarshal(r.Result.Value, value)
}

// Screenshot returns the page as PNG; whole: also what one would scroll to.
func (b *Browser) Screenshot(ctx context.Context, whole bool) ([]byte, error) {
	params := map[string]any{"format": "png"}
	if whole {
		var size struct {
			CSSContentSize struct{ Width, Height float64 }
		}
		if err := b.Call(ctx, "Page.getLayoutMetrics", nil, &size); err != nil {
			return nil, err
		}
		params["captureBeyondViewport"] = true
		params["clip"] = map[string]any{"x": 0, "y": 0, "width": size.CSSContentSize.Width, "height": size.CSSContentSize.Height, "scale": 1}
	}
	var shot struct{ Data string }
	if err := b.Call(ctx, "Page.captureScreenshot", params, &shot); err != nil {
		return nil, err
	}
	return base64.StdEncoding.DecodeString(shot.Data)
}

// Print returns the page as PDF, as A4 paper has it.
func (b *Browser) Print(ctx context.Context) ([]byte, error) {
	var printed struct{ Data string }
	if err := b.Call(ctx, "Page.printToPDF", map[string]any{"paperWidth": 8.27, "paperHeight": 11.69, "preferCSSPageSize": true}, &printed); err != nil {
		return nil, err
	}
	return base64.StdEncoding.DecodeString(printed.Data)
}

// closePatience is how long chromium may take to end.
const closePatience = 10 * time.Second

// Close ends the browser and removes its files.
func (b *Browser) Close() error {
	b.session = ""
	ctx, cancel := context.WithTimeout(context.Background(), closePatience)
	defer cancel()
	_ = b.Call(ctx, "Browser.close", nil, nil)
	_ = b.to.Close()
	select {
	case <-b.ended:
	case <-ctx.Done():
	}
	_ = b.cmd.Process.Kill()
	_ = b.cmd.Wait()
	return os.RemoveAll(b.home)
}

func lastLines(text string) string {
	const most = 600
	return strings.TrimSpace(text[max(0, len(text)-most):])
}
