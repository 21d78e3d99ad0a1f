package mirror

import (
	"github.com/aws/aws-sdk-go-v2/service/ec2"
)

// use says what an action of the API is needed for.
type use struct {
	action  string // of EC2
	mutates bool
	// resources that the action is asked for, by the names that ARNs have; nil:
	// all, as reading is not told apart by resource.
	resources []string
	own       bool // only on what carries the tags of a desired state
	creates   string
	part      part
}

// part is which part of a desired state needs an action.
type part uint8

const (
	always     part = iota
	ownFilter       // filter.id is not given
	ownTargets      // a target is given by what it is
)

// uses lists every action that this package calls. The policies are made of it,
// and a test compares it with the calls that come.
var uses = []use{
	{action: "DescribeInstances"},
	{action: "DescribeInstanceTypes"},
	{action: "DescribeNetworkInterfaces"},
	{action: "DescribeTrafficMirrorFilters"},
	{action: "DescribeTrafficMirrorSessions"},
	{action: "DescribeTrafficMirrorTargets"},

	{action: "CreateTrafficMirrorSession", mutates: true, creates: "traffic-mirror-session", resources: []string{"network-interface", "traffic-mirror-filter", "traffic-mirror-target"}},
	{action: "ModifyTrafficMirrorSession", mutates: true, own: true, resources: []string{"traffic-mirror-session"}},
	{action: "DeleteTrafficMirrorSession", mutates: true, own: true, resources: []string{"traffic-mirror-session"}},

	{action: "CreateTrafficMirrorTarget", mutates: true, part: ownTargets, creates: "traffic-mirror-target", resources: []string{"network-interface"}},
	{action: "DeleteTrafficMirrorTarget", mutates: true, part: ownTargets, own: true, resources: []string{"traffic-mirror-target"}},

	{action: "CreateTrafficMirrorFilter", mutates: true, part: ownFilter, creates: "traffic-mirror-filter"},
	{action: "DeleteTrafficMirrorFilter", mutates: true, part: ownFilter, own: true, resources: []string{"traffic-mirror-filter"}},
	{action: "ModifyTrafficMirrorFilterNetworkServices", mutates: true, part: ownFilter, own: true, resources: []string{"traffic-mirror-filter"}},
	{action: "CreateTrafficMirrorFilterRule", mutates: true, part: ownFilter, own: true, resources: []string{"traffic-mirror-filter"}},
	{action: "ModifyTrafficMirrorFilterRule", mutates: true, part: ownFilter, own: true, resources: []string{"traffic-mirror-filter"}},
	{action: "DeleteTrafficMirrorFilterRule", mutates: true, part: ownFilter, own: true, resources: []string{"traffic-mirror-filter"}},
}

// mutating are the actions that Limit holds back.
var mutating = func() map[string]bool {
	m := map[string]bool{}
	for _, u := range uses {
		if u.mutates {
			m[u.action] = true
		}
	}
	return m
}()

// api is the client of the service; the parts that are used are in uses.
type api = *ec2.Client
