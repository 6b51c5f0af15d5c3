package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// locked is a buffer that several goroutines write to.
type locked struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// Bytes returns a copy of what has been written.
func (l *locked) Bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.buf.Bytes())
}

// replica is one place where the program runs, as one process after the other.
type replica struct {
	w    *world
	name string
	url  string // of its door

	mu      sync.Mutex
	program *exec.Cmd
	ended   chan struct{} // closed when the process has ended and been reaped
	killed  string        // where it was killed; empty: it was not
	began   time.Time
	kills   atomic.Int64
	calls   atomic.Int64 // made by this process
}

// start runs the program.
func (r *replica) start() {
	r.mu.Lock()
	defer r.mu.Unlock()
	args := []string{"run", "--config", r.w.configPath()}
	program := exec.Command(r.w.binary, args...)
	program.Env, program.Dir, program.Stderr, program.Stdout = r.w.environ(r.url), r.w.folder, &r.w.logs, &r.w.logs
	tether(program)
	if err := program.Start(); err != nil {
		r.w.fault("start the program: %v", err)
		return
	}
	ended := make(chan struct{})
	r.program, r.ended, r.killed, r.began = program, ended, "", time.Now()
	r.calls.Store(0)
	go func() {
		_ = program.Wait() // how it ended is in ProcessState
		close(ended)
	}()
}

// kill ends the process as a power cut does, and waits until nothing of it is left. It tells whether there was one to kill.
func (r *replica) kill(at string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.runs() {
		return false
	}
	r.killed = at
	r.kills.Add(1)
	fmt.Fprintf(&r.w.logs, "--- %s killed %s\n", r.name, at)
	if err := r.program.Process.Kill(); err != nil && r.runs() {
		r.w.fault("kill %s: %v", r.name, err)
	}
	<-r.ended
	return true
}

// runs tells whether the process lives, with r.mu held.
func (r *replica) runs() bool {
	if r.program == nil {
		return false
	}
	select {
	case <-r.ended:
		return false
	default:
		return true
	}
}

// stop asks the process to end, as a deployment does, and waits until it has.
func (r *replica) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.runs() {
		return
	}
	fmt.Fprintf(&r.w.logs, "--- %s is asked to stop\n", r.name)
	if err := r.program.Process.Signal(syscall.SIGTERM); err != nil && r.runs() {
		r.w.fault("stop %s: %v", r.name, err)
	}
	select {
	case <-r.ended:
		if code := r.program.ProcessState.ExitCode(); code != 0 && r.calls.Load() > 0 { // else it had hardly begun
			r.w.fault("%s was asked to stop and ended with %v", r.name, r.program.ProcessState)
		}
	case <-time.After(patience):
		r.w.fault("%s was asked to stop and has not for %v", r.name, patience)
		_ = r.program.Process.Kill() // it ends now, in whatever state
		<-r.ended
	}
	r.killed = "a clean stop"
}

// dump ends the process and has it say what it was at.
func (r *replica) dump() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.runs() && r.program.Process.Signal(syscall.SIGQUIT) == nil {
		<-r.ended
		r.killed = "to see what it was at"
	}
}

// gone waits until the process has ended, and tells where it was killed; false: ctx has ended.
func (r *replica) gone(ctx context.Context) (at string, ok bool) {
	r.mu.Lock()
	ended := r.ended
	r.mu.Unlock()
	select {
	case <-ended:
	case <-ctx.Done():
		return "", false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.killed == "" {
		r.w.fault("%s ended by itself: %v", r.name, r.program.ProcessState)
	}
	return r.killed, true
}
