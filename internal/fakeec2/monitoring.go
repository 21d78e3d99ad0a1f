package fakeec2

import (
	"encoding/base64"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/aws/smithy-go/encoding/cbor"
)

// Monitoring is a part of CloudWatch: GetMetricData, in RPC v2 with CBOR, as the
// client speaks it. It goes into Server.Services as "monitoring".
type Monitoring struct {
	// Value tells the sum of a metric of an instance in the period that begins at a
	// time; false: there is no such data.
	Value func(metric, instance string, at time.Time) (float64, bool)
	// Points is the most data points of a page; 0: all.
	Points int
	// Refuse answers with an error; nil: never.
	Refuse func() *Error
	// Status of a metric's result: "" Complete.
	Status func(metric, instance string) string

	mu    sync.Mutex
	asked [][]MetricQuery
}

// MetricQuery is one question of a GetMetricData.
type MetricQuery struct {
	ID, Namespace, Metric, Instance, Stat string
	Period                                time.Duration
}

// Asked gives the questions of each request that came.
func (m *Monitoring) Asked() [][]MetricQuery {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([][]MetricQuery(nil), m.asked...)
}

const metricData = "/service/GraniteServiceVersion20100801/operation/GetMetricData"

// ServeHTTP answers a request.
func (m *Monitoring) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil || r.URL.Path != metricData || r.Header.Get("Smithy-Protocol") != "rpc-v2-cbor" {
		refuseCBOR(w, bad("UnknownOperationException", "no such operation: "+r.URL.Path))
		return
	}
	v, err := cbor.Decode(body)
	in, ok := v.(cbor.Map)
	if err != nil || !ok {
		refuseCBOR(w, bad("SerializationException", "the body is no CBOR map"))
		return
	}
	queries, e := metricQueries(in)
	if e != nil {
		refuseCBOR(w, e)
		return
	}
	m.mu.Lock()
	m.asked = append(m.asked, queries)
	m.mu.Unlock()
	if m.Refuse != nil {
		if e := m.Refuse(); e != nil {
			refuseCBOR(w, e)
			return
		}
	}
	w.Header().Set("Smithy-Protocol", "rpc-v2-cbor")
	w.Header().Set("Content-Type", "application/cbor")
	_, _ = w.Write(cbor.Encode(m.page(in, queries)))
}

// most is the most queries that a request may have.
const most = 500

func metricQueries(in cbor.Map) ([]MetricQuery, *Error) {
	list, _ := in["MetricDataQueries"].(cbor.List)
	if len(list) == 0 || len(list) > most {
		return nil, bad("ValidationError", "The collection MetricDataQueries must have between 1 and "+strconv.Itoa(most)+" members, and has "+strconv.Itoa(len(list)))
	}
	var all []MetricQuery
	seen := map[string]bool{}
	for _, v := range list {
		q, _ := v.(cbor.Map)
		stat, _ := q["MetricStat"].(cbor.Map)
		metric, _ := stat["Metric"].(cbor.Map)
		one := MetricQuery{ID: text(q["Id"]), Namespace: text(metric["Namespace"]), Metric: text(metric["MetricName"]), Stat: text(stat["Stat"])}
		if n, ok := stat["Period"].(cbor.Uint); ok {
			one.Period = time.Duration(n) * time.Second
		}
		dimensions, _ := metric["Dimensions"].(cbor.List)
		for _, v := range dimensions {
			if d, _ := v.(cbor.Map); text(d["Name"]) == "InstanceId" {
				one.Instance = text(d["Value"])
			}
		}
		if one.ID == "" || seen[one.ID] || one.Period <= 0 || one.Metric == "" {
			return nil, bad("ValidationError", "The value "+one.ID+" for parameter MetricDataQueries is not matching the expected pattern")
		}
		seen[one.ID] = true
		all = append(all, one)
	}
	return all, nil
}

// page answers from the data point on that the token names, with as many as a page
// has.
func (m *Monitoring) page(in cbor.Map, queries []MetricQuery) cbor.Map {
	from, to := moment(in["StartTime"]), moment(in["EndTime"])
	skip := 0
	if token := text(in["NextToken"]); token != "" {
		plain, _ := base64.StdEncoding.DecodeString(token)
		skip, _ = strconv.Atoi(string(plain))
	}
	results := cbor.List{}
	n := 0 // data points up to here
	for _, q := range queries {
		status := "Complete"
		if m.Status != nil && m.Status(q.Metric, q.Instance) != "" {
			status = m.Status(q.Metric, q.Instance)
		}
		var times, values cbor.List
		for at := from; at.Before(to); at = at.Add(q.Period) {
			v, ok := m.Value(q.Metric, q.Instance, at)
			if !ok {
				continue
			}
			n++
			if n <= skip {
				continue
			}
			if m.Points > 0 && n > skip+m.Points {
				status = "PartialData"
				break
			}
			times = append(times, cbor.Tag{ID: 1, Value: cbor.Float64(at.Unix())})
			values = append(values, cbor.Float64(v))
		}
		results = append(results, cbor.Map{"Id": cbor.String(q.ID), "Label": cbor.String(q.Metric), "StatusCode": cbor.String(status), "Timestamps": orEmpty(times), "Values": orEmpty(values)})
		if status == "PartialData" {
			return cbor.Map{"MetricDataResults": results, "NextToken": cbor.String(base64.StdEncoding.EncodeToString([]byte(strconv.Itoa(skip + m.Points))))}
		}
	}
	return cbor.Map{"MetricDataResults": results}
}

func orEmpty(l cbor.List) cbor.List {
	if l == nil {
		return cbor.List{}
	}
	return l
}

func text(v cbor.Value) string { s, _ := v.(cbor.String); return string(s) }

// moment reads a time: tag 1, seconds.
func moment(v cbor.Value) time.Time {
	t, _ := v.(*cbor.Tag)
	if t == nil {
		return time.Time{}
	}
	switch s := t.Value.(type) {
	case cbor.Float64:
		return time.UnixMilli(int64(float64(s) * 1000)).UTC()
	case cbor.Uint:
		return time.Unix(int64(s), 0).UTC()
	}
	return time.Time{}
}

func refuseCBOR(w http.ResponseWriter, e *Error) {
	w.Header().Set("Smithy-Protocol", "rpc-v2-cbor")
	w.Header().Set("Content-Type", "application/cbor")
	w.WriteHeader(e.Status)
	_, _ = w.Write(cbor.Encode(cbor.Map{"__type": cbor.String("com.amazonaws.cloudwatch#" + e.Code), "message": cbor.String(e.Message)}))
}
