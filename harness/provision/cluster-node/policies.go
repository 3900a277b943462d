package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

const table = "dapr-harness-policies"

// enforce keeps rules of nftables that enforce the NetworkPolicies of all namespaces. Each pod has
// its own pair of interfaces, so everything between pods is forwarded by the node. What the node
// itself sends or receives is not: a policy never applies to a pod's own node.
func enforce(arguments []string) error {
	config, err := clientcmd.BuildConfigFromFlags("", arguments[0])
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	pods, namespaces := factory.Core().V1().Pods(), factory.Core().V1().Namespaces()
	policies := factory.Networking().V1().NetworkPolicies()
	changed := make(chan struct{}, 1)
	notify := func() {
		select {
		case changed <- struct{}{}:
		default: // it is known already
		}
	}
	for _, each := range []cache.SharedIndexInformer{pods.Informer(), namespaces.Informer(), policies.Informer()} {
		each.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { notify() },
			UpdateFunc: func(_, _ any) { notify() },
			DeleteFunc: func(any) { notify() },
		})
	}
	factory.Start(nil)
	factory.WaitForCacheSync(nil)
	last := ""
	for notify(); ; {
		<-changed
		found := &cluster{namespaces: map[string]labels.Set{}}
		listed, _ := namespaces.Lister().List(labels.Everything())
		for _, each := range listed {
			found.namespaces[each.Name] = each.Labels
		}
		found.pods, _ = pods.Lister().List(labels.Everything())
		found.policies, _ = policies.Lister().List(labels.Everything())
		if rules := found.rules(); rules != last {
			if err := load(rules); err != nil {
				return err
			}
			last = rules
		}
	}
}

// load replaces all rules at once.
func load(rules string) error {
	command := exec.Command("nft", "-f", "-")
	command.Stdin = strings.NewReader(rules)
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	if err := command.Run(); err != nil {
		return fmt.Errorf("nft refuses the rules: %w\n%s", err, rules)
	}
	return nil
}

// What the rules are made of.
type cluster struct {
	pods       []*core.Pod
	policies   []*networking.NetworkPolicy
	namespaces map[string]labels.Set
}

func (c *cluster) rules() string {
	var jumps, chains strings.Builder
	for _, pod := range c.pods {
		if !reachable(pod) {
			continue
		}
		name := strings.ReplaceAll(pod.Status.PodIP, ".", "-")
		if rules, isolated := c.outgoing(pod); isolated {
			fmt.Fprintf(&jumps, "  ip saddr %s jump out-%s\n", pod.Status.PodIP, name)
			chain(&chains, "out-"+name, rules)
		}
		if rules, isolated := c.incoming(pod); isolated {
			fmt.Fprintf(&jumps, "  ip daddr %s jump in-%s\n", pod.Status.PodIP, name)
			chain(&chains, "in-"+name, rules)
		}
	}
	return fmt.Sprintf(`table ip %[1]s
delete table ip %[1]s
table ip %[1]s {
%[2]s chain forward {
  type filter hook forward priority filter; policy accept;
  ct state established,related accept
%[3]s }
}
`, table, chains.String(), jumps.String())
}

func chain(to *strings.Builder, name string, rules []string) {
	fmt.Fprintf(to, " chain %s {\n", name)
	for _, rule := range rules {
		fmt.Fprintf(to, "  %s return\n", rule)
	}
	to.WriteString("  reject with icmp admin-prohibited\n }\n")
}

// reachable tells whether a pod has an address of its own, which no other pod can have now.
func reachable(pod *core.Pod) bool {
	over := pod.Status.Phase == core.PodSucceeded || pod.Status.Phase == core.PodFailed
	return pod.Status.PodIP != "" && !pod.Spec.HostNetwork && !over
}

func (c *cluster) outgoing(pod *core.Pod) (rules []string, isolated bool) {
	for _, policy := range c.selecting(pod, networking.PolicyTypeEgress) {
		isolated = true
		for _, rule := range policy.Spec.Egress {
			for _, peer := range c.peers(policy.Namespace, rule.To) {
				for _, port := range ports(rule.Ports, peer.pod) {
					rules = append(rules, peer.match("daddr")+port)
				}
			}
		}
	}
	return append(rules, "ip daddr "+pod.Status.PodIP), isolated
}

