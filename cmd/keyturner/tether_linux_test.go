package main

import (
	"os/exec"
	"syscall"
)

// tether has a program die with the test, however that dies.
func tether(program *exec.Cmd) {
	program.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
