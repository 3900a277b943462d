package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
)

const (
	// The listening socket that `run` has made in the namespace of the machine.
	door = 3
	soon = 50 * time.Millisecond
)

// kubelet sets these for the whole machine. It finds them as it wants them, in files that cover
// them in this mount namespace only.
var covered = map[string]string{
	"vm/overcommit_memory": "1",
	"kernel/panic":         "10",
	"kernel/panic_on_oops": "1",
}

// initialize is the first process of a node's namespaces: it prepares them, starts the node's
// programs, and ends when one of these has ended, and everything with it.
func initialize(arguments []string) error {
	wanted, err := readPlan(arguments[0])
	if err != nil {
		return err
	}
	for _, prepare := range []func(*plan) error{mountAll, connect} {
		if err := prepare(wanted); err != nil {
			return err
		}
	}
	listener, err := net.FileListener(os.NewFile(door, "door"))
	if err != nil {
		return err
	}
	go forward(listener, wanted.Server)
	children := newChildren()
	server, images := make(chan struct{}), make(chan struct{})
	go awaitServer(wanted.Ready, server)
	go importImages(wanted, children, images)
	done := map[string]chan struct{}{"server": server, "images": images}
	for _, each := range wanted.Programs {
		go func() {
			for _, name := range each.After {
				<-done[name]
			}
			children.program(each)
		}()
	}
	return <-children.failed
}

func mountAll(plan *plan) error {
	if err := syscall.Sethostname([]byte(plan.Hostname)); err != nil {
		return err
	}
	mount := func(source, target, kind string, flags uintptr) error {
		if err := syscall.Mount(source, target, kind, flags, ""); err != nil {
			return fmt.Errorf("%s cannot be mounted at %s: %w", kind+source, target, err)
		}
		return nil
	}
	// First private, so that nothing reaches the machine; then shared, for mounts of pods.
	for _, flags := range []uintptr{syscall.MS_PRIVATE, syscall.MS_SHARED} {
		if err := mount("", "/", "", syscall.MS_REC|flags); err != nil {
			return err
		}
	}
	if err := mount("proc", "/proc", "proc", 0); err != nil {
		return err
	}
	// What has a fixed path must be this node's own.
	for _, path := range []string{"/run", "/var/lib", "/var/log"} {
		if err := mount("tmpfs", path, "tmpfs", 0); err != nil {
			return err
		}
	}
	state, volumes := "/var/lib/kubelet", filepath.Join(plan.Home, "kubelet")
	for _, path := range []string{"/run/lock", "/run/settings", state, volumes} {
		if err := os.MkdirAll(path, 0o755); err != nil {
			return err
		}
	}
	for name, value := range covered {
		file := filepath.Join("/run/settings", filepath.Base(name))
		if err := os.WriteFile(file, []byte(value+"\n"), 0o644); err != nil {
			return err
		}
		if err := mount(file, "/proc/sys/"+name, "", syscall.MS_BIND); err != nil {
			return err
		}
	}
	return mount(volumes, state, "", syscall.MS_BIND)
}

// connect gives the network namespace its address.
func connect(plan *plan) error {
	loopback, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(loopback); err != nil {
		return err
	}
	address := net.IPNet{IP: net.ParseIP(plan.Address), Mask: net.CIDRMask(32, 32)}
	if err := netlink.AddrAdd(loopback, &netlink.Addr{IPNet: &address}); err != nil {
		return err
	}
	_, services, err := net.ParseCIDR(plan.Services)
	if err != nil {
		return err
	}
	// Without any route, a connection of the node itself to a Service fails before its address is
	// translated.
	route := netlink.Route{LinkIndex: loopback.Attrs().Index, Dst: services, Src: address.IP}
	if err := netlink.RouteAdd(&route); err != nil {
		return err
	}
	return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644)
}

// forward passes each connection on to an address in the namespace.
func forward(listener net.Listener, to string) {
	for {
		outside, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer outside.Close()
			inside, err := net.Dial("tcp", to)
			if err != nil {
				return
			}
			defer inside.Close()
			go func() {
				io.Copy(inside, outside)
				inside.(*net.TCPConn).CloseWrite()
			}()
			io.Copy(outside, inside)
		}()
	}
}

func awaitServer(ready []string, done chan<- struct{}) {
	url, token, authority := ready[0], ready[1], ready[2]
	trusted := x509.NewCertPool()
	if text, err := os.ReadFile(authority); err == nil {
		trusted.AppendCertsFromPEM(text)
	}
	client := http.Client{
		Timeout:   time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted}},
	}
	request, _ := http.NewRequest(http.MethodGet, url, nil)
	request.Header.Set("Authorization", "Bearer "+token)
	for {
		answer, err := client.Do(request)
		if err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				client.CloseIdleConnections()
				close(done)
				return
			}
		}
		time.Sleep(soon)
	}
}

func importImages(plan *plan, children *children, done chan<- struct{}) {
	for {
		connection, err := net.Dial("unix", plan.Runtime)
		if err == nil {
			connection.Close()
			break
		}
		time.Sleep(soon)
	}
	for _, image := range plan.Images {
		log := filepath.Join(plan.Home, "import.log")
		if code := <-children.start(append(plan.Import, image), log); code != 0 {
			children.fail("the import of "+image, code, log)
			return
		}
	}
	close(done)
}
