package enrich

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mirrorscope/internal/golden"
	"mirrorscope/internal/needs"
)

// meanings tells of each key what it is, and who gives it.
var meanings = [][3]string{
	{KeyService, "what the address does for others", "the first tag of `tags.service` that there is: see [below](#service)"},
	{KeyEnv, "environment", "the tag `env`, `environment`, `stage` or `tags.datadoghq.com/env`"},
	{KeyTeam, "who looks after it", "the tag `team` or `owner`"},
	{KeyInstance, "the machine's name, or its id where it has none", "cloud"},
	{KeyHost, "the machine's id in a cloud; the node's name in a cluster", "cloud, Kubernetes"},
	{KeyGroup, "what made the machine: Auto Scaling group, managed instance group, scale set", "cloud"},
	{KeyZone, "availability zone", "cloud"},
	{KeyRegion, "region", "cloud"},
	{KeyAccount, "account, project or subscription", "cloud"},
	{KeyVPC, "the virtual network's name, or its id", "cloud"},
	{KeySubnet, "the subnet's name, or its id", "cloud"},
	{KeySecurityGroup, "names of the security groups; several values", "cloud"},
	{KeyKind, "what the address belongs to: `instance`, `nat_gateway`, `load_balancer`, `database`, `pod`, …", "cloud, Kubernetes"},
	{KeyManaged, "what a managed service is called, as a load balancer", "cloud"},
	{KeyCluster, "Kubernetes cluster", "Kubernetes; cloud, of nodes"},
	{KeyNamespace, "Kubernetes namespace", "Kubernetes"},
	{KeyPod, "name of the pod", "Kubernetes"},
	{KeyWorkload, "what made the pod: the Deployment, StatefulSet, Job …", "Kubernetes"},
	{KeyKubeService, "Services that have the address, or send to the pod; several values", "Kubernetes"},
	{KeyDomain, "name by which the other side knew it: of a server what the client asked for (SNI), else what [DNS](../explanation/measured/dns.md#names-of-addresses) answered", "the record"},
	{KeyIP, "address", "the record"},
	{KeyPort, "port", "the record"},
	{KeyNetwork, "network of the record: see [below](#network)", "the record"},
	{KeyObservationPoint, "name of the observation point", "the record"},
	{KeyTLSVersion, "version of TLS that both sides agreed on", "the record"},
	{KeySNI, "server name that the client asked for", "the record"},
}

