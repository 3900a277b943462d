package main

import (
	"encoding/binary"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	discovery "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	core "k8s.io/client-go/listers/core/v1"
	endpoints "k8s.io/client-go/listers/discovery/v1"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	domain      = "svc.cluster.local"
	lifetime    = 2 // seconds
	largest     = 4096
	idleClients = 10 * time.Second
)

// serveNames answers for Services by UDP and TCP: addresses of SERVICE.NAMESPACE.svc.cluster.local,
// those of the pods of headless ones, and SRV records of their ports. It knows no other names.
func serveNames(arguments []string) error {
	config, err := clientcmd.BuildConfigFromFlags("", arguments[0])
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	names := &names{
		services:  factory.Core().V1().Services().Lister(),
		endpoints: factory.Discovery().V1().EndpointSlices().Lister(),
	}
	factory.Start(nil)
	factory.WaitForCacheSync(nil)
	listener, err := net.Listen("tcp", arguments[1])
	if err != nil {
		return err
	}
	go names.serveStreams(listener)
	packets, err := net.ListenPacket("udp", arguments[1])
	if err != nil {
		return err
	}
	for {
		query := make([]byte, largest)
		size, client, err := packets.ReadFrom(query)
		if err != nil {
			return err
		}
		go func() {
			if answer := names.answer(query[:size]); answer != nil {
				packets.WriteTo(answer, client)
			}
		}()
	}
}

type names struct {
	services  core.ServiceLister
	endpoints endpoints.EndpointSliceLister
}

func (n *names) serveStreams(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		go n.serveStream(client)
	}
}

func (n *names) serveStream(client net.Conn) {
	defer client.Close()
	for {
		client.SetDeadline(time.Now().Add(idleClients))
		var size uint16
		if binary.Read(client, binary.BigEndian, &size) != nil {
			return
		}
		query := make([]byte, size)
		if _, err := io.ReadFull(client, query); err != nil {
			return
		}
		answer := n.answer(query)
		if answer == nil {
			return
		}
		client.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
	}
}

// answer returns the answer to a query; nil if it is not one.
func (n *names) answer(query []byte) []byte {
	var asked dnsmessage.Message
	if asked.Unpack(query) != nil || len(asked.Questions) != 1 {
		return nil
	}
	question := asked.Questions[0]
	reply := dnsmessage.Message{
		Header: dnsmessage.Header{
			ID: asked.ID, Response: true, Authoritative: true,
			RecursionDesired: asked.RecursionDesired, RecursionAvailable: true,
		},
		Questions: asked.Questions,
	}
	found, known := n.find(strings.ToLower(question.Name.String()))
	if !known {
		reply.RCode = dnsmessage.RCodeNameError
	}
	header := dnsmessage.ResourceHeader{
		Name: question.Name, Type: question.Type, Class: question.Class, TTL: lifetime,
	}
	for _, body := range found.bodies(question.Type) {
		reply.Answers = append(reply.Answers, dnsmessage.Resource{Header: header, Body: body})
	}
	packed, err := reply.Pack()
	if err != nil {
		return nil
	}
	return packed
}

// What is known of a name.
type known struct {
	addresses []string
	ports     []uint16 // of an SRV name
	host      string   // that an SRV record refers to
}

func (k known) bodies(kind dnsmessage.Type) []dnsmessage.ResourceBody {
	var found []dnsmessage.ResourceBody
	for _, each := range k.addresses {
		if address := net.ParseIP(each).To4(); address != nil && kind == dnsmessage.TypeA {
			found = append(found, &dnsmessage.AResource{A: [4]byte(address)})
		}
	}
	for _, port := range k.ports {
		if host, err := dnsmessage.NewName(k.host); err == nil && kind == dnsmessage.TypeSRV {
			found = append(found, &dnsmessage.SRVResource{Weight: 1, Port: port, Target: host})
		}
	}
	return found
}

// find looks a name up: SERVICE.NAMESPACE, POD.SERVICE.NAMESPACE or _PORT._PROTOCOL.SERVICE.NAMESPACE.
func (n *names) find(name string) (known, bool) {
	rest, ours := strings.CutSuffix(name, "."+domain+".")
	parts := strings.Split(rest, ".")
	if !ours || len(parts) < 2 || len(parts) > 4 {
		return known{}, strings.HasSuffix(domain+".", name)
	}
	namespace, service, more := parts[len(parts)-1], parts[len(parts)-2], parts[:len(parts)-2]
	found, err := n.services.Services(namespace).Get(service)
	if err != nil {
		return known{}, false
	}
	if len(more) == 2 {
		result := known{host: service + "." + namespace + "." + domain + "."}
		for _, port := range found.Spec.Ports {
			named := "_" + port.Name + "._" + strings.ToLower(string(port.Protocol))
			if named == strings.Join(more, ".") {
				result.ports = append(result.ports, uint16(port.Port))
			}
		}
		return result, len(result.ports) > 0
	}
	if found.Spec.ClusterIP != "None" {
		return known{addresses: found.Spec.ClusterIPs}, len(more) == 0
	}
	addresses := n.pods(namespace, service, more, found.Spec.PublishNotReadyAddresses)
	return known{addresses: addresses}, len(more) == 0 || len(addresses) > 0
}

// pods returns the addresses of the pods of a headless Service, or of the one with a host name.
func (n *names) pods(namespace, service string, host []string, all bool) []string {
	of := labels.SelectorFromSet(labels.Set{discovery.LabelServiceName: service})
	slicesFound, _ := n.endpoints.EndpointSlices(namespace).List(of)
	var found []string
	for _, slice := range slicesFound {
		for _, each := range slice.Endpoints {
			ready := all || each.Conditions.Ready == nil || *each.Conditions.Ready
			named := len(host) == 0 || each.Hostname != nil && slices.Contains(host, *each.Hostname)
			if ready && named {
				found = append(found, each.Addresses...)
			}
		}
	}
	return found
}
