package mirror

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// clientToken gives a client token that is the same whenever the same is asked for: a
// create whose answer got lost, or that a crash came after, is not done twice. 64
// characters, the most that the API takes.
//
// It is not the only guard: an interface has a session number once, and what was
// created is listed with our tags.
func clientToken(parts ...string) *string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return aws.String(hex.EncodeToString(h.Sum(nil)))
}

// tokenParts are those of a create: its tags, all else that it says, and the hour,
// so that what was created and deleted long ago is not asked for again.
func (a *applier) tokenParts(kind string, more ...string) []string {
	parts := []string{kind, a.Config.Name, a.plan.Taken.UTC().Format("2006-01-02T15")}
	tags := a.Config.tags()
	for _, key := range sortedKeys(tags) {
		parts = append(parts, key, tags[key])
	}
	return append(parts, more...)
}

// tagSpec gives the tags of what is created.
func (c *Config) tagSpec(resource types.ResourceType) []types.TagSpecification {
	spec := types.TagSpecification{ResourceType: resource}
	tags := c.tags()
	for _, key := range sortedKeys(tags) {
		spec.Tags = append(spec.Tags, types.Tag{Key: aws.String(key), Value: aws.String(tags[key])})
	}
	return []types.TagSpecification{spec}
}

func (c *Config) description() *string {
	return aws.String("mirrorscope " + c.Name)
}

// dryRun is the field of a request.
func (a *applier) dryRun() *bool {
	if a.dry {
		return aws.Bool(true)
	}
	return nil
}

// Stand-ins for what is created before, for dry runs.
const (
	someTarget = "tmt-00000000000000000"
	someFilter = "tmf-00000000000000000"
)

// targetID gives the id of the target at a place; an error if it could not be
// created.
func (a *applier) targetID(p Place) (string, error) {
	switch id := orElse(p.ID, a.targets[p.Resource]); {
	case id != "":
		return id, nil
	case a.dry:
		return someTarget, nil
	}
	return "", errors.New("the target for " + p.Resource + " could not be created")
}

// filterID gives the id of the filter; had is the one that is there.
func (a *applier) filterID(had string) (string, error) {
	switch id := orElse(had, a.filter); {
	case id != "":
		return id, nil
	case a.dry:
		return someFilter, nil
	}
	return "", errors.New("the filter could not be created")
}

func (a *applier) session(ctx context.Context, s *Step, o *Outcome) error {
	switch s.Action {
	case Create:
		return a.createSession(ctx, s, o)
	case Modify:
		err := a.modifySession(ctx, s, o)
		if notFound(err, "Session") { // somebody deleted it since it was listed
			a.load[s.have.Target]--
			a.memory.settle(s.On, s.ID)
			return a.createSession(ctx, s, o)
		}
		return err
	}
	_, err := a.Client.DeleteTrafficMirrorSession(ctx, &ec2.DeleteTrafficMirrorSessionInput{TrafficMirrorSessionId: aws.String(s.ID), DryRun: a.dryRun()})
	if err == nil || notFound(err, "") {
		a.load[s.have.Target]--
		a.memory.settle(s.On, s.ID)
	}
	return err
}

// createSession creates it at the first place of its preference that takes it.
func (a *applier) createSession(ctx context.Context, s *Step, o *Outcome) error {
	err := errors.New("all targets are full")
	for _, place := range a.plan.order(s) {
		if a.full[place.Resource] {
			continue
		}
		if err = a.createAt(ctx, s, place, a.memory.made[s.On].id, o); !a.noRoom(err, place) {
			break
		}
		o.Note = "the target it belongs to takes no more sources"
	}
	switch {
	case notFound(err, "NetworkInterface"):
		return errInterfaceGone
	case err != nil && !a.dry && refusedForGood(err):
		a.memory.refuse(s.On, explain(err), a.Now())
	}
	return err
}

// createAt creates a session at a place. salt tells it from one that was created
// with the same parameters and is gone.
func (a *applier) createAt(ctx context.Context, s *Step, place Place, salt string, o *Outcome) error {
	target, err := a.targetID(place)
	if err != nil {
		return err
	}
	filter, err := a.filterID(s.Session.Filter)
	if err != nil {
		return err
	}
	want, length := s.Session, lengthFor(a.Config, place.Kind)
	in := &ec2.CreateTrafficMirrorSessionInput{
		NetworkInterfaceId: aws.String(want.Interface), TrafficMirrorTargetId: aws.String(target), TrafficMirrorFilterId: aws.String(filter),
		SessionNumber: aws.Int32(int32(want.Number)), VirtualNetworkId: aws.Int32(int32(want.VNI)), Description: a.Config.description(),
		TagSpecifications: a.Config.tagSpec(types.ResourceTypeTrafficMirrorSession), DryRun: a.dryRun(),
		ClientToken: clientToken(a.tokenParts("session", want.Interface, target, filter, strconv.Itoa(want.Number), strconv.Itoa(want.VNI), strconv.Itoa(length), salt)...),
	}
	if length > 0 {
		in.PacketLength = aws.Int32(int32(length))
	}
	out, err := a.Client.CreateTrafficMirrorSession(ctx, in)
	if err != nil {
		return err
	}
	if out.TrafficMirrorSession == nil || aws.ToString(out.TrafficMirrorSession.TrafficMirrorSessionId) == "" {
		return errors.New("the answer has no session")
	}
	o.ID = *out.TrafficMirrorSession.TrafficMirrorSessionId
	a.load[target]++
	a.created[want.Interface] = &creation{step: s, place: place, id: o.ID}
	delete(a.memory.refused, want.Interface)
	a.memory.make(want.Interface, o.ID, a.Now())
	return nil
}

