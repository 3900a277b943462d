package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	groupsRoot = "/sys/fs/cgroup"
	// The longest time in which the groups of processes that have ended become removable.
	removable = 10 * time.Second
)

// hierarchies returns the folders in which groups can be made: one with cgroups of version 2.
func hierarchies() ([]string, error) {
	if exists(filepath.Join(groupsRoot, "cgroup.controllers")) {
		return []string{groupsRoot}, nil
	}
	entries, err := os.ReadDir(groupsRoot)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, entry := range entries {
		// cpu and cpuacct may be links to one hierarchy.
		folder, err := filepath.EvalSymlinks(filepath.Join(groupsRoot, entry.Name()))
		known := slices.Contains(found, folder)
		if err != nil || known || !exists(filepath.Join(folder, "cgroup.procs")) {
			continue
		}
		found = append(found, folder)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("no cgroups are mounted at %s", groupsRoot)
	}
	return found, nil
}

func makeGroups(name string) error {
	folders, err := hierarchies()
	if err != nil {
		return err
	}
	for _, folder := range folders {
		group := filepath.Join(folder, name)
		if err := os.Mkdir(group, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("no cgroup can be made: %w", err)
		}
		// Of version 1, one begins without processors, and cannot be used.
		for _, setting := range []string{"cpuset.cpus", "cpuset.mems"} {
			value, err := os.ReadFile(filepath.Join(folder, setting))
			if err != nil || folder == groupsRoot {
				continue
			}
			if err := os.WriteFile(filepath.Join(group, setting), value, 0o644); err != nil {
				return err
			}
		}
	}
	if folders[0] == groupsRoot {
		return delegate(filepath.Join(groupsRoot, name))
	}
	return nil
}

// delegate checks that a group of version 2 has the controllers that kubelet needs.
func delegate(group string) error {
	text, err := os.ReadFile(filepath.Join(group, "cgroup.controllers"))
	if err != nil {
		return err
	}
	for _, needed := range []string{"cpu", "cpuset", "memory", "pids"} {
		if !slices.Contains(strings.Fields(string(text)), needed) {
			return fmt.Errorf("%s/cgroup.subtree_control lacks the controller %s", groupsRoot, needed)
		}
	}
	return nil
}

func removeGroups(name string) error {
	folders, err := hierarchies()
	if err != nil {
		return err
	}
	deadline := time.Now().Add(removable)
	for _, folder := range folders {
		for {
			err := removeGroup(filepath.Join(folder, name))
			if err == nil {
				break
			}
			if time.Now().After(deadline) {
				return err
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	return nil
}

// removeGroup removes a group and those in it. Its files cannot be removed, only the folder.
func removeGroup(group string) error {
	entries, err := os.ReadDir(group)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, entry := range entries {
		if entry.IsDir() {
			if err := removeGroup(filepath.Join(group, entry.Name())); err != nil {
				return err
			}
		}
	}
	if err := syscall.Rmdir(group); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the cgroup %s cannot be removed: %w", group, err)
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
