package terraform_test

import (
	"encoding/json"
	"errors"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// sha is the SHA-256 of no package at all.
const sha = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// examples are those of the modules, with variables as a user might give them.
var examples = map[string]map[string]any{
	"aws/examples/one-sensor": {
		"vpc_id": "vpc-0123456789abcdef0", "subnet_id": "subnet-0123456789abcdef0", "source_cidrs": []string{"10.0.0.0/16"},
		"management_cidrs": []string{"192.0.2.0/24"}, "package_url": "https://packages.example/mirrorscope-1.2.3-1.x86_64.rpm", "package_sha256": sha,
		"interfaces": map[string]string{"web-1": "eni-00000000000000001", "db": "eni-00000000000000002"}, "instances": map[string]string{"web-1": "i-00000000000000001"},
	},
	"aws/examples/autoscaled": {
		"vpc_id": "vpc-0123456789abcdef0", "subnet_ids": []string{"subnet-00000000000000001", "subnet-00000000000000002"}, "source_cidrs": []string{"10.0.0.0/16", "10.4.0.0/16"},
		"package_url": "https://packages.example/mirrorscope-1.2.3-1.aarch64.rpm?signature=a%20b", "package_sha256": sha, "alarm_actions": []string{"arn:aws:sns:eu-central-1:111122223333:pager"},
	},
	"aws/examples/gateway-load-balancer": {
		"sensors_role": "arn:aws:iam::444455556666:role/terraform", "sensors_vpc_id": "vpc-0123456789abcdef0", "sensors_subnet_ids": []string{"subnet-00000000000000001", "subnet-00000000000000002"},
		"sources_role": "arn:aws:iam::111122223333:role/terraform", "sources_account": "111122223333", "sources_vpc_id": "vpc-0fedcba9876543210", "sources_subnet_id": "subnet-00000000000000003",
		"source_cidrs": []string{"10.0.0.0/16"}, "package_url": "https://packages.example/mirrorscope-1.2.3-1.x86_64.rpm", "package_sha256": sha,
		"interfaces": map[string]string{"web-1": "eni-00000000000000001", "web-2": "eni-00000000000000002"},
	},
	"aws/examples/shared-target": {
		"sensors_role": "arn:aws:iam::444455556666:role/terraform", "sensors_vpc_id": "vpc-0123456789abcdef0", "sensors_subnet_ids": []string{"subnet-00000000000000001", "subnet-00000000000000002"},
		"sources_role": "arn:aws:iam::111122223333:role/terraform", "sources_account": "111122223333",
		"source_cidrs": []string{"10.0.0.0/16"}, "package_url": "https://packages.example/mirrorscope-1.2.3-1.x86_64.rpm", "package_sha256": sha,
		"interfaces": map[string]string{"web-1": "eni-00000000000000001"},
	},
	"gcp/examples/packet-mirroring": {
		"project": "sensors", "management_network": "projects/sensors/global/networks/management", "management_subnetwork": "projects/sensors/regions/europe-west3/subnetworks/management",
		"mirrored_network": "projects/sensors/global/networks/shop", "mirrored_subnetworks": []string{"projects/sensors/regions/europe-west3/subnetworks/web"},
		"package_url": "https://packages.example/mirrorscope_1.2.3_amd64.deb", "package_sha256": sha,
	},
	"gcp/examples/out-of-band": {
		"sensors_project": "sensors", "sources_project": "shop-1", "organization": "123456789012", "management_network": "projects/sensors/global/networks/management",
		"management_subnetwork": "projects/sensors/regions/europe-west3/subnetworks/management", "networks": map[string]string{"shop": "projects/shop/global/networks/shop", "bank": "projects/shop/global/networks/bank"},
		"package_url": "https://packages.example/mirrorscope_1.2.3_amd64.deb", "package_sha256": sha,
	},
	"azure/examples/one-sensor": {
		"subscription_id": "00000000-0000-4000-8000-000000000001", "resource_group_name": "sensors", "capture_subnet_id": "subnets/capture", "management_subnet_id": "subnets/management", "management_cidrs": []string{"192.0.2.0/24"},
		"admin_ssh_key": "ssh-ed25519 AAAA", "package_url": "https://packages.example/mirrorscope_1.2.3_amd64.deb", "package_sha256": sha, "sources": map[string]string{"web-1": nics + "web-1"},
	},
	"azure/examples/scale-set": {
		"subscription_id": "00000000-0000-4000-8000-000000000001", "resource_group_name": "sensors", "capture_subnet_id": "subnets/capture", "management_subnet_id": "subnets/management",
		"admin_ssh_key": "ssh-ed25519 AAAA", "package_url": "https://packages.example/mirrorscope_1.2.3_amd64.deb", "package_sha256": sha, "sources": map[string]string{"web-1": nics + "web-1", "web-2": nics + "web-2"},
	},
}

// nics is where interfaces are in Azure.
const nics = "/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/shop/providers/Microsoft.Network/networkInterfaces/"

// state is what `terraform show -json` prints of what there is.
type state struct {
	Values struct {
		Outputs map[string]struct {
			Value json.RawMessage `json:"value"`
		} `json:"outputs"`
		Root stateModule `json:"root_module"`
	} `json:"values"`
}

type stateModule struct {
	Resources []stateResource `json:"resources"`
	Modules   []stateModule   `json:"child_modules"`
}

type stateResource struct {
	Address string         `json:"address"`
	Mode    string         `json:"mode"`
	Type    string         `json:"type"`
	Values  map[string]any `json:"values"`
}

// all gives the resources of a type in a module and those below it.
func (m *stateModule) all(kind string) []stateResource {
	var found []stateResource
	for _, r := range m.Resources {
		if r.Mode == "managed" && (kind == "" || r.Type == kind) {
			found = append(found, r)
		}
	}
	for i := range m.Modules {
		found = append(found, m.Modules[i].all(kind)...)
	}
	return found
}

func show(t *testing.T, dir string) *state {
	t.Helper()
	var s state
	if err := json.Unmarshal(tf(t, dir, "show", "-json"), &s); err != nil {
		t.Fatal(err)
	}
	return &s
}

func (s *state) output(t *testing.T, name string, to any) {
	t.Helper()
	if err := json.Unmarshal(s.Values.Outputs[name].Value, to); err != nil {
		t.Fatalf("output %s: %v", name, err)
	}
}

// TestExamples takes each example through its life: what it asks for is valid,
// can be planned and made; a second plan changes nothing; and it goes away.
func TestExamples(t *testing.T) {
	found, err := filepath.Glob("*/examples/*/main.tf")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range found {
		name := filepath.ToSlash(filepath.Dir(path))
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			values, ok := examples[name]
			if !ok {
				t.Fatal("the example has no variables here")
			}
			dir := filepath.Join(modules(t), name)
			variables(t, dir, values)
			tf(t, dir, "init", "-no-color")
			if out := tf(t, dir, "validate", "-no-color"); !strings.HasPrefix(string(out), "Success! The configuration is valid.\n") {
				t.Errorf("validate warns:\n%s", out) // as of what is deprecated
			}
			tf(t, dir, "plan", "-no-color", "-out=plan")
			tf(t, dir, "apply", "-no-color", "plan")
			s := show(t, dir)
			if look := looks[name]; look == nil {
				t.Error("nobody looks at what this example makes")
			} else {
				look(t, s)
			}
			userData(t, s)
			if out, err := try(t, dir, "plan", "-no-color", "-detailed-exitcode"); err != nil {
				var exit *exec.ExitError
				if errors.As(err, &exit) && exit.ExitCode() == 2 {
					t.Errorf("a second plan changes something:\n%s", out)
				} else {
					t.Error(err)
				}
			}
			tf(t, dir, "destroy", "-no-color", "-auto-approve")
			if left := show(t, dir).Values.Root.all(""); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
	if len(found) < len(examples) {
		t.Errorf("%d examples, variables for %d", len(found), len(examples))
	}
}

// looks check what an example has made.
var looks = map[string]func(*testing.T, *state){
	"aws/examples/one-sensor":            oneSensor,
	"aws/examples/autoscaled":            autoscaled,
	"aws/examples/gateway-load-balancer": gatewayLoadBalancer,
	"aws/examples/shared-target":         sharedTarget,
	"gcp/examples/packet-mirroring":      packetMirroring,
	"gcp/examples/out-of-band":           outOfBand,
	"azure/examples/one-sensor":          azureSensor,
	"azure/examples/scale-set":           scaleSet,
}

// only gives the one resource of a type.
func only(t *testing.T, s *state, kind string) map[string]any {
	t.Helper()
	found := s.Values.Root.all(kind)
	if len(found) != 1 {
		t.Fatalf("%d of %s, want one", len(found), kind)
	}
	return found[0].Values
}

// texts gives an attribute of all resources of a type, sorted.
func texts(s *state, kind, attribute string) []string {
	var list []string
	for _, r := range s.Values.Root.all(kind) {
		text, _ := r.Values[attribute].(string) // what is none is empty
		list = append(list, text)
	}
	slices.Sort(list)
	return list
}
