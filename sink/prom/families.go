package prom

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// family is one metric, with all its series.
type family struct {
	desc *prometheus.Desc
	kind prometheus.ValueType // of a histogram: none
}

const namespace = "mirrorscope_"

// families are all there are.
type families struct {
	all []*family

	// The sensor itself.
	buildInfo, captureInfo, ringFill, ringPackets, ringBytes, degradation, sampled, openConnections, tableFill, memoryBudget *family
	memoryUsed, intervalLag, reloadWorked, reloadTime                                                                        *family

	// The capture, in the words of its record.
	packets, octets, decoded, skipped, mirrorDuplicates, truncated, malformed, stray, forgotten, clockSteps, payloadShed      *family
	unread, connections, evicted, uncompared, lastPacket, lostPackets, prefiltered, rules, events, missedBytes, recordedBytes *family
	points                                                                                                                    *family

	// Clouds.
	inventoryAge, inventoryInterfaces, inventoryInstances, inventoryFailing, inventoryFailed, skippedPackets, skippedBytes *family

	// All connections.
	opened, ended, handshake, roundTrip, tlsHandshake, response *family

	// Outputs.
	writtenLines, writtenBytes, droppedLines, droppedBytes, queued, queue, outputFailing *family

	// What addresses are called.
	nameEntries, nameHistory, nameAge, nameFailing, nameChanges, nameDropped, nameAmbiguous *family

	// Conversations, in the window that ends now. They are gauges: which ones are
	// shown, and what is within the window, changes.
	windowSeconds, windowCount, talkConnections, talkOpened, talkEnded, talkPackets, talkBytes, talkRepeats *family
	talkRTT, talkHandshake, talkTLS, talkResponse                                                           [2]*family // median, 95th percentile
}

func (f *families) add(kind prometheus.ValueType, name, help string, labels []string) *family {
	x := &family{kind: kind, desc: prometheus.NewDesc(namespace+name, help, labels, nil)}
	f.all = append(f.all, x)
	return x
}

func (f *families) counter(name, help string, labels ...string) *family {
	return f.add(prometheus.CounterValue, name+"_total", help, labels)
}

func (f *families) gauge(name, help string, labels ...string) *family {
	return f.add(prometheus.GaugeValue, name, help, labels)
}

func (f *families) micros(name, help string, labels ...string) *family {
	return f.add(prometheus.UntypedValue, name+"_us", help, labels)
}

func newFamilies() *families {
	f := new(families)
	f.defineSensor()
	f.defineCapture()
	f.defineClouds()
	f.defineTotals()
	f.defineOutputs()
	f.defineNames()
	f.defineConversations()
	return f
}

func (f *families) defineSensor() {
	f.buildInfo = f.gauge("build_info", "1, with the version of the sensor.", "version")
	f.captureInfo = f.gauge("capture_info", "1, with how an interface is captured.", "interface", "mode", "driver", "timestamps")
	f.ringFill = f.gauge("ring_fill_ratio", "Share of a ring that waits to be read.", "interface", "queue")
	f.ringPackets = f.counter("ring_packets", "Frames that a ring gave out.", "interface", "queue")
	f.ringBytes = f.counter("ring_bytes", "Octets on the wire of the frames that a ring gave out.", "interface", "queue")
	f.degradation = f.gauge("degradation_step", "Step of the overload plan: 0 measures everything, 1 leaves out payload, further ones leave out connections.")
	f.sampled = f.gauge("sampling_weight", "Each connection that is measured stands for so many.")
	f.openConnections = f.gauge("open_connections", "Connections in the tables.")
	f.tableFill = f.gauge("table_fill_ratio", "Share of its memory that the fullest table uses.")
	f.memoryBudget = f.gauge("memory_budget_bytes", "Memory that connections may take.")
	f.memoryUsed = f.gauge("memory_used_bytes", "Memory that connections take.")
	f.intervalLag = f.gauge("interval_lag_seconds", "How long after its end the latest interval was written.")
	f.reloadWorked = f.gauge("config_last_reload_successful", "Whether the configuration could be read the last time.")
	f.reloadTime = f.gauge("config_last_reload_timestamp_seconds", "When that was.")
}

