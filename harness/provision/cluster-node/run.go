package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"sync/atomic"
	"syscall"
)

const namespaces = syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID |
	syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC

// run is the part of a node that stays in the namespaces of the machine: it starts the first
// process of the node's own and, when that has ended, removes the cgroups of its pods.
func run(arguments []string) error {
	plan, err := readPlan(arguments[0])
	if err != nil {
		return err
	}
	// The death signal of a child is sent when the thread ends that has started it.
	runtime.LockOSThread()
	stopping := make(chan os.Signal, 1)
	signal.Notify(stopping, syscall.SIGTERM, syscall.SIGINT)
	// A socket stays in the namespace in which it was made: the node accepts the connections of
	// this machine, and nothing has to be routed.
	listener, err := net.Listen("tcp", plan.Listen)
	if err != nil {
		return err
	}
	door, err := listener.(*net.TCPListener).File()
	if err != nil {
		return err
	}
	if err := makeGroups(plan.Group); err != nil {
		return err
	}
	defer removeGroups(plan.Group)
	line, err := startWatch(plan.Group)
	if err != nil {
		return err
	}
	defer line.Close()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	inner := exec.Command(self, "init", arguments[0])
	inner.Stdout, inner.Stderr, inner.ExtraFiles = os.Stdout, os.Stderr, []*os.File{door}
	inner.SysProcAttr = &syscall.SysProcAttr{Cloneflags: namespaces, Pdeathsig: syscall.SIGKILL}
	if err := inner.Start(); err != nil {
		return fmt.Errorf("no namespaces can be made: %w", err)
	}
	listener.Close()
	door.Close()
	var stopped atomic.Bool
	go func() {
		<-stopping
		stopped.Store(true)
		inner.Process.Kill() // the kernel kills everything in its PID namespace with it
	}()
	if err := inner.Wait(); err != nil && !stopped.Load() {
		return fmt.Errorf("the node has ended: %w", err)
	}
	return nil
}

// startWatch starts what removes the cgroups if this process is killed. It ends when the returned
// file is closed.
func startWatch(group string) (*os.File, error) {
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	watching := exec.Command(self, "watch", group)
	watching.Stdin = reader
	watching.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return writer, watching.Start()
}

// watch waits for the end of its standard input, whatever happens to its parent.
func watch(arguments []string) error {
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	os.Stdin.Read(make([]byte, 1))
	return removeGroups(arguments[0])
}

// clean removes the cgroups of a node that has ended.
func clean(arguments []string) error {
	return removeGroups(arguments[0])
}
