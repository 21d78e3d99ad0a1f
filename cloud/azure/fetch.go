package azure

import (
	"context"
	"errors"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v6"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/network/armnetwork/v6"

	inventory "mirrorscope/cloud"
)

// The permissions that a look takes.
const (
	readNICs      = "Microsoft.Network/networkInterfaces/read"
	readPublic    = "Microsoft.Network/publicIPAddresses/read"
	readBalancers = "Microsoft.Network/loadBalancers/read"
	readMachines  = "Microsoft.Compute/virtualMachines/read"
	readSets      = "Microsoft.Compute/virtualMachineScaleSets/read"
	readSetVMs    = "Microsoft.Compute/virtualMachineScaleSets/virtualMachines/read"
	readSetNICs   = "Microsoft.Compute/virtualMachineScaleSets/networkInterfaces/read"
)

// maxPages bounds a list.
const maxPages = 5000

// clients of one subscription.
type clients struct {
	nics      *armnetwork.InterfacesClient
	public    *armnetwork.PublicIPAddressesClient
	balancers *armnetwork.LoadBalancersClient
	machines  *armcompute.VirtualMachinesClient
	sets      *armcompute.VirtualMachineScaleSetsClient
	setVMs    *armcompute.VirtualMachineScaleSetVMsClient
}

func (s *subscription) clients(ctx context.Context) (id string, c *clients, err error) {
	id, credential, o, err := s.open(ctx)
	if err != nil {
		return "", nil, err
	}
	network, err := armnetwork.NewClientFactory(id, credential, o)
	if err != nil {
		return "", nil, trouble("make a client", "", err)
	}
	compute, err := armcompute.NewClientFactory(id, credential, o)
	if err != nil {
		return "", nil, trouble("make a client", "", err)
	}
	return id, &clients{
		network.NewInterfacesClient(), network.NewPublicIPAddressesClient(), network.NewLoadBalancersClient(),
		compute.NewVirtualMachinesClient(), compute.NewVirtualMachineScaleSetsClient(), compute.NewVirtualMachineScaleSetVMsClient(),
	}, nil
}

// lists are what a look has read.
type lists struct {
	nics      []*armnetwork.Interface
	public    []*armnetwork.PublicIPAddress
	balancers []*armnetwork.LoadBalancer
	machines  []*armcompute.VirtualMachine
	sets      []*set
}

// set is a scale set in uniform orchestration.
type set struct {
	name     string
	nics     []*armnetwork.Interface
	machines []*armcompute.VirtualMachineScaleSetVM
}

