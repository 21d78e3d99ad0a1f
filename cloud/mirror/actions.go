package mirror

import (
	"github.com/aws/aws-sdk-go-v2/service/ec2"
)

// use says what an action of the API is needed for, and on what, by the names of
// resource types in ARNs. An action on nothing is asked for on everything: reading
// is not told apart by resource.
type use struct {
	action  string   // of EC2
	mutates bool     //
	creates string   // what carries our tags from then on
	own     string   // what must carry our tags already
	with    []string // what it stands on, of anybody
	part    part
}

// part is which part of a desired state needs an action.
type part uint8

const (
	always     part = iota
	ownFilter       // filter.id is not given
	ownTargets      // a target is given by what it is
)

// Resource types.
const (
	arnSession   = "traffic-mirror-session"
	arnTarget    = "traffic-mirror-target"
	arnFilter    = "traffic-mirror-filter"
	arnRule      = "traffic-mirror-filter-rule"
	arnInterface = "network-interface"
)

// uses lists every action that this package calls (Service Authorization
// Reference, Amazon EC2). The policies are made of it, and a test compares it with
// the calls that come.
var uses = []use{
	{action: "DescribeInstances"},
	{action: "DescribeInstanceTypes"},
	{action: "DescribeNetworkInterfaces"},
	{action: "DescribeTrafficMirrorFilters"},
	{action: "DescribeTrafficMirrorSessions"},
	{action: "DescribeTrafficMirrorTargets"},

	{action: "CreateTrafficMirrorSession", mutates: true, creates: arnSession, with: []string{arnInterface, arnFilter, arnTarget}},
	{action: "ModifyTrafficMirrorSession", mutates: true, own: arnSession, with: []string{arnFilter, arnTarget}},
	{action: "DeleteTrafficMirrorSession", mutates: true, own: arnSession},

	{action: "CreateTrafficMirrorTarget", mutates: true, part: ownTargets, creates: arnTarget, with: []string{arnInterface}},
	{action: "DeleteTrafficMirrorTarget", mutates: true, part: ownTargets, own: arnTarget},

	{action: "CreateTrafficMirrorFilter", mutates: true, part: ownFilter, creates: arnFilter},
	{action: "DeleteTrafficMirrorFilter", mutates: true, part: ownFilter, own: arnFilter},
	{action: "ModifyTrafficMirrorFilterNetworkServices", mutates: true, part: ownFilter, own: arnFilter},
	{action: "CreateTrafficMirrorFilterRule", mutates: true, part: ownFilter, own: arnFilter, with: []string{arnRule}},
	{action: "ModifyTrafficMirrorFilterRule", mutates: true, part: ownFilter, own: arnFilter, with: []string{arnRule}},
	{action: "DeleteTrafficMirrorFilterRule", mutates: true, part: ownFilter, own: arnFilter, with: []string{arnRule}},
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

// api is the client of the service; what is used of it is in uses.
type api = *ec2.Client
