package main

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
)

// The last lines of a log that are told.
const told = 12

// children are the processes of a node. Its first process must collect every process that has
// ended, also those that it did not start.
type children struct {
	mutex  sync.Mutex
	codes  map[int]chan int
	begun  chan struct{}
	failed chan error
}

func newChildren() *children {
	made := &children{codes: map[int]chan int{}, begun: make(chan struct{}, 1), failed: make(chan error, 1)}
	go made.collect()
	return made
}

// start starts a process, and returns where its exit code will be.
func (c *children) start(argv []string, log string) <-chan int {
	code := make(chan int, 1)
	output, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		code <- 127
		return code
	}
	defer output.Close()
	c.mutex.Lock()
	defer c.mutex.Unlock()
	files := []uintptr{0, output.Fd(), output.Fd()}
	process, err := syscall.ForkExec(argv[0], argv, &syscall.ProcAttr{
		Env: os.Environ(), Files: files, Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		fmt.Fprintf(output, "%s: %v\n", argv[0], err)
		code <- 127
		return code
	}
	c.codes[process] = code
	select {
	case c.begun <- struct{}{}:
	default:
	}
	return code
}

// program runs one of the node's programs, none of which may end.
func (c *children) program(each program) {
	fmt.Println("starting", each.Name)
	c.fail(each.Name, <-c.start(each.Argv, each.Log), each.Log)
}

func (c *children) fail(what string, code int, log string) {
	text, _ := os.ReadFile(log)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	last := strings.Join(lines[max(0, len(lines)-told):], "\n")
	select {
	case c.failed <- fmt.Errorf("%s\n%s ended with code %d", last, what, code):
	default: // another one was first
	}
}

func (c *children) collect() {
	for {
		var status syscall.WaitStatus
		process, err := syscall.Wait4(-1, &status, 0, nil)
		if err == syscall.ECHILD {
			<-c.begun
			continue
		}
		if err != nil {
			continue
		}
		c.mutex.Lock()
		if code, ours := c.codes[process]; ours {
			delete(c.codes, process)
			code <- exitCode(status)
		}
		c.mutex.Unlock()
	}
}

func exitCode(status syscall.WaitStatus) int {
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}
