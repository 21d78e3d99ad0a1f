package mirror

import (
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strings"
)

// Policy is what an identity needs to be allowed (IAM JSON policy elements).
type Policy struct {
	Version   string
	Statement []Statement
}

// Statement is a part of a policy.
type Statement struct {
	Sid       string
	Effect    string
	Action    []string
	Resource  []string
	Condition map[string]map[string][]string `json:",omitempty"`
}

// ReadPolicy allows plan and status, which change nothing.
func ReadPolicy() Policy {
	p := Policy{Version: PolicyVersion}
	p.Statement = append(p.Statement, readStatement())
	return p
}

// PolicyVersion is that of the language of policies.
const PolicyVersion = "2012-10-17"

func readStatement() Statement {
	s := Statement{Sid: "Read", Effect: "Allow", Resource: []string{"*"}}
	for _, u := range uses {
		if !u.mutates {
			s.Action = append(s.Action, "ec2:"+u.action)
		}
	}
	return s
}

// WritePolicy allows what apply, watch and destroy do. With a desired state it is
// only what that one needs: its region, its name, the targets and filter that it
// gives. nil: any state.
//
// What is changed or deleted must carry our tags, and so must what is created:
// sessions of others are out of reach whatever the program does.
func WritePolicy(c *Config) Policy {
	p := ReadPolicy()
	made := map[string]string{} // actions that create, by what
	needed := func(u *use) bool {
		switch {
		case !u.mutates:
			return false
		case c == nil || u.part == always:
			return true
		case u.part == ownFilter:
			return c.Filter.ID == ""
		}
		return slices.ContainsFunc(c.Targets, func(t Target) bool { return t.ID == "" })
	}
	ours := []string{ManagedBy}
	tagged := func(key string) map[string]map[string][]string {
		equals := map[string][]string{key + "/" + TagManagedBy: ours}
		if c != nil {
			equals[key+"/"+TagState] = []string{c.Name}
		}
		return map[string]map[string][]string{"StringEquals": equals}
	}
	changes := map[string]*Statement{}
	for i := range uses {
		u := &uses[i]
		if !needed(u) {
			continue
		}
		action := "ec2:" + u.action
		if u.creates != "" {
			made[u.creates] = u.action
			p.Statement = append(p.Statement, Statement{
				Sid: u.action + "WithOurTags", Effect: "Allow", Action: []string{action}, Resource: []string{arn(c, u.creates)}, Condition: tagged("aws:RequestTag"),
			})
		}
		if u.own != "" {
			s := changes[u.own]
			if s == nil {
				s = &Statement{Sid: "ChangeOnlyOur" + camel(u.own), Effect: "Allow", Resource: []string{arn(c, u.own)}, Condition: tagged("aws:ResourceTag")}
				changes[u.own] = s
			}
			s.Action = append(s.Action, action)
		}
		if len(u.with) > 0 {
			s := Statement{Sid: u.action + "Uses", Effect: "Allow", Action: []string{action}}
			for _, kind := range u.with {
				s.Resource = append(s.Resource, given(c, kind)...)
			}
			p.Statement = append(p.Statement, s)
		}
	}
	for _, own := range slices.Sorted(maps.Keys(changes)) {
		p.Statement = append(p.Statement, *changes[own])
	}
	tag := Statement{Sid: "TagOnCreate", Effect: "Allow", Action: []string{"ec2:CreateTags"}, Condition: map[string]map[string][]string{"StringEquals": {}}}
	for _, kind := range slices.Sorted(maps.Keys(made)) {
		tag.Resource = append(tag.Resource, arn(c, kind))
		tag.Condition["StringEquals"]["ec2:CreateAction"] = append(tag.Condition["StringEquals"]["ec2:CreateAction"], made[kind])
	}
	p.Statement = append(p.Statement, tag)
	return p
}

// arn names all resources of a type, in the region of a desired state.
func arn(c *Config, kind string) string { return prefix(c, "*") + kind + "/*" }

func prefix(c *Config, account string) string {
	partition, region := "aws", "*"
	if c != nil && c.AWS.Region != "" {
		region = c.AWS.Region
		switch {
		case strings.HasPrefix(region, "cn-"):
			partition = "aws-cn"
		case strings.HasPrefix(region, "us-gov-"):
			partition = "aws-us-gov"
		}
	}
	return "arn:" + partition + ":ec2:" + region + ":" + account + ":"
}

// given names the resources of a type that a desired state uses: those that it
// gives by id if it gives all.
func given(c *Config, kind string) []string {
	all := []string{arn(c, kind)}
	if c == nil {
		return all
	}
	switch kind {
	case arnFilter:
		if c.Filter.ID != "" {
			return []string{prefix(c, "*") + kind + "/" + c.Filter.ID}
		}
	case arnTarget:
		if len(c.Targets) > fewTargets {
			return all
		}
		var ids []string
		for _, t := range c.Targets {
			if t.ID == "" {
				return all
			}
			ids = append(ids, prefix(c, "*")+kind+"/"+t.ID)
		}
		return ids
	}
	return all
}

// fewTargets is how many are named one by one: a policy has 6,144 characters.
const fewTargets = 20

// camel makes TrafficMirrorSession of traffic-mirror-session.
func camel(s string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(s, "-") {
		b.WriteString(strings.ToUpper(part[:1]) + part[1:])
	}
	return b.String()
}

// Write writes it as IAM takes it.
func (p Policy) Write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(p)
}
