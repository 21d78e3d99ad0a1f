package truth

// analysisCase is one sender of one stream for which another tool and the
// sensor tell different figures, looked at packet by packet.
type analysisCase struct {
	*reason
	tool, file, stream string
	sender             string
	figures            string // each "name theirs/ours", as tsharkFigures and tcptraceFigures name them
	packets            string // numbers in the file of those that are judged differently
}

// reason tells who is right, and by which rule. Several cases share one.
type reason struct {
	verdict verdict
	title   string
	why     string
}

// Reasons that tell who is right, by the rule that the sensor goes by.
var (
	filledLater = reason{truthErrs, "A hole that closes, or that nobody acknowledged",
		"tshark tells of a hole at the packet behind it and does not take that back. Missed are octets that were acknowledged and are still not " +
			"recorded half a second later. Here each hole was filled, out of order or by a retransmission, or was not acknowledged before the " +
			"capture ended: then the packet may have been lost before the observation point, and the capture missed nothing."}
	missedUnannounced = reason{truthErrs, "Missed, and no packet behind the hole tells so",
		"The receiver has octets that were never recorded: 1348 between what its SYN-ACK acknowledges and the first data packet (172.28.50.86), or a SACK block " +
			"above everything that was recorded (90.84.59.104). tshark looks at holes between data packets and at cumulative acknowledgments."}
	goesOn = reason{truthErrs, "A packet that repeats and goes on",
		"Packet 262 repeats [180336, 180601) and carries [180601, 181736) for the first time. To tshark it is a retransmission and moves nothing, so " +
			"that the acknowledgment of 181736 acknowledges what it has not seen."}
	keepAliveFirst = reason{truthErrs, "The capture begins with a keep-alive",
		"The first packet of the direction is empty and numbered one before the next octet; the answer acknowledges that octet and echoes a timestamp of minutes before. " +
			"That is a keep-alive and its answer; the octet was sent before the capture began, and nothing was missed."}
	keepAliveMidstream = reason{truthErrs, "Keep-alives in mid-stream",
		"Empty, one octet before what the receiver has acknowledged, every 30 s, with nothing outstanding: keep-alives. tshark knows the next number only from " +
			"the sender's own packets, which are all keep-alives here, and calls them duplicate acknowledgments."}
	notKeepAlive = reason{truthErrs, "One octet that was never acknowledged",
		"The octet of packet 877 comes again after 0.5, 1, 2, 4 and 8 s, later together with the FIN, and was never acknowledged: its timer runs. " +
			"A keep-alive is sent when nothing is outstanding. tshark goes by the number and the length alone."}
	afterSignal = reason{truthErrs, "Sent again soon behind new data",
		"tshark calls out of order what comes below the highest number within the initial round trip of it, or within 3 ms where that is unknown. These octets were " +
			"recorded before, or their hole had been reported by duplicate acknowledgments or SACK for longer than the sender's half of the path, and where " +
			"the host counts its IP ids up they come after those of all packets before. They were sent again."}
	recut = reason{truthErrs, "Sent again in smaller pieces",
		"Packets 378 and 379 (1460 octets each) are repeated as 1440 + 20 + 1440 + 20 with the next IP ids, as a host does after it was told of a smaller MTU. " +
			"All octets were recorded before, so nothing can be out of order."}
	sentEarlier = reason{truthErrs, "Late, but sent earlier",
		"The timestamp, or the IP id where the timestamps are equal, is older than that of the packet that opened the hole: it left the host before that and was overtaken. " +
			"tshark looks at neither: it goes by the time, and calls retransmission what ends where the stream does."}
	laterProof = reason{truthErrs, "Needless, as the receiver has told or tells later",
		"A DSACK covers the repeat, or the acknowledgment echoes a timestamp from before it (Eifel): the original had arrived. So it had when a SYN comes again behind " +
			"the SYN-ACK. tshark calls spurious only data that lies below the acknowledgment when it is recorded."}
	fastBySACK = reason{truthErrs, "Fast, by what the sender had heard",
		"tshark wants two duplicate acknowledgments, the last at most 20 ms before, and the very octet that they name; and what it calls out of order cannot be fast. " +
			"A sender on a longer path reacts later, and with SACK a single block above the hole for a quarter of a round trip is enough (RACK, RFC 8985)."}
	finEachTime = reason{truthErrs, "A FIN that goes along",
		"The server has sent its FIN and acknowledges data, each time with a packet that carries the FIN again. It is counted as a repeated FIN; no loss was " +
			"signalled, so it is not fast."}
	sameID = reason{either, "A copy with the same IP id, soon",
		"Packet 25 equals packet 20 in everything but its time, 180 ms later: to the sensor a copy that the network made. The host's later repeats keep the IP id too " +
			"and come after its timer; this one may be one of them."}
	madeCopy = reason{either, "A copy made by hand",
		"The SYN comes again after 100 ms with the same IP id, timestamp and checksum. A host gives a repeat a new id or at least a new timestamp, and its first timer is " +
			"1 s: a copy that the network made. The capture's author means a retransmission."}
	vlanCopies = reason{either, "Copies in three VLANs",
		"One connection recorded in three VLANs, 50 ms apart. They are copies unless --vlan-in-key is given, and then three connections without a retransmission."}
	threeNetworks = reason{truthErrs, "Three networks with the same addresses",
		"Three tunnels (VNIs) carry three connections with one 5-tuple, packet by packet. Each is without a retransmission. tshark has one stream of all."}
	prefixDiffers = reason{truthErrs, "One SYN, logged three times",
		"Three netfilter hooks logged one SYN (IP id 0xe8ef). The log prefix differs, so the ground truth finds only one of two copies."}
	recordedBehindACK = reason{truthErrs, "Recorded behind its own acknowledgment",
		"Packet 8 lies behind packet 6, which acknowledges it, and has the earlier time: the capture's order is not that of the packets. It is the first " +
			"sending, not missed, not repeated."}
	beyondWindow = reason{truthErrs, "An acknowledgment of what nobody can have sent",
		"Made by hand: 1 ms after the SYN-ACK the client, whose window is 8192 octets, acknowledges 993998, 123448788 and 499999 octets behind it. tshark takes the " +
			"acknowledgment at its word. To the sensor, one further ahead than four windows (at least 256 KiB) tells of missed octets only when the next says so, too; none does."}
	rewrittenNumbers = reason{either, "A firewall that rewrites numbers",
		"Recorded on both sides of a firewall that gives the server other sequence numbers: every packet of the server is there twice, in two number spaces. " +
			"Neither tool can count such a stream; in truth nothing was repeated and nothing missed. The sensor follows the space of the SYN-ACK that answers the recorded SYN; tshark " +
			"takes the acknowledgments of the other space at their word, and what they acknowledge for missed packets."}
	simultaneousOpen = reason{truthErrs, "The second step of a split handshake",
		"The SYN-ACK has the number of its host's own SYN because both hosts have sent a SYN (RFC 9293 section 3.5). Nothing was lost."}
	refusedTwice = reason{either, "Refused, and tried again",
		"The SYN was refused by a reset and comes again 2.9 s later, and is refused again. To the sensor the first attempt has ended, and these are two connections " +
			"with one SYN each."}
	behindReset = reason{truthErrs, "Data behind a reset",
		"Two resets with a TTL of 21, where the host's packets have 106, are numbered 1 and 12504; then the host's data comes, numbered 1. The number of a reset " +
			"occupies nothing: the data is in order."}
	windowOfFIN = reason{truthErrs, "A FIN that offers no window",
		"The server's last packets have window 0 and carry a FIN; tshark leaves out packets with SYN, FIN or RST. Only a SYN's and a reset's window mean nothing."}
	closedWindow = reason{truthErrs, "Data outstanding and no window",
		"The receiver offers window 0 while data is outstanding: everything that it offers is filled. tshark tells it as zero window only."}
	fuzzedNumbers = reason{either, "Fuzzed",
		"Sequence and acknowledgment numbers were overwritten at random. There is no truth to agree on."}
	handMade = reason{either, "Made by hand",
		"Packets with numbers that contradict each other, made to test tools: a SYN-ACK and acknowledgments of other connections' numbers, SYN with RST. What does not fit " +
			"the connection is a stray to the sensor and a hole or a repeat to the other tool."}

	bareACKAhead = reason{truthErrs, "A bare acknowledgment ahead of its data",
		"An acknowledgment without data is numbered behind octets that come after it, with an older timestamp or IP id: they were overtaken. tcptrace looks at data only."}
	closedToTcptrace = reason{truthErrs, "Cisco metadata headers",
		"tcptrace does not know the header with which this direction is encapsulated and has seen none of its packets."}
	fragmentHeader = reason{truthErrs, "IPv6 fragment headers",
		"Each packet has a fragment header (atomic fragments). tcptrace takes its 8 octets for payload: every acknowledgment repeats 8 octets."}
	holesForgotten = reason{truthErrs, "Originals that tcptrace does not remember",
		"In zeek-206 the window was closed when the originals passed (168-211 and 1049 onwards): tcptrace calls all of them probes and forgets their octets, so that the repeats " +
			"are new or out of order to it. In zeek-reassembly the originals of some repeats were lost before the tap: it counts only octets that it has seen, and calls " +
			"three fillers of holes out of order that come more than a second later."}
	nearlyAllMissed = reason{known, "More than 4 GB, nearly all missed",
		"A dozen packets are left of a transfer in which the numbers wrap twice. Each lies further ahead than a window, and is taken for " +
			"the sender's only when the next packet or its ACK says so; some have been acknowledged by then. The state is `ambiguous`, `capture_loss`."}

	arkimeCopies = reason{truthErrs, "Copies counted as packets",
		"The mirror delivered every packet up to four times, 81 copies in all. Arkime counts them."}
	otherConnection = reason{either, "Two connections of one 5-tuple",
		"Arkime keeps one session and counts from the first SYN to the acknowledgment of the second connection. The sensor counts two connections, and " +
			"a straggler of the older (packet 12) in neither."}
	otherNumber = reason{either, "An acknowledgment of another number",
		"Made by hand: the acknowledgment is not of the SYN-ACK's number (or comes in a SYN-ACK of the client), so to the sensor it ends no handshake. Arkime " +
			"takes the first acknowledgment whatever its number; packet 21 is a stray to the sensor."}
	handRepeat = reason{either, "A repeat made by hand",
		"The packet comes again after 1 ms, half of the round trip, identical in every octet and without an identification that counts up: " +
			"a repeat to the sensor; the truth has taken it out as a copy."}
	identical = reason{either, "Copies made by hand",
		"The packet comes again after 1 ms, identical in every octet: a mirror copy to the sensor, a packet to Arkime."}
)