const page = `<!-- Generated from the code by go test ./enrich -update. -->

# Tags

Where [names are configured](../how-to/name-things.md), each end of a record has tags. In JSON they are ` + "`client_tags` and `server_tags`" + `, objects with a string for
each key, or an array where there are several; an end of which nothing is known has none. CSV has four columns more, at the end of each line:
` + "`client_service`, `server_service`" + ` (` + "`%s`" + ` where it is not known), ` + "`client_tags` and `server_tags`" + ` (` + "`key=value;key=value`" + `). The tables call an address by its service
and its pod, instance or host: ` + "`orders (web-1):8080`" + `.

## Keys

| key | meaning | from |
|---|---|---|
%s
All others are your own: those of static files, and those tags of clouds and labels of clusters that ` + "`tags.own_tags`, `tags.keys` or `tags.service`" + ` name. Those that
the record has by itself are known where records are grouped, and are not repeated among the tags.

A key has at most %d octets, without spaces, commas, semicolons, quotes and equals signs; a value at most %d octets; an end has at most %d tags.

## Who wins

For each key alone the first of these that has it:

| rank | source | which entry counts |
|---|---|---|
| 1 | static files, entries with ` + "`override = true`" + ` | each key from the longest prefix that has it; ports before addresses |
| 2 | Kubernetes | the longest prefix |
| 3 | clouds | the longest prefix: an interface's address before a prefix that is delegated to another |
| 4 | static files | as of rank 1 |
| 5 | names of DNS and TLS | |
| 6 | well-known ports | |

Of two sources of one rank, the first by name.

## As of when

A connection has the tags of the time at which it began, an interval those of the time at which the interval began. Of each address it is remembered which tags it had from
when to when:

- What is there at the first look holds since it was attached to its interface, if the cloud tells, else since ever.
- What is new at a later look holds since it was attached, else from that look on.
- A tag that has changed is another one from the look on that saw it. An address that somebody else has now, is his since he got it.
- What is missing has ended at the look that missed it. From then on nobody has the address, until somebody gets it.

` + "`tags.max_versions` and `tags.max_history`" + ` bound what is remembered. The history of inventories is kept on disk; static files hold since the sensor has started, and what is
changed in them from the moment on at which that was read.

## Service

` + "`service`" + ` is the first of ` + "`tags.service`" + ` that an end has. By default:

%s
Where a cluster knows the address, its own tags are asked first, all of the list, since a pod is not called after the machine that it is on. A port names only a server. The list may name any key, as ` + "`%s`" + `, to take the group that made a machine. What has none of them is ` + "`%s`" + `
where a service is asked for, and has no tag.

A list without ` + "`port`" + ` leaves out the names of well-known ports:

| protocol | ports |
|---|---|
%s
These are the names of IANA's registry (RFC 6335), but for ports that everybody uses for something else than is registered.

## Network

Addresses are unique within a network only. The network of a record is

1. the name of the VNI, where ` + "`decode.networks`" + ` or ` + "`--network`" + ` gives it one,
2. else the network (VPC) of the interface that is mirrored: of the outer source of the first packet of the observation point, in the inventory or a static file. Where several
   networks have that address, the one that has the outer destination as well. An id with slashes has colons in their place,
3. else ` + "`default`" + `,

followed by the VNIs of further tunnels inside: ` + "`vpc-1/5001`" + ` is not ` + "`vpc-1`" + `. A network that becomes known while the sensor runs is that of the packets from the next second on.

An address is looked up in the network of its record. Where no source knows the network, it is looked up in all of them, and taken if exactly one has it; else it has no
tags, and counts in ` + "`mirrorscope_names_ambiguous_total`" + `. With ` + "`tags.across_networks`" + ` that is so for an address, too, which a known network does not have. Public addresses, and
entries without a network, are in all networks.

## Limits

| limit | default | key |
|---|---|---|
| prefixes of one source at one time | %d | ` + "`tags.max_entries`" + ` |
| sets of tags of one address, past ones as well | %d | ` + "`tags.max_versions`" + ` |
| the same of all addresses of a source | %d | ` + "`tags.max_history`" + ` |

What is left out is counted: see ` + "`mirrorscope_names_dropped_total`" + ` in [Metrics](metrics.md#names).
`

// TestReference holds docs/reference/tags.md against the code; -update writes it.
func TestReference(t *testing.T) {
	c := DefaultConfig()
	var keys, order, ports strings.Builder
	told := map[string]bool{}
	for _, m := range meanings {
		told[m[0]] = true
		fmt.Fprintf(&keys, "| `%s` | %s | %s |\n", m[0], m[1], m[2])
	}
	for _, key := range slices.Concat(ownKeys, slices.Collect(maps.Keys(usualKeys))) {
		if !told[key] {
			t.Errorf("the page does not tell what %s is", key)
		}
	}
	for i, key := range c.Service {
		fmt.Fprintf(&order, "%d. `%s`\n", i+1, key)
	}
	for _, p := range []struct {
		name  string
		ports map[uint16]string
	}{{"tcp", tcpPorts}, {"udp", udpPorts}, {"sctp", sctpPorts}} {
		var list []string
		for _, port := range slices.Sorted(maps.Keys(p.ports)) {
			list = append(list, fmt.Sprintf("%d %s", port, p.ports[port]))
		}
		fmt.Fprintf(&ports, "| %s | %s |\n", p.name, strings.Join(list, ", "))
	}
	text := fmt.Sprintf(page, Unresolved, keys.String(), MaxKey, MaxValue, MaxTagsOf, order.String(), KeyGroup, Unresolved, ports.String(), c.Entries, c.Versions, c.Total)
	golden.Equal(t, filepath.Join(needs.Repository(t), "docs", "reference", "tags.md"), []byte(text))
}
