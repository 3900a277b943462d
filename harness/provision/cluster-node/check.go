package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
)

// check finds out whether a node can run here: whether namespaces, cgroups and an overlay in a
// folder can be made. What it makes is gone when it ends.
func check(arguments []string) error {
	folder, group := arguments[0], arguments[1]
	defer removeGroups(group)
	if err := makeGroups(group); err != nil {
		return err
	}
	runtime.LockOSThread() // only this thread is in the namespaces
	if err := syscall.Unshare(namespaces); err != nil {
		return fmt.Errorf("no namespaces can be made: %w", err)
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("nothing can be mounted: %w", err)
	}
	return tryOverlay(folder)
}

func tryOverlay(folder string) error {
	made, err := os.MkdirTemp(folder, "overlay-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(made)
	options := ""
	for _, part := range []string{"lowerdir", "upperdir", "workdir", "merged"} {
		path := filepath.Join(made, part)
		if err := os.Mkdir(path, 0o700); err != nil {
			return err
		}
		if part != "merged" {
			options += "," + part + "=" + path
		}
	}
	merged := filepath.Join(made, "merged")
	if err := syscall.Mount("overlay", merged, "overlay", 0, options[1:]); err != nil {
		return fmt.Errorf("overlayfs cannot be mounted in %s: %w", folder, err)
	}
	return syscall.Unmount(merged, 0)
}