func (c *cluster) incoming(pod *core.Pod) (rules []string, isolated bool) {
	for _, policy := range c.selecting(pod, networking.PolicyTypeIngress) {
		isolated = true
		for _, rule := range policy.Spec.Ingress {
			for _, peer := range c.peers(policy.Namespace, rule.From) {
				for _, port := range ports(rule.Ports, pod) {
					rules = append(rules, peer.match("saddr")+port)
				}
			}
		}
	}
	return append(rules, "ip saddr "+pod.Status.PodIP), isolated
}

// selecting returns the policies of one type that apply to a pod.
func (c *cluster) selecting(pod *core.Pod, kind networking.PolicyType) []*networking.NetworkPolicy {
	var found []*networking.NetworkPolicy
	for _, policy := range c.policies {
		if policy.Namespace != pod.Namespace || !matches(&policy.Spec.PodSelector, pod.Labels) {
			continue
		}
		// The API server has filled the types in.
		for _, each := range policy.Spec.PolicyTypes {
			if each == kind {
				found = append(found, policy)
			}
		}
	}
	return found
}

// A peer is a pod, a range of addresses, or everybody.
type peer struct {
	pod   *core.Pod
	block *networking.IPBlock
}

func (p peer) match(side string) string {
	switch {
	case p.pod != nil:
		return fmt.Sprintf("ip %s %s", side, p.pod.Status.PodIP)
	case p.block == nil:
		return ""
	}
	text := fmt.Sprintf("ip %s %s", side, p.block.CIDR)
	if len(p.block.Except) > 0 {
		text += fmt.Sprintf(" ip %s != { %s }", side, strings.Join(p.block.Except, ", "))
	}
	return text
}

func (c *cluster) peers(namespace string, said []networking.NetworkPolicyPeer) []peer {
	if len(said) == 0 {
		return []peer{{}}
	}
	var found []peer
	for _, each := range said {
		if each.IPBlock != nil {
			if address, _, err := net.ParseCIDR(each.IPBlock.CIDR); err == nil && address.To4() != nil {
				found = append(found, peer{block: each.IPBlock})
			}
			continue
		}
		for _, pod := range c.pods {
			within := pod.Namespace == namespace
			if each.NamespaceSelector != nil {
				within = matches(each.NamespaceSelector, c.namespaces[pod.Namespace])
			}
			if within && reachable(pod) && (each.PodSelector == nil || matches(each.PodSelector, pod.Labels)) {
				found = append(found, peer{pod: pod})
			}
		}
	}
	return found
}

// ports returns what a rule says of ports, one alternative each; a named one is that of a pod.
func ports(said []networking.NetworkPolicyPort, pod *core.Pod) []string {
	if len(said) == 0 {
		return []string{""}
	}
	var found []string
	for _, each := range said {
		protocol := "tcp"
		if each.Protocol != nil {
			protocol = strings.ToLower(string(*each.Protocol))
		}
		switch {
		case each.Port == nil:
			found = append(found, " meta l4proto "+protocol)
		case each.EndPort != nil:
			found = append(found, fmt.Sprintf(" %s dport %d-%d", protocol, each.Port.IntVal, *each.EndPort))
		case each.Port.Type == intstr.Int:
			found = append(found, fmt.Sprintf(" %s dport %d", protocol, each.Port.IntVal))
		default:
			for _, number := range named(pod, each.Port.StrVal, protocol) {
				found = append(found, fmt.Sprintf(" %s dport %d", protocol, number))
			}
		}
	}
	return found
}

func named(pod *core.Pod, name, protocol string) []int32 {
	var found []int32
	if pod == nil {
		return found // only a pod has names for its ports
	}
	for _, container := range pod.Spec.Containers {
		for _, port := range container.Ports {
			if port.Name == name && strings.EqualFold(string(port.Protocol), protocol) {
				found = append(found, port.ContainerPort)
			}
		}
	}
	return found
}

func matches(selector *meta.LabelSelector, of labels.Set) bool {
	found, err := meta.LabelSelectorAsSelector(selector)
	return err == nil && found.Matches(of)
}