// noRoom tells whether a target takes no more sources, and remembers it.
func (a *applier) noRoom(err error, place Place) bool {
	if err == nil || place.Kind != KindInterface && place.Kind != KindUnknown || !limitReached(err) || ofInterface(err) {
		return false
	}
	a.full[place.Resource] = true
	a.memory.fill(place.Resource, a.load[orElse(place.ID, a.targets[place.Resource])], a.Now())
	return true
}

// modifySession makes the changes of a step. If a target takes no more, the next
// one is tried, down to the one where the session is.
func (a *applier) modifySession(ctx context.Context, s *Step, o *Outcome) error {
	err := errors.New("all targets are full")
	for _, place := range a.plan.order(s) {
		move := place.ID != s.have.Target
		if move && a.full[place.Resource] {
			continue
		}
		in, changed, inputErr := a.modification(s, place)
		if inputErr != nil {
			return inputErr
		}
		if !changed {
			o.Result, o.Note = Stays, "the target it belongs to takes no more sources"
			return nil
		}
		_, err = a.Client.ModifyTrafficMirrorSession(ctx, in)
		if err == nil && move {
			a.load[s.have.Target]--
			a.load[aws.ToString(in.TrafficMirrorTargetId)]++
		}
		if !move || !a.noRoom(err, place) {
			return err
		}
	}
	return err
}

// modification gives the request that makes a session as it is to be at a place;
// changed tells whether there is anything in it.
func (a *applier) modification(s *Step, place Place) (in *ec2.ModifyTrafficMirrorSessionInput, changed bool, err error) {
	have, want := s.have, s.Session
	in = &ec2.ModifyTrafficMirrorSessionInput{TrafficMirrorSessionId: aws.String(s.ID), DryRun: a.dryRun()}
	target, err := a.targetID(place)
	if err != nil {
		return nil, false, err
	}
	filter, err := a.filterID(want.Filter)
	if err != nil {
		return nil, false, err
	}
	there := *want
	there.Target, there.Filter, there.PacketLength = target, filter, lengthFor(a.Config, place.Kind)
	changes := differ(have, &there, place.Kind)
	for _, c := range changes {
		switch c.Field {
		case "target":
			in.TrafficMirrorTargetId = aws.String(target)
		case "filter":
			in.TrafficMirrorFilterId = aws.String(filter)
		case "session_number":
			in.SessionNumber = aws.Int32(int32(want.Number))
		case "vni":
			in.VirtualNetworkId = aws.Int32(int32(want.VNI))
		case "packet_length":
			if there.PacketLength == 0 {
				in.RemoveFields = append(in.RemoveFields, types.TrafficMirrorSessionFieldPacketLength)
			} else {
				in.PacketLength = aws.Int32(int32(there.PacketLength))
			}
		}
	}
	return in, len(changes) > 0, nil
}

// generations is how often the same may have been created and deleted within the
// hour of a token, without this process knowing.
const generations = 8

// lookAgain is how long a session that was created may take to be listed.
var lookAgain = []time.Duration{0, 2 * time.Second, 4 * time.Second, 8 * time.Second}

// verify looks whether the sessions that were created are there. One that was
// created with the same parameters before, and deleted since, is what the API gives
// for the token: then another is created. What is only listed late is not doubled,
// as an interface has a session number once.
func (a *applier) verify(ctx context.Context, report *Report, tell func(Outcome)) {
	for round := 0; round < generations && len(a.created) > 0; round++ {
		missing, err := a.missing(ctx)
		if err != nil || len(missing) == 0 {
			return // whether they are there the next comparison tells
		}
		for _, nic := range missing {
			c := a.created[nic]
			o := Outcome{Step: c.step, Result: Done, Note: "in place of " + c.id + ", which was deleted before"}
			a.load[orElse(c.place.ID, a.targets[c.place.Resource])]--
			err := a.createAt(ctx, c.step, c.place, c.id, &o)
			switch {
			case err == nil:
				a.created[nic].outcome = c.outcome
			case notFound(err, "NetworkInterface"):
				o.Result, o.Note = Gone, "the interface is gone since it was listed"
			default:
				o.ID, o.Note = c.id, "not listed yet; "+explain(err)
			}
			if err != nil {
				delete(a.created, nic)
			}
			report.Outcomes[c.outcome] = o
			tell(o)
		}
	}
}

// missing lists the interfaces whose new sessions are not listed, also after a while.
func (a *applier) missing(ctx context.Context) (nics []string, err error) {
	for _, pause := range lookAgain {
		if pause > 0 {
			if err := a.Sleep(ctx, pause); err != nil {
				return nil, err
			}
		}
		listed := map[string]bool{}
		p := ec2.NewDescribeTrafficMirrorSessionsPaginator(a.Client, &ec2.DescribeTrafficMirrorSessionsInput{
			MaxResults: aws.Int32(pageSize), Filters: []types.Filter{{Name: aws.String("tag:" + TagState), Values: []string{a.Config.Name}}},
		})
		for p.HasMorePages() {
			page, err := p.NextPage(ctx)
			if err != nil {
				return nil, err
			}
			for _, s := range page.TrafficMirrorSessions {
				listed[aws.ToString(s.TrafficMirrorSessionId)] = true
			}
		}
		nics = nil
		for _, nic := range sortedKeys(a.created) {
			if id := a.created[nic].id; listed[id] {
				a.memory.settle(nic, id)
			} else {
				nics = append(nics, nic)
			}
		}
		if len(nics) == 0 {
			return nil, nil
		}
	}
	return nics, nil
}