// Fetch implements inventory.Source. Interfaces are read before machines, so that one
// that is begun meanwhile is a machine without an interface rather than the other way
// round.
func (s *subscription) Fetch(ctx context.Context) (*inventory.Snapshot, error) {
	id, c, err := s.clients(ctx)
	if err != nil {
		return nil, err
	}
	var l lists
	var sets []*armcompute.VirtualMachineScaleSet
	for _, read := range []func() error{
		func() (err error) {
			l.public, err = pages(ctx, id, readPublic, c.public.NewListAllPager(nil), func(r armnetwork.PublicIPAddressesClientListAllResponse) []*armnetwork.PublicIPAddress {
				return r.Value
			})
			return err
		},
		func() (err error) {
			l.balancers, err = pages(ctx, id, readBalancers, c.balancers.NewListAllPager(nil), func(r armnetwork.LoadBalancersClientListAllResponse) []*armnetwork.LoadBalancer { return r.Value })
			return err
		},
		func() (err error) {
			l.nics, err = pages(ctx, id, readNICs, c.nics.NewListAllPager(nil), func(r armnetwork.InterfacesClientListAllResponse) []*armnetwork.Interface { return r.Value })
			return err
		},
		func() (err error) {
			l.machines, err = pages(ctx, id, readMachines, c.machines.NewListAllPager(nil), func(r armcompute.VirtualMachinesClientListAllResponse) []*armcompute.VirtualMachine { return r.Value })
			return err
		},
		func() (err error) {
			sets, err = pages(ctx, id, readSets, c.sets.NewListAllPager(nil), func(r armcompute.VirtualMachineScaleSetsClientListAllResponse) []*armcompute.VirtualMachineScaleSet {
				return r.Value
			})
			return err
		},
	} {
		if err := read(); err != nil {
			return nil, err
		}
	}
	for _, v := range sets {
		if v.Properties != nil && v.Properties.OrchestrationMode != nil && *v.Properties.OrchestrationMode == armcompute.OrchestrationModeFlexible {
			continue // its machines and interfaces are in the lists of all
		}
		one, err := c.set(ctx, id, v)
		if gone(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		l.sets = append(l.sets, one)
	}
	return snapshot(id, &l), nil
}

// set reads what is in a scale set.
func (c *clients) set(ctx context.Context, id string, v *armcompute.VirtualMachineScaleSet) (_ *set, err error) {
	one := &set{name: text(v.Name)}
	group := segment(text(v.ID), "resourcegroups")
	one.nics, err = pages(ctx, id, readSetNICs, c.nics.NewListVirtualMachineScaleSetNetworkInterfacesPager(group, one.name, nil),
		func(r armnetwork.InterfacesClientListVirtualMachineScaleSetNetworkInterfacesResponse) []*armnetwork.Interface {
			return r.Value
		})
	if err != nil {
		return nil, err
	}
	one.machines, err = pages(ctx, id, readSetVMs, c.setVMs.NewListPager(group, one.name, nil),
		func(r armcompute.VirtualMachineScaleSetVMsClientListResponse) []*armcompute.VirtualMachineScaleSetVM {
			return r.Value
		})
	return one, err
}

// gone tells whether an error is that there is no such thing any more.
func gone(err error) bool {
	var g *goneError
	return errors.As(err, &g)
}

// goneError is the error of a list below something that has been deleted.
type goneError struct{ error }

func (g *goneError) Unwrap() error { return g.error }

// pages reads a list to its end.
func pages[R, T any](ctx context.Context, id, action string, p *runtime.Pager[R], take func(R) []*T) ([]*T, error) {
	var all []*T
	for n := 0; p.More(); n++ {
		page, err := p.NextPage(ctx)
		if err != nil {
			var api *azcore.ResponseError
			missing := errors.As(err, &api) && api.StatusCode == http.StatusNotFound
			err = trouble("list in "+id, action, err)
			if missing {
				err = &goneError{err}
			}
			return nil, err
		}
		if n >= maxPages {
			return nil, &inventory.Trouble{Doing: "list in " + id + " by " + action, Err: errors.New("the list has no end")}
		}
		for _, v := range take(page) {
			if v != nil {
				all = append(all, v)
			}
		}
	}
	return all, nil
}

// Check implements inventory.Checker: credentials, and each list by its first page.
// Azure answers with what an identity may see: an empty list may mean that it may see
// nothing.
func (s *subscription) Check(ctx context.Context) []inventory.Finding {
	id, c, err := s.clients(ctx)
	if err != nil {
		return []inventory.Finding{bad("credentials", err)}
	}
	found := []inventory.Finding{}
	for _, t := range []struct {
		action string
		try    func() (int, error)
	}{
		{readNICs, func() (int, error) { r, err := c.nics.NewListAllPager(nil).NextPage(ctx); return len(r.Value), err }},
		{readPublic, func() (int, error) { r, err := c.public.NewListAllPager(nil).NextPage(ctx); return len(r.Value), err }},
		{readBalancers, func() (int, error) {
			r, err := c.balancers.NewListAllPager(nil).NextPage(ctx)
			return len(r.Value), err
		}},
		{readMachines, func() (int, error) { r, err := c.machines.NewListAllPager(nil).NextPage(ctx); return len(r.Value), err }},
		{readSets, func() (int, error) { r, err := c.sets.NewListAllPager(nil).NextPage(ctx); return len(r.Value), err }},
	} {
		n, err := t.try()
		switch {
		case err != nil:
			found = append(found, bad(t.action, trouble("list in "+id, t.action, err)))
		case n == 0 && t.action == readNICs:
			found = append(found, inventory.Finding{
				About: t.action, Found: "the answer is empty", Why: "Azure answers with what the identity may see, which may be nothing",
				Mend: "if there are machines in subscription " + id + ", grant the role of docs/how-to/azure.md on the subscription, not on something in it",
			})
		default:
			found = append(found, inventory.Finding{About: t.action, OK: true, Found: "answered"})
		}
	}
	return found
}

func bad(about string, err error) inventory.Finding {
	return inventory.Finding{About: about, Found: err.Error(), Why: "addresses of this subscription have no names", Mend: inventory.Mend(err)}
}