func (f *families) defineCapture() {
	f.packets = f.counter("packets", "Frames read. Those decoded and those skipped add up to them.")
	f.octets = f.counter("bytes", "Octets of the frames read, on the wire, link header included.")
	f.decoded = f.counter("decoded_packets", "Frames that gave a packet, alone or as one of its fragments.")
	f.skipped = f.counter("skipped_packets", "Frames that gave no packet, by reason.", "reason")
	f.mirrorDuplicates = f.counter("mirror_duplicates", "Packets that a mirror delivered again; in no connection's volume.")
	f.truncated = f.counter("truncated_packets", "Packets captured only in part.")
	f.malformed = f.counter("malformed_packets", "Packets with a transport header that contradicts itself.")
	f.stray = f.counter("stray_packets", "Packets of an older connection of the same 5-tuple.")
	f.forgotten = f.counter("forgotten_packets", "Packets forgotten so early that a copy of them could not be recognised.")
	f.clockSteps = f.counter("clock_steps", "Times that the clock of the capture went back.")
	f.payloadShed = f.counter("payload_shed_packets", "Packets whose payload was left out because the sensor could not keep up.")
	f.unread = f.counter("unread_pieces", "Pieces of what connections said that found no room.")
	f.connections = f.counter("connections", "Connections that ended and were written, at each observation point.")
	f.evicted = f.counter("evicted_connections", "Of those, ended for lack of memory.")
	f.uncompared = f.counter("uncompared_connections", "Of those, not compared between observation points for lack of memory.")
	f.lastPacket = f.gauge("last_packet_timestamp_seconds", "Time of the latest packet.")
	f.lostPackets = f.counter("lost_packets", "Frames that were lost on their way to be measured, by place. The mirror's are known only where it numbers its frames.", "place")
	f.prefiltered = f.counter("prefiltered_packets", "Frames that the filter in front of the capture left out as configured, by verdict.", "verdict")
	f.rules = f.counter("filter_rule_packets", "Frames that a rule of the filter decided, let through or left out, by the rule's name.", "rule")
	f.events = f.counter("capture_events", "What befell the capture without costing a known number of frames.", "event")
	f.missedBytes = f.counter("tcp_missed_bytes", "Octets of TCP data that were acknowledged and never recorded.")
	f.recordedBytes = f.counter("tcp_recorded_bytes", "Octets of TCP data that were recorded, repeats once.")
	f.points = f.gauge("observation_points", "Observation points met so far.")
}

func (f *families) defineClouds() {
	f.inventoryAge = f.gauge("inventory_age_seconds", "How old what is known of a source is. None while nothing is.", "source")
	f.inventoryInterfaces = f.gauge("inventory_interfaces", "Interfaces, pods and services that are known.", "source")
	f.inventoryInstances = f.gauge("inventory_instances", "Machines that are known.", "source")
	f.inventoryFailing = f.gauge("inventory_failing", "1 while a source cannot be read: what was last known stays.", "source")
	f.inventoryFailed = f.gauge("inventory_failed_attempts", "Attempts to read a source that failed since the last good one.", "source")
	f.skippedPackets = f.counter("mirror_skipped_packets", "Packets that the mirror of a machine did not copy, as its cloud tells: some minutes late, and of all its interfaces together.", "instance")
	f.skippedBytes = f.counter("mirror_skipped_bytes", "Octets of them.", "instance")
}

func (f *families) defineTotals() {
	f.opened = f.counter("connections_opened", "Connections of any protocol that began, at each observation point.")
	f.ended = f.counter("connections_ended", "Connections that ended, by how they went; none: not TCP, or not known.", "outcome")
	f.handshake = f.micros("handshake_rtt", "Round trip of TCP handshakes, in microseconds.")
	f.roundTrip = f.micros("rtt", "Round trips between the observation point and one side, in microseconds.", "side")
	f.tlsHandshake = f.micros("tls_handshake", "TLS, DTLS and QUIC handshakes, in microseconds.")
	f.response = f.micros("response", "How long servers take to respond, without the network, in microseconds.")
}

func (f *families) defineOutputs() {
	f.writtenLines = f.counter("output_written_lines", "Lines written.", "output")
	f.writtenBytes = f.counter("output_written_bytes", "Octets of the lines written.", "output")
	f.droppedLines = f.counter("output_dropped_lines", "Lines dropped, by reason.", "output", "reason")
	f.droppedBytes = f.counter("output_dropped_bytes", "Octets of the lines dropped, by reason.", "output", "reason")
	f.queued = f.gauge("output_queued_bytes", "Octets that wait to be written.", "output")
	f.queue = f.gauge("output_queue_bytes", "Octets that can wait to be written.", "output")
	f.outputFailing = f.gauge("output_failing", "1 while nothing can be written.", "output")
}

func (f *families) defineConversations() {
	with := func(labels ...string) []string {
		return slices.Concat([]string{"network", "client", "server", "port", "protocol"}, labels)
	}
	percentiles := func(name, help string, labels ...string) [2]*family {
		return [...]*family{f.gauge(name+"_p50_us", help+" Median.", labels...), f.gauge(name+"_p95_us", help+" 95th percentile.", labels...)}
	}
	f.windowSeconds = f.gauge("conversation_window_seconds", "How long the window is that the conversations are of.")
	f.windowCount = f.gauge("conversations", "Conversations in the window, shown or not.")
	f.talkConnections = f.gauge("conversation_connections", "Connections with packets in the window.", with()...)
	f.talkOpened = f.gauge("conversation_connections_opened", "Connections that began in the window.", with()...)
	f.talkEnded = f.gauge("conversation_connections_ended", "Connections that ended in the window, by how they went.", with("outcome")...)
	f.talkPackets = f.gauge("conversation_sent_packets", "Packets that a side sent in the window.", with("side")...)
	f.talkBytes = f.gauge("conversation_sent_bytes", "IP octets that a side sent in the window.", with("side")...)
	f.talkRepeats = f.gauge("conversation_retransmitted_packets", "Packets that a side sent again in the window; at least, where the state is bounded.", with("side", "state")...)
	f.talkRTT = percentiles("conversation_rtt", "Round trips between the observation point and one side.", with("side", "state")...)
	f.talkHandshake = percentiles("conversation_handshake_rtt", "Round trips of TCP handshakes.", with("state")...)
	f.talkTLS = percentiles("conversation_tls_handshake", "TLS, DTLS and QUIC handshakes.", with("state")...)
	f.talkResponse = percentiles("conversation_response", "How long the server takes to respond.", with("state")...)
}
