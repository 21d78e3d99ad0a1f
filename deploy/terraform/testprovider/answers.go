package main

import (
	"crypto/rand"
	"encoding/hex"
	"math/big"
	"strings"

	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// prefixes are those of the identifiers that AWS gives.
var prefixes = map[string]string{
	"aws_ec2_traffic_mirror_filter":       "tmf-",
	"aws_ec2_traffic_mirror_filter_rule":  "tmfr-",
	"aws_ec2_traffic_mirror_session":      "tms-",
	"aws_ec2_traffic_mirror_target":       "tmt-",
	"aws_instance":                        "i-",
	"aws_launch_template":                 "lt-",
	"aws_network_interface":               "eni-",
	"aws_network_interface_attachment":    "eni-attach-",
	"aws_security_group":                  "sg-",
	"aws_vpc_endpoint":                    "vpce-",
	"aws_vpc_endpoint_service":            "vpce-svc-",
	"aws_vpc_security_group_ingress_rule": "sgr-",
	"aws_vpc_security_group_egress_rule":  "sgr-",
}

// paths are identifiers that a module looks into; NAME is the name that
// was asked for.
var paths = map[string]string{
	"google_network_security_mirroring_deployment_group": "projects/sensors/locations/global/mirroringDeploymentGroups/NAME",
	"google_network_security_security_profile_group":     "organizations/1/locations/global/securityProfileGroups/NAME",

	"azurerm_resource_group":    "/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/NAME",
	"azurerm_network_interface": "/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/sensors/providers/Microsoft.Network/networkInterfaces/NAME",
}

// texts are made-up values of attributes by their name, for resources and data
// sources alike. ID stands for octets that are never the same.
var texts = map[string]string{
	"owner_id":               "111122223333",
	"availability_zone":      "eu-central-1a",
	"cidr_block":             "10.9.1.0/24",
	"dns_suffix":             "amazonaws.com",
	"insecure_value":         "ami-0123456789abcdef0",
	"mac_address":            "06:00:00:00:00:01",
	"partition":              "aws",
	"private_ip":             "10.9.1.10",
	"private_ip_address":     "10.9.1.10",
	"region":                 "eu-central-1",
	"service_name":           "com.amazonaws.vpce.eu-central-1.vpce-svc-ID",
	"ip_address":             "10.9.1.10",
	"ip_cidr_range":          "10.9.1.0/24",
	"tenant_id":              "00000000-0000-4000-8000-000000000002",
	"principal_id":           "00000000-0000-4000-8000-000000000003",
	"client_id":              "00000000-0000-4000-8000-000000000004",
	"email":                  "sensor@sensors.iam.gserviceaccount.com",
	"member":                 "serviceAccount:sensor@sensors.iam.gserviceaccount.com",
	"vpc_id":                 "vpc-0123456789abcdef0",
	"location":               "westeurope",
	"instance_group":         "https://compute.example/instanceGroups/ID",
	"forwarding_rule_id":     "1",
	"self_link":              "https://compute.example/TYPE/ID",
	"arn":                    "arn:aws:test:eu-central-1:111122223333:TYPE/ID",
	"invitation_arn":         "arn:aws:ram:eu-central-1:111122223333:resource-share-invitation/ID",
	"arn_suffix":             "net/ID/1",
	"dns_name":               "ID.elb.eu-central-1.amazonaws.com",
	"private_dns_name":       "ID.compute.internal",
	"name":                   "TYPE-ID",
	"unique_id":              "ID",
	"create_date":            "2026-01-01T00:00:00Z",
	"creation_timestamp":     "2026-01-01T00:00:00Z",
	"security_group_rule_id": "sgr-ID",
}

// answer gives a value in place of one that is not known yet: what the cloud
// would have answered for this attribute. around is the resource.
func answer(resource, attribute string, v tftypes.Value, around map[string]tftypes.Value) tftypes.Value {
	if v.IsFullyKnown() {
		return v
	}
	typ := v.Type()
	switch {
	case typ.Is(tftypes.String):
		return tftypes.NewValue(typ, text(resource, attribute, around))
	case typ.Is(tftypes.Number):
		return tftypes.NewValue(typ, big.NewFloat(1))
	case typ.Is(tftypes.Bool):
		return tftypes.NewValue(typ, false)
	case typ.Is(tftypes.Map{}):
		// What is computed of a map repeats what was said: tags_all.
		if said, ok := around[strings.TrimSuffix(attribute, "_all")]; ok && !said.IsNull() && said.IsFullyKnown() && said.Type().Equal(typ) {
			return said
		}
		return tftypes.NewValue(typ, map[string]tftypes.Value{})
	case typ.Is(tftypes.List{}), typ.Is(tftypes.Set{}):
		return tftypes.NewValue(typ, elements(resource, attribute, typ, around))
	default: // an object, or of any type
		return tftypes.NewValue(typ, nil)
	}
}

// elements gives those of a list or set: one text where a resource has one of
// the name in the singular, else none.
func elements(resource, attribute string, typ tftypes.Type, around map[string]tftypes.Value) []tftypes.Value {
	var element tftypes.Type
	switch t := typ.(type) {
	case tftypes.List:
		element = t.ElementType
	case tftypes.Set:
		element = t.ElementType
	}
	if element == nil || !element.Is(tftypes.String) {
		return []tftypes.Value{}
	}
	one := strings.TrimSuffix(attribute, "s")
	if _, ok := texts[one]; !ok || one == attribute {
		return []tftypes.Value{}
	}
	return []tftypes.Value{tftypes.NewValue(element, text(resource, one, around))}
}

// text makes a string up.
func text(resource, attribute string, around map[string]tftypes.Value) string {
	kind := resource[strings.Index(resource, "_")+1:]
	if attribute == "id" {
		return identifier(resource, kind, around)
	}
	form, ok := texts[attribute]
	if !ok {
		return attribute + "-" + unique(4)
	}
	if attribute == "arn" && resource == "aws_lb" {
		form = "arn:aws:elasticloadbalancing:eu-central-1:111122223333:loadbalancer/net/ID"
	}
	return strings.NewReplacer("ID", unique(8), "TYPE", kind).Replace(form)
}

// identifier makes the id of a resource.
func identifier(resource, kind string, around map[string]tftypes.Value) string {
	if prefix, ok := prefixes[resource]; ok {
		return prefix + unique(9)[:17]
	}
	name := unique(8)
	for _, argument := range []string{"name", "mirroring_deployment_group_id"} {
		if v, ok := around[argument]; ok && v.IsKnown() && !v.IsNull() {
			_ = v.As(&name) // a name that is no text is none
		}
	}
	if path, ok := paths[resource]; ok {
		return strings.ReplaceAll(path, "NAME", name)
	}
	switch {
	case strings.HasPrefix(resource, "google_"):
		return "projects/sensors/" + kind + "/" + name
	case strings.HasPrefix(resource, "azurerm_"), strings.HasPrefix(resource, "azapi_"):
		return "/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/test/providers/" + kind + "/" + name
	}
	return name
}

// unique gives so many random octets as text.
func unique(octets int) string {
	b := make([]byte, octets)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
