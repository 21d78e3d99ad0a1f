package enrich

import "mirrorscope/packet"

// PortService names the service of a well-known port of a server, "" where it has
// none. It is the weakest of all hints: what listens there may be something else.
func PortService(proto uint8, port uint16) string {
	switch proto {
	case packet.ProtoTCP:
		return tcpPorts[port]
	case packet.ProtoUDP:
		return udpPorts[port]
	case packet.ProtoSCTP:
		return sctpPorts[port]
	}
	return ""
}

// The names are those of IANA's Service Name and Transport Protocol Port Number
// Registry (RFC 6335), for the ports that servers are commonly found at; where that
// has another name than everybody uses, or none, the comment says so.
var (
	tcpPorts = map[uint16]string{
		20: "ftp-data", 21: "ftp", 22: "ssh", 23: "telnet", 25: "smtp", 43: "whois", 49: "tacacs", 53: "dns", // IANA: domain
		70: "gopher", 79: "finger", 80: "http", 88: "kerberos", 110: "pop3", 111: "sunrpc", 113: "ident", 119: "nntp", 135: "epmap",
		139: "netbios-ssn", 143: "imap", 179: "bgp", 389: "ldap", 443: "https", 445: "microsoft-ds", 464: "kpasswd", 465: "submissions",
		514: "shell", 515: "printer", 543: "klogin", 548: "afpovertcp", 554: "rtsp", 563: "nntps", 587: "submission", 631: "ipp",
		636: "ldaps", 646: "ldp", 853: "dns-over-tls", // IANA: domain-s
		860: "iscsi", 873: "rsync", 989: "ftps-data", 990: "ftps", 993: "imaps", 995: "pop3s",
		1080: "socks", 1194: "openvpn", 1433: "ms-sql-s", 1521: "oracle", // IANA: ncube-lm
		1720: "h323hostcall", 1723: "pptp", 1883: "mqtt", 2049: "nfs", 2181: "zookeeper", // IANA: eforward
		2375: "docker", 2376: "docker-s", 2377: "swarm", 2379: "etcd-client", 2380: "etcd-server", 3260: "iscsi-target",
		3268: "msft-gc", 3269: "msft-gc-ssl", 3306: "mysql", 3389: "ms-wbt-server", 4222: "nats", // not registered
		4369: "epmd", 5060: "sip", 5061: "sips", 5222: "xmpp-client", 5269: "xmpp-server", 5432: "postgresql", 5671: "amqps", 5672: "amqp",
		5900: "rfb", 5984: "couchdb", 5985: "wsman", 5986: "wsmans", 6000: "x11", 6379: "redis", 6443: "kubernetes-apiserver", // IANA: sun-sr-https
		6514: "syslog-tls",
		6667: "ircu", 6697: "ircs-u", 8080: "http-alt", 8125: "statsd", // not registered
		8140: "puppet", 8443: "pcsync-https", 8500: "consul", // IANA: fmtp
		8883: "secure-mqtt", 9042: "cassandra", // not registered
		9092:  "kafka",                       // IANA: XmlIpcRegSvc
		9200:  "elasticsearch",               // IANA: wap-wsp
		10250: "kubelet",                     // not registered
		11211: "memcache", 15672: "rabbitmq", // not registered
		27017: "mongodb",
	}
	udpPorts = map[uint16]string{
		53: "dns", 67: "bootps", 68: "bootpc", 69: "tftp", 88: "kerberos", 111: "sunrpc", 123: "ntp", 137: "netbios-ns", 138: "netbios-dgm",
		161: "snmp", 162: "snmptrap", 389: "ldap", 443: "https", 464: "kpasswd", 500: "isakmp", 514: "syslog", 520: "router", 546: "dhcpv6-client",
		547: "dhcpv6-server", 623: "asf-rmcp", 646: "ldp", 853: "dns-over-quic", // IANA: domain-s
		1194: "openvpn", 1434: "ms-sql-m", 1701: "l2tp", 1812: "radius", 1813: "radius-acct", 1900: "ssdp",
		2049: "nfs", 2055: "netflow", // IANA: iop
		2152: "gtp-user", 2123: "gtp-control", 3478: "stun", 3784: "bfd-control", 4500: "ipsec-nat-t", 4739: "ipfix", 4789: "vxlan",
		5060: "sip", 5349: "stuns", 5353: "mdns", 5355: "llmnr", 6081: "geneve", 6343: "sflow", 8125: "statsd", // not registered
		8472: "otv", 11211: "memcache", 51820: "wireguard", // not registered
	}
	sctpPorts = map[uint16]string{
		2905: "m3ua", 3868: "diameter", 5060: "sip", 36412: "s1-control", 36422: "x2-control", 38412: "ng-control", 38422: "xn-control",
	}
)
