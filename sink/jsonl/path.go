package jsonl

import (
	"mirrorscope/flow"
	"mirrorscope/path"
	"mirrorscope/sink"
	"mirrorscope/tcp"
)

// WritePath writes the path of a connection whose last record was just written.
func (w *Writer) WritePath(c *path.Connection) error {
	w.buf = w.enc.AppendPath(w.buf, c)
	return w.flush()
}

// AppendPath adds a path object and the end of the line.
func (e *Encoder) AppendPath(dst []byte, c *path.Connection) []byte {
	dst = appendID(append(dst, `{"type":"path","id":`...), c.ID)
	dst = appendTime(dst, `,"start":`, c.Start)
	dst = appendTime(dst, `,"end":`, c.End)
	dst = append(append(dst, `,"network":`...), e.network(c.Network)...)
	dst = append(dst, `,"protocol":"`...)
	dst = sink.AppendProtocol(dst, c.Proto)
	dst = appendUint(dst, `","ip_version":`, uint64(c.Version))
	dst = appendEnd(dst, `,"client":{"ip":"`, &c.Ends[flow.Client])
	dst = appendEnd(dst, `,"server":{"ip":"`, &c.Ends[flow.Server])
	if e.namer != nil {
		dst = e.pathTags(dst, c)
	}
	dst = append(e.state(append(dst, `,"joined":{`...), c.Joined.State, c.Joined.Reasons), '}')
	dst = append(dst, `,"points":[`...)
	for i := range c.Points {
		if i > 0 {
			dst = append(dst, ',')
		}
		p := &c.Points[i]
		dst = e.pointName(append(dst, `{"name":`...), p)
		dst = appendID(append(dst, `,"connection":`...), p.Flow)
		dst = append(dst, `,"capture_missed_packets":{`...)
		for side := flow.Client; side <= flow.Server; side++ {
			if p.Missed[side] == path.NotKnown {
				continue
			}
			if dst[len(dst)-1] != '{' {
				dst = append(dst, ',')
			}
			dst = append(append(append(dst, '"'), side.String()...), `":`...)
			dst = sink.AppendInt(dst, p.Missed[side])
		}
		dst = append(dst, "}}"...)
	}
	dst = append(e.state(append(dst, `],"order":{`...), c.Order.State, c.Order.Reasons), '}')
	dst = appendID(append(dst, `,"primary":{"client":`...), c.Points[c.Primary[flow.Client]].Flow)
	dst = appendID(append(dst, `,"server":`...), c.Points[c.Primary[flow.Server]].Flow)
	dst = appendVolume(dst, `},"client_sent":{"packets":`, &c.Sent[flow.Client])
	dst = appendVolume(dst, `,"server_sent":{"packets":`, &c.Sent[flow.Server])
	dst = appendSides(dst, `,"matched_packets":{"client":`, c.Matched)
	dst = append(dst, `,"segments":[`...)
	for i := range c.Segments {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = e.pointName(append(dst, `{"from":`...), &c.Points[i])
		dst = e.pointName(append(dst, `,"to":`...), &c.Points[i+1])
		dst = e.segment(dst, &c.Segments[i])
	}
	return append(dst, "]}\n"...)
}

func (e *Encoder) pointName(dst []byte, p *path.Point) []byte {
	return appendString(dst, e.names.PointName(p.ID))
}

func (e *Encoder) segment(dst []byte, s *path.Segment) []byte {
	dst = e.state(append(dst, `,"rtt":{`...), s.RTT.State, s.RTT.Reasons)
	dst = appendDuration(dst, `,"min_us":`, s.RTT.Min)
	if s.RTT.Samples > 0 {
		dst = appendQuantile(dst, `,"p50_us":`, s.RTT.P50)
	}
	dst = appendInt(dst, `,"samples":`, s.RTT.Samples)
	dst = append(dst, '}')
	if s.HasOffset {
		dst = appendSigned(append(dst, `,"clock_offset":{"state":"bounded","min_us":`...), s.OffsetMin)
		dst = append(appendSigned(append(dst, `,"max_us":`...), s.OffsetMax), '}')
	}
	dst = append(dst, `,"loss":{`...)
	for side := flow.Client; side <= flow.Server; side++ {
		l := &s.Loss[side]
		if side == flow.Server {
			dst = append(dst, ',')
		}
		dst = append(append(append(dst, '"'), side.String()...), `":{`...)
		dst = e.state(dst, l.State, l.Reasons)
		if l.State != tcp.Unknown {
			dst = sink.AppendInt(append(dst, `,"lost_packets":`...), l.Lost)
			dst = sink.AppendInt(append(dst, `,"unlocated_packets":`...), l.Unlocated)
		}
		dst = append(dst, '}')
	}
	return append(dst, "}}"...)
}