// analysisCases lists all.
var analysisCases = []analysisCase{
	{&missedUnannounced, "tshark", "encap/deepflow-decapsulate_erspan1.pcap", "172.28.50.86 9765 — 172.28.161.34 8030", "172.28.50.86 9765", "missed 0/1", "812"},
	{&missedUnannounced, "tshark", "tcp/mercury-capture2.pcap", "90.84.59.104 80 — 192.168.1.101 56638", "90.84.59.104 80", "missed 0/1", "3630"},

	{&filledLater, "tshark", "encap/deepflow-decapsulate_erspan1.pcap", "172.28.50.117 46010 — 172.28.161.207 8030", "172.28.50.117 46010", "missed 1/0", "581"},
	{&filledLater, "tshark", "encap/deepflow-decapsulate_erspan1.pcap", "172.28.50.46 46114 — 172.28.161.207 8030", "172.28.50.46 46114", "missed 1/0", "337"},
	{&filledLater, "tshark", "encap/deepflow-decapsulate_erspan1.pcap", "172.28.50.61 46257 — 172.28.165.73 8030", "172.28.50.61 46257", "missed 1/0", "145"},
	{&filledLater, "tshark", "encap/deepflow-decapsulate_erspan1.pcap", "172.28.50.69 12088 — 172.28.164.61 8030", "172.28.50.69 12088", "missed 1/0", "34"},
	{&filledLater, "tshark", "encap/deepflow-decapsulate_erspan1.pcap", "172.28.50.83 22586 — 172.28.161.31 8030", "172.28.50.83 22586", "missed 1/0", "622"},
	{&filledLater, "tshark", "encap/deepflow-decapsulate_erspan1.pcap", "172.28.50.91 1081 — 222.77.251.116 18288", "172.28.50.91 1081", "missed 1/0", "25"},
	{&filledLater, "tshark", "encap/deepflow-decapsulate_erspan1.pcap", "172.28.50.92 18491 — 172.28.161.103 8030", "172.28.50.92 18491", "missed 1/0", "49"},
	{&filledLater, "tshark", "encap/deepflow-decapsulate_erspan1.pcap", "172.28.50.98 41256 — 172.28.161.182 8030", "172.28.161.182 8030", "missed 1/0", "440"},
	{&filledLater, "tshark", "encap/deepflow-decapsulate_erspan1.pcap", "27.191.1.160 24211 — 172.28.50.107 1081", "27.191.1.160 24211", "missed 1/0", "363"},
	{&filledLater, "tshark", "tcp/arkime-tcpseq_synthetic.pcap", "10.0.0.3 40002 — 10.0.0.4 8001", "10.0.0.3 40002", "missed 1/0", "13"},
	{&filledLater, "tshark", "tcp/arkime-tcpseq_synthetic.pcap", "10.0.0.9 40005 — 10.0.0.10 8004", "10.0.0.9 40005", "missed 1/0", "37"},
	{&filledLater, "tshark", "tcp/mercury-capture2.pcap", "173.194.35.53 443 — 192.168.1.101 56643", "173.194.35.53 443", "missed 1/0", "3536, 3832, 4280, 4834"},
	{&filledLater, "tshark", "tcp/mercury-capture2.pcap", "173.194.66.84 443 — 192.168.1.101 56651", "173.194.66.84 443", "missed 1/0", "3600"},
	{&filledLater, "tshark", "tcp/mercury-capture2.pcap", "192.168.1.101 56563 — 208.117.231.17 443",
		"208.117.231.17 443", "missed 1/0", "3412, 3510, 3838, 3944, 4066, 4296, 4322, 4546, 4814, 4878"},
	{&filledLater, "tshark", "tcp/mercury-capture2.pcap", "192.168.1.101 56564 — 208.117.231.17 443",
		"208.117.231.17 443", "missed 1/0", "3586, 3642, 3808, 3816, 4056, 4078, 4292, 4400, 4804"},
	{&filledLater, "tshark", "tcp/mercury-capture2.pcap", "192.168.1.2 2627 — 213.165.187.162 60229", "213.165.187.162 60229", "missed 1/0", "929"},
	{&filledLater, "tshark", "tcp/mercury-capture2.pcap", "31.13.80.33 443 — 192.168.1.101 56575", "31.13.80.33 443", "missed 1/0", "3886"},
	{&filledLater, "tshark", "tcp/mercury-capture2.pcap", "65.190.6.124 47452 — 192.168.1.2 2967", "65.190.6.124 47452", "missed 1/0", "1450"},
	{&filledLater, "tshark", "tcp/mercury-capture2.pcap", "69.205.247.140 9908 — 192.168.1.2 1630", "69.205.247.140 9908", "missed 1/0", "936"},
	{&filledLater, "tshark", "tls/zeek-hrr.pcap", "10.192.48.168 63564 — 64.233.185.139 443", "64.233.185.139 443", "missed 1/0", "9"},
	{&filledLater, "tshark", "tls/zeek-tls-13-amazon-rds.pcap", "79.107.90.25 3306 — 82.239.87.25 57902", "79.107.90.25 3306", "missed 1/0", "30"},
	{&filledLater, "tshark", "tls/zeek-tls13_psk_succesfull.pcap", "174.138.9.219 443 — 192.168.178.80 54220", "174.138.9.219 443", "missed 1/0", "18"},

	{&recut, "tshark", "encap/mercury-geneve.pcap", "10.3.30.122 63969 — 44.218.198.21 443", "44.218.198.21 443", "retransmissions 0/4, out of order 4/0", "382-385"},

	{&keepAliveFirst, "tshark", "encap/mercury-tls_sgt.pcap", "10.1.1.60 36530 — 64.100.1.197 443", "10.1.1.60 36530", "missed 1/0", "27"},
	{&keepAliveFirst, "tshark", "encap/mercury-tls_sgt.pcap", "10.1.1.60 42214 — 64.100.1.197 443", "10.1.1.60 42214", "missed 1/0", "134"},
	{&keepAliveFirst, "tshark", "encap/mercury-tls_sgt.pcap", "10.1.1.7 56648 — 64.100.1.197 443", "10.1.1.7 56648", "missed 1/0", "1045"},
	{&keepAliveFirst, "tshark", "encap/mercury-tls_sgt.pcap", "10.1.1.7 58908 — 64.100.1.197 443", "10.1.1.7 58908", "missed 1/0", "549"},
	{&keepAliveFirst, "tshark", "encap/mercury-tls_sgt.pcap", "10.1.1.78 55180 — 64.100.1.197 443", "10.1.1.78 55180", "missed 1/0", "690"},
	{&keepAliveFirst, "tshark", "encap/mercury-tls_sgt.pcap", "10.1.1.78 57358 — 64.100.1.197 443", "10.1.1.78 57358", "missed 1/0", "202, 2352, 2353"},

	{&keepAliveMidstream, "tshark", "encap/mercury-tls_sgt.pcap", "10.1.1.60 42214 — 64.100.1.197 443", "10.1.1.60 42214", "keep-alives 0/3", "797, 1573, 2315"},
	{&keepAliveMidstream, "tshark", "encap/mercury-tls_sgt.pcap", "10.1.1.7 58908 — 64.100.1.197 443", "10.1.1.7 58908", "keep-alives 0/2", "1257, 2031"},
	{&keepAliveMidstream, "tshark", "encap/mercury-tls_sgt.pcap", "10.1.1.78 57358 — 64.100.1.197 443", "10.1.1.78 57358", "keep-alives 0/3", "833, 1625, 2350"},

	{&recordedBehindACK, "tshark", "encap/zeek-ipv6-http-atomic-frag.pcap", "2001:db8:1::1 80 — 2001:db8:1::2 36951",
		"2001:db8:1::2 36951", "sum 1/0, retransmissions 1/0, spurious 1/0, missed 1/0", "6, 8"},

	{&laterProof, "tshark", "encap/zeek-pppoe-over-qinq.pcap", "1.1.1.1 20394 — 2.2.2.2 443", "1.1.1.1 20394", "spurious 3/5", "75, 77"},
	{&laterProof, "tshark", "tcp/mercury-capture2.pcap", "173.194.35.39 443 — 192.168.1.101 56655", "192.168.1.101 56655", "spurious 0/1", "3910"},
	{&laterProof, "tshark", "tcp/mercury-capture2.pcap", "173.194.35.44 443 — 192.168.1.101 56654", "192.168.1.101 56654", "spurious 0/1", "4410"},
	{&laterProof, "tshark", "tcp/mercury-capture2.pcap", "173.194.35.53 443 — 192.168.1.101 56643", "192.168.1.101 56643", "spurious 0/1", "3764"},
	{&laterProof, "tshark", "tcp/mercury-capture2.pcap", "173.194.35.53 443 — 192.168.1.101 56644", "192.168.1.101 56644", "spurious 0/1", "4032"},
	{&laterProof, "tshark", "tcp/mercury-capture2.pcap", "173.194.66.84 443 — 192.168.1.101 56652", "192.168.1.101 56652", "spurious 0/1", "4442"},
	{&laterProof, "tshark", "tcp/mercury-capture2.pcap", "192.168.1.101 56563 — 208.117.231.17 443", "208.117.231.17 443", "spurious 3/5", "3570, 4168"},
	{&laterProof, "tshark", "tcp/mercury-capture2.pcap", "65.190.6.124 47452 — 192.168.1.2 2967", "192.168.1.2 2967", "spurious 0/1", "1450"},
	{&laterProof, "tshark", "tcp/mercury-capture2.pcap", "67.252.131.62 23754 — 192.168.1.101 56526", "192.168.1.101 56526", "spurious 0/1", "4034"},
	{&laterProof, "tshark", "tcp/mercury-capture2.pcap", "69.160.6.18 3908 — 192.168.1.2 3612", "192.168.1.2 3612", "spurious 0/3", "1214, 1284, 1395"},
	{&laterProof, "tshark", "tls/ndpi-tls_with_huge_ch.pcapng", "172.30.84.193 40640 — 208.253.217.142 443", "172.30.84.193 40640", "spurious 0/1", "5"},
	{&laterProof, "tshark", "tls/ndpi-tls_with_huge_ch.pcapng", "172.30.84.193 40640 — 208.253.217.142 443", "208.253.217.142 443", "spurious 1/3", "6, 9"},
	{&laterProof, "tshark", "tls/zeek-tls1_1.pcap", "192.168.17.58 62987 — 216.58.192.14 443", "192.168.17.58 62987", "spurious 0/1", "23"},

	{&fastBySACK, "tshark", "encap/zeek-pppoe-over-qinq.pcap", "1.1.1.1 20394 — 2.2.2.2 443", "1.1.1.1 20394", "fast 0/1", "57"},
	{&fastBySACK, "tshark", "tcp/mercury-capture2.pcap", "173.194.66.84 443 — 192.168.1.101 56651", "173.194.66.84 443", "fast 0/1", "3620"},
	{&fastBySACK, "tshark", "tcp/mercury-capture2.pcap", "90.84.59.91 80 — 192.168.1.101 56592", "90.84.59.91 80", "fast 0/1", "4648"},
	{&fastBySACK, "tshark", "tcp/suricata-syn_retransmit_with_ts.pcap", "10.38.251.146 33372 — 10.38.251.147 80", "10.38.251.147 80", "fast 2/3", "51, 127, 129, 233, 235"},
	{&fastBySACK, "tshark", "tcp/zeek-206_example_b.pcap", "65.54.95.206 80 — 192.168.72.14 3254", "65.54.95.206 80", "fast 0/1", "1226"},
	{&fastBySACK, "tshark", "tls/ndpi-tls_with_huge_ch.pcapng", "172.30.84.193 40640 — 208.253.217.142 443", "172.30.84.193 40640", "fast 1/2", "355"},
	{&fastBySACK, "tshark", "tls/zeek-tls1_1.pcap", "192.168.17.58 62987 — 216.58.192.14 443", "192.168.17.58 62987", "fast 0/1", "19"},

	{&afterSignal, "tshark", "encap/zeek-pppoe-over-qinq.pcap", "1.1.1.1 20394 — 2.2.2.2 443", "1.1.1.1 20394", "retransmissions 8/10, out of order 2/0", "57, 58"},
	{&afterSignal, "tshark", "tcp/mercury-capture2.pcap", "192.168.1.101 56563 — 208.117.231.17 443", "208.117.231.17 443", "retransmissions 19/20, out of order 1/0", "4326"},
	{&afterSignal, "tshark", "tcp/mercury-capture2.pcap", "90.84.59.91 80 — 192.168.1.101 56592", "90.84.59.91 80", "retransmissions 6/7, out of order 1/0", "4390"},
	{&afterSignal, "tshark", "tcp/suricata-syn_retransmit_with_ts.pcap", "10.38.251.146 33372 — 10.38.251.147 80",
		"10.38.251.147 80", "retransmissions 17/18, out of order 1/0", "51"},
	{&afterSignal, "tshark", "tcp/zeek-206_example_b.pcap", "65.54.95.206 80 — 192.168.72.14 3254", "65.54.95.206 80", "retransmissions 56/108, out of order 52/0", "1226-1277"},

	{&sameID, "tshark", "encap/zeek-pppoe-over-qinq.pcap", "1.1.1.1 20394 — 2.2.2.2 443", "2.2.2.2 443", "sum 13/12, retransmissions 13/12, spurious 8/7", "25"},

	{&vlanCopies, "tshark", "encap/zeek-vlan-collisions.pcap", "141.142.228.5 59856 — 192.150.187.43 80",
		"141.142.228.5 59856", "sum 6/0, retransmissions 6/0, keep-alives 4/0", "2, 6, 9, 20, 26-28, 36-38"},
	{&vlanCopies, "tshark", "encap/zeek-vlan-collisions.pcap", "141.142.228.5 59856 — 192.150.187.43 80",
		"192.150.187.43 80", "sum 12/0, retransmissions 12/0, spurious 4/0", "7, 18, 22-25, 32-35, 39, 41"},

	{&threeNetworks, "tshark", "encap/zeek-vxlan-overlapping-http-get.pcap", "141.142.228.5 59856 — 192.150.187.43 80",
		"141.142.228.5 59856", "sum 6/0, retransmissions 6/0, fast 2/0", "2, 3, 11, 12, 35, 36"},
	{&threeNetworks, "tshark", "encap/zeek-vxlan-overlapping-http-get.pcap", "141.142.228.5 59856 — 192.150.187.43 80",
		"192.150.187.43 80", "sum 12/0, retransmissions 12/0", "5, 6, 17, 18, 20, 21, 23, 24, 26, 27, 38, 39"},

	{&prefixDiffers, "tshark", "formats/zeek-nflog-http.pcap", "10.0.2.15 49762 — 93.184.216.34 80", "10.0.2.15 49762", "sum 1/0, retransmissions 1/0", "2, 3"},

	{&fuzzedNumbers, "tshark", "malformed/ndpi-fuzz-2006-06-26-2594.pcap", "147.234.1.253 21 — 192.168.1.2 2720",
		"147.234.1.253 21", "sum 5/4, retransmissions 3/4, out of order 2/0, spurious 1/0", "47, 72, 75"},
	{&fuzzedNumbers, "tcptrace", "malformed/ndpi-fuzz-2006-06-26-2594.pcap", "147.234.1.253 21 — 192.168.1.2 2720",
		"147.234.1.253 21", "retransmissions 0/4, out of order 4/0, octets 0/36", "47-92"},
	{&fuzzedNumbers, "tcptrace", "malformed/ndpi-fuzz-2006-06-26-2594.pcap", "147.234.1.253 21 — 192.168.1.2 2720",
		"192.168.1.2 2720", "sum 3/2, out of order 1/0, octets 4/6", "47-92"},

	{&beyondWindow, "tshark", "tcp/arkime-tcp_handshake_synthetic.pcap", "192.0.2.10 40002 — 198.51.100.5 8080", "198.51.100.5 8080", "missed 1/0", "6"},
	{&beyondWindow, "tshark", "tcp/arkime-tcp_handshake_synthetic.pcap", "192.0.2.10 40004 — 198.51.100.5 8080", "198.51.100.5 8080", "missed 1/0", "16"},
	{&beyondWindow, "tshark", "tcp/arkime-tcp_handshake_synthetic.pcap", "192.0.2.10 40010 — 198.51.100.5 8080", "198.51.100.5 8080", "missed 1/0", "38"},

	{&handMade, "tshark", "tcp/arkime-tcp_handshake_synthetic.pcap", "192.0.2.10 40003 — 198.51.100.5 8080", "198.51.100.5 8080", "sum 1/0, retransmissions 1/0", "13"},
	{&handMade, "tshark", "tcp/arkime-tcp_handshake_synthetic.pcap", "192.0.2.10 40005 — 198.51.100.5 8080", "192.0.2.10 40005", "missed 1/0", "20"},
	{&handMade, "tshark", "tcp/arkime-tcp_handshake_synthetic.pcap", "192.0.2.10 40005 — 198.51.100.5 8080", "198.51.100.5 8080", "missed 1/0", "21"},
	{&handMade, "tshark", "tcp/arkime-tcp_handshake_synthetic.pcap", "192.0.2.10 40006 — 198.51.100.5 8080", "192.0.2.10 40006", "missed 1/0", "24"},
	{&handMade, "tshark", "tcp/arkime-tcpseq_synthetic.pcap", "0.0.3.0 0 — 30.0.0.0 0", "30.0.0.0 0", "missed 1/0", "2"},
	{&handMade, "tcptrace", "tcp/arkime-tcp_handshake_synthetic.pcap", "192.0.2.10 40003 — 198.51.100.5 8080",
		"198.51.100.5 8080", "sum 1/0, retransmissions 1/0, octets 1/0", "13"},

	{&windowOfFIN, "tshark", "tcp/arkime-wireshark-retrans.pcap", "172.17.96.77 4000 — 172.17.96.143 59221", "172.17.96.77 4000", "zero window 0/1", "100"},

	{&madeCopy, "tshark", "tcp/deepflow-syn-retrans.pcap", "10.30.0.223 80 — 220.181.111.188 12345", "10.30.0.223 80", "sum 1/0, retransmissions 1/0", "2"},
	{&madeCopy, "tcptrace", "tcp/deepflow-syn-retrans.pcap", "10.30.0.223 80 — 220.181.111.188 12345", "10.30.0.223 80", "sum 1/0, retransmissions 1/0, octets 1/0", "2"},

	{&rewrittenNumbers, "tshark", "tcp/mercury-capture2.pcap", "10.6.9.137 1758 — 10.10.0.2 443", "10.10.0.2 443", "retransmissions 0/2, out of order 2/0", "2315, 2317"},
	{&rewrittenNumbers, "tshark", "tcp/mercury-capture2.pcap", "10.6.9.137 1759 — 10.10.0.2 443",
		"10.10.0.2 443", "sum 170/0, retransmissions 170/0, spurious 170/0, missed 1/0", "2324, 2325, 2327, 2333, 2335, 2337, 2340, 2342, 2344, 2348, 2350, 2352, 2354, 2357, 2359, 2362, 2365, 2367, 2369, 2372, 2375, 2378, 2380, 2382, 2386, 2389, 2391, 2394, 2396, 2398, 2401, 2404, 2406, 2409, 2411, 2413, 2415, 2417, 2421, 2424, 2427, 2430, 2433, 2436, 2439, 2443, 2445, 2447, 2456, 2459, 2462, 2465, 2468, 2470, 2474, 2477, 2480, 2485, 2487, 2489, 2493, 2495, 2497, 2500, 2502, 2504, 2507, 2510, 2512, 2514, 2516, 2518, 2522, 2525, 2527, 2531, 2533, 2535, 2545, 2547, 2549, 2551, 2553, 2555, 2559, 2562, 2564, 2567, 2569, 2571, 2574, 2576, 2578, 2580, 2583, 2586, 2588, 2591, 2593, 2596, 2599, 2601, 2604, 2606, 2608, 2610, 2612, 2614, 2618, 2621, 2623, 2626, 2628, 2630, 2633, 2636, 2638, 2641, 2643, 2645, 2647, 2649, 2652, 2656, 2659, 2661, 2664, 2666, 2668, 2671, 2674, 2676, 2678, 2681, 2683, 2685, 2687, 2690, 2693, 2695, 2697, 2700, 2703, 2705, 2708, 2710, 2712, 2714, 2716, 2719, 2723, 2725, 2727, 2730, 2732, 2734, 2737, 2740, 2742, 2744, 2746, 2748, 2752, 2755, 2758, 2761, 2763, 2765, 2767, 2769, 2773, 2776"},
	{&rewrittenNumbers, "tshark", "tcp/mercury-capture2.pcap", "10.6.9.137 1759 — 10.10.0.2 443", "10.6.9.137 1759", "missed 1/0", "2323, 2327, 2331, 2340, 2348, 2357, 2362, 2365, 2372, 2375, 2386, 2389, 2394, 2401, 2404, 2409, 2421, 2424, 2433, 2439, 2443, 2456, 2468, 2474, 2477, 2485, 2493, 2500, 2507, 2510, 2522, 2525, 2531, 2545, 2559, 2562, 2567, 2574, 2583, 2586, 2591, 2596, 2599, 2604, 2618, 2621, 2626, 2633, 2636, 2641, 2652, 2656, 2664, 2671, 2674, 2681, 2690, 2693, 2700, 2703, 2708, 2719, 2723, 2730, 2737, 2740, 2752, 2755, 2761, 2773, 2776, 2782"},
	{&rewrittenNumbers, "tshark", "tcp/mercury-capture2.pcap", "10.6.9.137 1760 — 10.10.0.2 443", "10.10.0.2 443", "sum 5/0, out of order 5/0", "2450, 2779, 2799, 2801, 2803"},
	{&rewrittenNumbers, "tshark", "tcp/mercury-capture2.pcap", "10.6.9.137 1761 — 10.10.0.2 443",
		"10.10.0.2 443", "sum 10/0, retransmissions 10/0, spurious 10/0, missed 1/0", "2452, 2461, 2786, 2804, 2806, 2808, 2815, 2817, 2819, 2831, 2833, 2835"},
	{&rewrittenNumbers, "tshark", "tcp/mercury-capture2.pcap", "10.6.9.137 1762 — 10.10.0.2 443",
		"10.10.0.2 443", "sum 4/0, retransmissions 4/0, spurious 4/0, missed 1/0", "2454, 2464, 2792, 2825, 2827, 2829"},
	{&rewrittenNumbers, "tshark", "tcp/mercury-capture2.pcap", "10.6.9.137 1762 — 10.10.0.2 443", "10.6.9.137 1762", "missed 1/0", "2453, 2541, 2812, 2840"},
	{&rewrittenNumbers, "tshark", "tcp/mercury-capture2.pcap", "10.6.9.137 1763 — 10.10.0.2 443",
		"10.10.0.2 443", "sum 4/0, retransmissions 2/0, out of order 2/0, fast 2/0", "2853, 2857, 2863, 2865"},
	{&rewrittenNumbers, "tshark", "tcp/mercury-capture2.pcap", "10.6.9.137 1763 — 10.10.0.2 443", "10.6.9.137 1763", "missed 1/0", "2852, 2856, 2860, 2868"},
	{&rewrittenNumbers, "tshark", "tcp/mercury-capture2.pcap", "10.6.9.137 1764 — 10.10.0.2 443",
		"10.10.0.2 443", "sum 4/0, out of order 4/0", "2878, 2882, 2888, 2890"},
	{&rewrittenNumbers, "tshark", "tcp/mercury-capture2.pcap", "10.6.9.137 1766 — 10.10.0.2 443", "10.10.0.2 443", "sum 4/0, out of order 4/0", "2988, 2992, 2998, 3000"},
	{&rewrittenNumbers, "tshark", "tcp/mercury-capture2.pcap", "10.6.9.137 1768 — 10.10.0.2 443", "10.10.0.2 443", "sum 5/0, out of order 5/0", "3205, 3209, 3215, 3217, 3219"},
	{&rewrittenNumbers, "tshark", "tcp/mercury-capture2.pcap", "10.6.9.137 1769 — 10.10.0.2 443", "10.10.0.2 443", "sum 2/0, out of order 2/0", "3227, 3231"},
	{&rewrittenNumbers, "tcptrace", "tcp/mercury-capture2.pcap", "10.6.9.137 1758 — 10.10.0.2 443",
		"10.10.0.2 443", "sum 0/2, retransmissions 0/2, octets 0/1380", "2315, 2317"},
	{&rewrittenNumbers, "tcptrace", "tcp/mercury-capture2.pcap", "10.6.9.137 1764 — 10.10.0.2 443",
		"10.10.0.2 443", "sum 4/0, out of order 4/0", "2878, 2882, 2888, 2890"},

	{&notKeepAlive, "tshark", "tcp/mercury-capture2.pcap", "68.95.198.126 1928 — 192.168.1.2 2996",
		"192.168.1.2 2996", "sum 3/8, retransmissions 3/8, keep-alives 5/0", "878, 879, 884, 940, 1020"},

	{&refusedTwice, "tshark", "tcp/mercury-capture2.pcap", "86.128.187.110 4048 — 192.168.1.2 139", "86.128.187.110 4048", "sum 1/0, retransmissions 1/0", "128"},
	{&refusedTwice, "tcptrace", "tcp/mercury-capture2.pcap", "86.128.187.110 4048 — 192.168.1.2 139", "86.128.187.110 4048", "sum 1/0, retransmissions 1/0, octets 1/0", "128"},

	{&behindReset, "tshark", "tcp/mercury-capture2.pcap", "67.163.59.104 3777 — 192.168.1.2 4786", "67.163.59.104 3777", "sum 1/0, out of order 1/0", "1743"},

	{&sentEarlier, "tshark", "tcp/mercury-capture2.pcap", "65.190.6.124 47452 — 192.168.1.2 2967", "65.190.6.124 47452", "retransmissions 1/0, out of order 0/1", "1453"},
	{&sentEarlier, "tshark", "tcp/mercury-capture2.pcap", "69.205.247.140 9908 — 192.168.1.2 1630", "69.205.247.140 9908", "retransmissions 1/0, out of order 0/1", "950"},
	{&sentEarlier, "tshark", "tls/zeek-tls-13-amazon-rds.pcap", "79.107.90.25 3306 — 82.239.87.25 57902", "79.107.90.25 3306", "retransmissions 2/1, out of order 0/1", "31"},
	{&sentEarlier, "tshark", "tls/zeek-tls13_psk_succesfull.pcap", "174.138.9.219 443 — 192.168.178.80 54220", "174.138.9.219 443", "retransmissions 1/0, out of order 0/1", "19"},

	{&simultaneousOpen, "tshark", "tcp/suricata-split-handshake-4whs.pcap", "1.1.1.1 12345 — 2.2.2.2 80", "1.1.1.1 12345", "sum 1/0, retransmissions 1/0", "3"},
	{&simultaneousOpen, "tcptrace", "tcp/suricata-split-handshake-4whs.pcap", "1.1.1.1 12345 — 2.2.2.2 80", "1.1.1.1 12345", "sum 1/0, retransmissions 1/0, octets 1/0", "3"},

	{&closedWindow, "tshark", "tcp/zeek-206_example_b.pcap", "65.54.95.206 80 — 192.168.72.14 3254", "65.54.95.206 80", "window full 0/1", "166-215, 1047-1225"},

	{&goesOn, "tshark", "tcp/zeek-206_example_b.pcap", "65.54.95.206 80 — 192.168.72.14 3254", "65.54.95.206 80", "missed 1/0", "262, 264"},

	{&finEachTime, "tshark", "tcp/zeek-reassembly.pcap", "63.193.213.194 2564 — 128.3.97.175 80", "128.3.97.175 80", "fast 3/0", "8, 10, 12"},

	{&bareACKAhead, "tcptrace", "tcp/mercury-capture2.pcap", "65.190.6.124 47452 — 192.168.1.2 2967", "65.190.6.124 47452", "sum 0/1, out of order 0/1", "1450, 1453"},
	{&bareACKAhead, "tcptrace", "tls/zeek-tls-13-amazon-rds.pcap", "79.107.90.25 3306 — 82.239.87.25 57902", "79.107.90.25 3306", "sum 1/2, out of order 0/1", "30, 31"},
	{&bareACKAhead, "tcptrace", "tls/zeek-tls13_psk_succesfull.pcap", "174.138.9.219 443 — 192.168.178.80 54220", "174.138.9.219 443", "sum 0/1, out of order 0/1", "18, 19"},

	{&fragmentHeader, "tcptrace", "encap/zeek-ipv6-http-atomic-frag.pcap", "2001:db8:1::1 80 — 2001:db8:1::2 27393",
		"2001:db8:1::2 27393", "sum 4/0, retransmissions 4/0, octets 32/0", "all of the sender"},
	{&fragmentHeader, "tcptrace", "encap/zeek-ipv6-http-atomic-frag.pcap", "2001:db8:1::1 80 — 2001:db8:1::2 36951",
		"2001:db8:1::2 36951", "sum 4/0, retransmissions 4/0, octets 32/0", "all of the sender"},
	{&fragmentHeader, "tcptrace", "encap/zeek-ipv6-http-atomic-frag.pcap", "2001:db8:1::1 80 — 2001:db8:1::2 45805",
		"2001:db8:1::2 45805", "sum 2/0, retransmissions 2/0, octets 16/0", "all of the sender"},

	{&closedToTcptrace, "tcptrace", "encap/mercury-tls_sgt.pcap", "10.1.1.150 37716 — 64.100.1.197 443",
		"10.1.1.150 37716", "sum 0/8, retransmissions 0/8, octets 0/875", "1143, 1144, 1146, 1180, 1256, 1325, 1501, 1870"},
	{&closedToTcptrace, "tcptrace", "encap/mercury-tls_sgt.pcap", "10.1.1.150 38750 — 64.100.1.197 443", "10.1.1.150 38750", "sum 0/1, retransmissions 0/1", "2137"},
	{&closedToTcptrace, "tcptrace", "encap/mercury-tls_sgt.pcap", "10.1.1.150 40512 — 64.100.1.197 443",
		"10.1.1.150 40512", "sum 0/9, retransmissions 0/9, octets 0/1000", "581-583, 585, 622, 691, 832, 1145, 1906"},
	{&closedToTcptrace, "tcptrace", "encap/mercury-tls_sgt.pcap", "10.1.1.150 42718 — 64.100.1.197 443",
		"10.1.1.150 42718", "sum 0/8, retransmissions 0/8, octets 0/875", "1389-1391, 1396, 1502, 1624, 1806, 2103"},
	{&closedToTcptrace, "tcptrace", "encap/mercury-tls_sgt.pcap", "10.1.1.150 46562 — 64.100.1.197 443", "10.1.1.150 46562", "sum 0/1, retransmissions 0/1", "2101"},
	{&closedToTcptrace, "tcptrace", "encap/mercury-tls_sgt.pcap", "10.1.1.150 47460 — 64.100.1.197 443",
		"10.1.1.150 47460", "sum 0/9, retransmissions 0/9, octets 0/1000", "864-866, 870, 932, 1043, 1179, 1540, 2280"},
	{&closedToTcptrace, "tcptrace", "encap/mercury-tls_sgt.pcap", "10.1.1.150 47620 — 64.100.1.197 443", "10.1.1.150 47620", "sum 0/1, retransmissions 0/1", "962"},
	{&closedToTcptrace, "tcptrace", "encap/mercury-tls_sgt.pcap", "10.1.1.150 53538 — 64.100.1.197 443",
		"10.1.1.150 53538", "sum 0/9, retransmissions 0/9, octets 0/1000", "794-796, 799, 831, 931, 1081, 1395, 2139"},
	{&closedToTcptrace, "tcptrace", "encap/mercury-tls_sgt.pcap", "10.1.1.150 58908 — 64.100.1.197 443", "10.1.1.150 58908", "sum 0/1, retransmissions 0/1", "346"},
	{&closedToTcptrace, "tcptrace", "encap/mercury-tls_sgt.pcap", "10.1.1.150 60312 — 64.100.1.197 443", "10.1.1.150 60312", "sum 0/1, retransmissions 0/1", "1723"},
	{&closedToTcptrace, "tcptrace", "encap/mercury-tls_sgt.pcap", "10.1.1.150 60322 — 64.100.1.197 443",
		"10.1.1.150 60322", "sum 0/8, retransmissions 0/8, octets 0/875", "1692-1694, 1725, 1807, 1871, 2030, 2349"},
	{&closedToTcptrace, "tcptrace", "encap/mercury-tls_sgt.pcap", "10.1.1.150 60566 — 64.100.1.197 443",
		"10.1.1.150 60566", "sum 0/7, retransmissions 0/7, octets 0/750", "1868, 1869, 1872, 1873, 1907, 2023, 2170"},

	{&holesForgotten, "tcptrace", "tcp/zeek-206_example_b.pcap", "65.54.95.206 80 — 192.168.72.14 3254",
		"65.54.95.206 80", "sum 91/108, retransmissions 65/108, out of order 26/0, octets 87595/148930", "236-262, 1227-1258, 1277"},
	{&holesForgotten, "tcptrace", "tcp/zeek-reassembly.pcap", "63.193.213.194 2564 — 128.3.97.175 80",
		"63.193.213.194 2564", "retransmissions 14/17, out of order 3/0, octets 5559/9098", "35, 36, 39, 42, 45, 48, 50, 52, 64, 66, 68, 71, 74, 77, 112, 114, 116"},

	{&nearlyAllMissed, "tshark", "tcp/zeek-bigtransfer.pcap", "192.168.56.1 59764 — 192.168.56.101 37150",
		"192.168.56.101 37150", "sum 0/4, retransmissions 0/4, spurious 0/3", "62, 63, 66, 68"},
	{&nearlyAllMissed, "tcptrace", "tcp/zeek-bigtransfer.pcap", "192.168.56.1 59764 — 192.168.56.101 37150",
		"192.168.56.101 37150", "sum 1/4, retransmissions 1/4, octets 752/5152", "62, 63, 66, 68, 69"},

	{&arkimeCopies, "Arkime", "tcp/arkime-wireshark-retrans.pcap", "172.17.96.77 4000 — 172.17.96.143 59221", "both", "packets 108/27, SYN 4/1, SYN-ACK 4/1, FIN 8/2", "81 of 108"},
	{&otherConnection, "Arkime", "tcp/arkime-tcp_handshake_synthetic.pcap", "192.0.2.10 40003 — 198.51.100.5 8080",
		"both", "packets 5/3, SYN-ACK 2/1, half of the handshake in ms 50/0", "9-13"},
	{&otherNumber, "Arkime", "tcp/arkime-tcp_handshake_synthetic.pcap", "192.0.2.10 40002 — 198.51.100.5 8080", "both", "half of the handshake in ms 1/0", "6"},
	{&otherNumber, "Arkime", "tcp/arkime-tcp_handshake_synthetic.pcap", "192.0.2.10 40004 — 198.51.100.5 8080", "both", "half of the handshake in ms 1/0", "16"},
	{&otherNumber, "Arkime", "tcp/arkime-tcp_handshake_synthetic.pcap", "192.0.2.10 40005 — 198.51.100.5 8080", "both", "packets 4/3, half of the handshake in ms 1/0", "20, 21"},
	{&otherNumber, "Arkime", "tcp/arkime-tcp_handshake_synthetic.pcap", "192.0.2.10 40010 — 198.51.100.5 8080", "both", "half of the handshake in ms 1/0", "38"},
	{&otherNumber, "Arkime", "tcp/arkime-tcp_handshake_synthetic.pcap", "192.0.2.10 40011 — 198.51.100.5 8080", "both", "half of the handshake in ms 1/0", "41"},
	{&identical, "Arkime", "tcp/arkime-tcp_handshake_synthetic.pcap", "192.0.2.10 40013 — 198.51.100.5 8080", "both", "packets 3/2, SYN 3/2", "47"},
	{&handRepeat, "tshark", "tcp/arkime-tcpseq_synthetic.pcap", "10.0.0.5 40003 — 10.0.0.6 8002", "10.0.0.5 40003", "sum 0/1, retransmissions 0/1", "20"},
	{&madeCopy, "DeepFlow", "tcp/deepflow-syn-retrans.pcap", "10.30.0.223 80 — 220.181.111.188 12345",
		"both", "SYN 2/1, client retransmissions 1/0, server half in µs 216300/316300", "2"},
}
