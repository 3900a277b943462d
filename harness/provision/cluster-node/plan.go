package main

import (
	"encoding/json"
	"os"
)

// What dapr-harness wants of a node. It writes this file, so that every setting has one home.
type plan struct {
	Home     string    `json:"home"`     // the node's folder, on a disk
	Hostname string    `json:"hostname"` // also the node's name in the cluster
	Address  string    `json:"address"`  // of the node, in its own network namespace
	Services string    `json:"services"` // the addresses of Services
	Group    string    `json:"group"`    // the cgroup of its pods
	Listen   string    `json:"listen"`   // where the machine's clients of the API server connect
	Server   string    `json:"server"`   // where the API server listens in the namespace
	Runtime  string    `json:"runtime"`  // the socket of the container runtime
	Import   []string  `json:"import"`   // the command that imports an image, which is appended
	Ready    []string  `json:"ready"`    // the URL that tells that the API server is ready, a token, a CA
	Images   []string  `json:"images"`   // archives
	Programs []program `json:"programs"`
}

type program struct {
	Name  string   `json:"name"`
	Argv  []string `json:"argv"`
	Log   string   `json:"log"`
	After []string `json:"after"` // any of "server", "images"
}

func readPlan(file string) (*plan, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	found := &plan{}
	return found, json.Unmarshal(text, found)
}
