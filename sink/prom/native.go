package prom

import (
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"mirrorscope/histogram"
)

// Classic buckets end at 2^firstPower µs (32 µs) and at every power of two up to
// 2^lastPower µs (34 s).
const (
	firstPower = 5
	lastPower  = 25
)

// duration is a histogram in µs, classic and native at once.
type duration struct {
	desc      *prometheus.Desc
	labels    []*dto.LabelPair
	histogram *histogram.Histogram
	since     time.Time
}

// Desc implements prometheus.Metric.
func (d duration) Desc() *prometheus.Desc { return d.desc }

// Write implements prometheus.Metric.
func (d duration) Write(out *dto.Metric) error {
	h := d.histogram
	x := &dto.Histogram{
		SampleCount: proto.Uint64(h.Count()),
		SampleSum:   proto.Float64(float64(h.Sum()) / 1000),
	}
	if !d.since.IsZero() {
		x.CreatedTimestamp = timestamppb.New(d.since)
	}
	classic(x, h)
	native(x, h)
	out.Label, out.Histogram = d.labels, x
	return nil
}

// classic adds cumulative buckets. A power of two is a boundary at every scale.
func classic(x *dto.Histogram, h *histogram.Histogram) {
	buckets, seen := h.Buckets(), h.Zero()
	for power := firstPower; power <= lastPower; power++ {
		end := int32(power) << h.Scale() // of the first bucket beyond
		for len(buckets) > 0 && buckets[0].Index < end {
			seen += buckets[0].Count
			buckets = buckets[1:]
		}
		x.Bucket = append(x.Bucket, &dto.Bucket{UpperBound: proto.Float64(math.Exp2(float64(power))), CumulativeCount: proto.Uint64(seen)})
	}
}

// native adds sparse buckets. The schema of a native histogram is our scale; its
// bucket i+1 is our bucket i. Its zero bucket goes up to 1 µs with that: what we
// have from there on in negative buckets is 1 µs itself.
func native(x *dto.Histogram, h *histogram.Histogram) {
	zero := h.Zero()
	next, last := int32(0), int64(0) // the index that would follow, and the count before
	var span *dto.BucketSpan
	for _, b := range h.Buckets() {
		if b.Index < 0 {
			zero += b.Count
			continue
		}
		index := b.Index + 1
		if span == nil || index != next {
			span = &dto.BucketSpan{Offset: proto.Int32(index - next), Length: proto.Uint32(0)}
			x.PositiveSpan = append(x.PositiveSpan, span)
		}
		*span.Length++
		x.PositiveDelta = append(x.PositiveDelta, int64(b.Count)-last)
		next, last = index+1, int64(b.Count)
	}
	x.Schema = proto.Int32(int32(h.Scale()))
	x.ZeroThreshold = proto.Float64(1)
	x.ZeroCount = proto.Uint64(zero)
}
