package aws

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"mirrorscope/cloud"
)

// skipMetrics of the namespace AWS/EC2 tell what Traffic Mirroring did not copy, of
// packets that its filter wanted, since the instance's own traffic goes first (Amazon
// VPC Traffic Mirroring, Monitor mirrored traffic using Amazon CloudWatch).
var skipMetrics = [...]struct {
	name  string
	count func(*cloud.Skip) *cloud.Count
}{
	{"NetworkPacketsSkipMirrorIn", packets}, {"NetworkPacketsSkipMirrorOut", packets},
	{"NetworkSkipMirrorIn", octets}, {"NetworkSkipMirrorOut", octets},
}

func packets(s *cloud.Skip) *cloud.Count { return &s.Packets }
func octets(s *cloud.Skip) *cloud.Count  { return &s.Bytes }

// maxQueries is the most that one GetMetricData takes.
const maxQueries = 500

const readMetrics = "cloudwatch:GetMetricData"

// metered is a place of which CloudWatch tells what was not mirrored: a cloud.Meter.
type metered struct{ *place }

// Skips implements cloud.Meter. Both directions are added up; of one that CloudWatch
// tells nothing of there is nothing in the sum.
func (m *metered) Skips(ctx context.Context, instances []string, from, to time.Time) ([]cloud.Skip, error) {
	c, err := m.clients(ctx)
	if err != nil {
		return nil, err
	}
	var all []cloud.Skip
	const batch = maxQueries / len(skipMetrics)
	for len(instances) > 0 {
		some := instances[:min(batch, len(instances))]
		instances = instances[len(some):]
		list, err := skips(ctx, c, some, from, to)
		if err != nil {
			return all, err
		}
		all = append(all, list...)
	}
	return all, nil
}

// skips asks for one batch. Only a batch that came as a whole counts: half of the
// directions would pass for all.
func skips(ctx context.Context, c *clients, instances []string, from, to time.Time) ([]cloud.Skip, error) {
	type key struct {
		instance int
		from     int64 // s
	}
	found := map[key]*cloud.Skip{}
	p := cloudwatch.NewGetMetricDataPaginator(c.cloudwatch, &cloudwatch.GetMetricDataInput{
		StartTime: aws.Time(from), EndTime: aws.Time(to), ScanBy: types.ScanByTimestampAscending, MetricDataQueries: queries(instances),
	})
	doing := "read metrics of mirroring in " + c.region
	for n := 0; p.HasMorePages(); n++ {
		page, err := p.NextPage(ctx)
		if err != nil {
			return nil, trouble(doing, readMetrics, err)
		}
		if n >= maxPages {
			return nil, &cloud.Trouble{Doing: doing, Err: errors.New("the list has no end")}
		}
		for i := range page.MetricDataResults {
			r := &page.MetricDataResults[i]
			var instance, metric int
			if _, err := fmt.Sscanf(aws.ToString(r.Id), "m%d_%d", &instance, &metric); err != nil || instance < 0 || instance >= len(instances) || metric < 0 || metric >= len(skipMetrics) {
				return nil, &cloud.Trouble{Doing: doing, Err: fmt.Errorf("an answer to %q, which was not asked", aws.ToString(r.Id))}
			}
			switch r.StatusCode {
			case types.StatusCodeForbidden:
				return nil, &cloud.Trouble{Doing: doing + " by " + readMetrics, Err: errors.New("forbidden"), Mend: mendOf("AccessDenied", readMetrics)}
			case types.StatusCodeInternalError:
				return nil, &cloud.Trouble{Doing: doing, Err: errors.New("CloudWatch has an internal error")}
			}
			for j := range min(len(r.Timestamps), len(r.Values)) {
				v := r.Values[j]
				if v < 0 || math.IsNaN(v) || v > math.MaxInt64 {
					continue
				}
				at := key{instance, r.Timestamps[j].Unix()}
				if found[at] == nil {
					found[at] = &cloud.Skip{Instance: instances[instance], From: r.Timestamps[j].UTC()}
				}
				skipMetrics[metric].count(found[at]).Add(cloud.Count{N: uint64(math.Round(v)), Known: true})
			}
		}
	}
	list := make([]cloud.Skip, 0, len(found))
	for _, s := range found {
		list = append(list, *s)
	}
	return list, nil
}

// queries asks for each metric of each instance; the id has their numbers.
func queries(instances []string) []types.MetricDataQuery {
	all := make([]types.MetricDataQuery, 0, len(instances)*len(skipMetrics))
	for i := range instances {
		for j := range skipMetrics {
			all = append(all, types.MetricDataQuery{
				Id: aws.String(fmt.Sprintf("m%d_%d", i, j)),
				MetricStat: &types.MetricStat{
					Metric: &types.Metric{
						Namespace: aws.String("AWS/EC2"), MetricName: aws.String(skipMetrics[j].name),
						Dimensions: []types.Dimension{{Name: aws.String("InstanceId"), Value: aws.String(instances[i])}},
					},
					Period: aws.Int32(int32(cloud.SkipPeriod / time.Second)), Stat: aws.String("Sum"),
				},
			})
		}
	}
	return all
}
