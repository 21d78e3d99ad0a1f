# What each kind of target makes, and what the sensor's configuration says for
# it. Nothing is asked of AWS.

mock_provider "aws" {
  mock_data "aws_subnet" {
    defaults = { cidr_block = "10.9.1.0/24" }
  }
  mock_data "aws_ssm_parameter" {
    defaults = { insecure_value = "ami-0123456789abcdef0" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }
  mock_data "aws_region" {
    defaults = { region = "eu-central-1" }
  }
  mock_resource "aws_lb" {
    defaults = { arn = "arn:aws:elasticloadbalancing:eu-central-1:111122223333:loadbalancer/net/mirrorscope/0123456789abcdef" }
  }
}

variables {
  vpc_id         = "vpc-0123456789abcdef0"
  subnet_ids     = ["subnet-0123456789abcdef0"]
  source_cidrs   = ["10.0.0.0/16"]
  package_url    = "https://packages.example/mirrorscope-1.2.3-1.x86_64.rpm"
  package_sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
}

run "interface" {
  assert {
    condition     = length(aws_instance.sensor) == 1 && length(aws_autoscaling_group.sensors) == 0 && length(aws_lb.sensors) == 0
    error_message = "an interface target has one sensor and no load balancer"
  }
  assert {
    condition     = aws_ec2_traffic_mirror_target.this[0].network_interface_id == aws_network_interface.capture[0].id
    error_message = "the target is the capture interface"
  }
  assert {
    condition     = aws_instance.sensor[0].primary_network_interface[0].network_interface_id == aws_network_interface.management[0].id && aws_network_interface_attachment.capture[0].device_index == 1
    error_message = "the first interface is for management, the second for the mirror"
  }
  assert {
    condition     = length(aws_vpc_security_group_egress_rule.capture) == 0
    error_message = "nothing leaves the capture interface"
  }
  assert {
    condition     = strcontains(output.config, "shared = false") && strcontains(output.config, "udp_ports = [4789]") && strcontains(output.config, "sources = [\"10.0.0.0/16\"]") && !strcontains(output.config, "probe_http")
    error_message = "the sensor takes VXLAN from the sources alone, on a silent interface"
  }
  assert {
    condition     = aws_launch_template.sensor.metadata_options[0].http_tokens == "required"
    error_message = "the metadata service wants a token"
  }
  assert {
    condition     = base64decode(aws_launch_template.sensor.user_data) == output.user_data
    error_message = "the launch template has the user data"
  }
}

run "network_load_balancer" {
  variables {
    target_type       = "network-load-balancer"
    subnet_ids        = ["subnet-00000000000000001", "subnet-00000000000000002"]
    source_ipv6_cidrs = ["2001:db8::/32"]
    health_port       = 9999
    sensors           = { min = 3, max = 3 }
    inventory         = false
    sessions          = { for i in range(40) : "web-${i}" => { interface_id = format("eni-%017x", i) } }
  }

  assert {
    condition     = aws_lb_listener.vxlan[0].port == 4789 && aws_lb_listener.vxlan[0].protocol == "UDP"
    error_message = "a mirror needs a UDP listener on 4789"
  }
  assert {
    condition     = aws_lb.sensors[0].enable_cross_zone_load_balancing && aws_lb.sensors[0].internal
    error_message = "the load balancer is internal and balances across zones"
  }
  assert {
    condition     = aws_ec2_traffic_mirror_target.this[0].network_load_balancer_arn == aws_lb.sensors[0].arn
    error_message = "the target is the load balancer"
  }
  assert {
    condition     = aws_lb_target_group.sensors[0].health_check[0].port == "9999" && strcontains(output.config, "probe_http = \"0.0.0.0:9999\"") && strcontains(output.config, "shared = true")
    error_message = "the load balancer asks where the sensor answers, on an interface that may answer"
  }
  assert {
    condition     = strcontains(output.user_data, "IPAddressAllow=10.9.1.0/24\nIPAddressAllow=10.9.1.0/24\n") && !strcontains(output.user_data, "IPAddressAllow=any")
    error_message = "the unit lets the load balancer in, and nobody else"
  }
  assert {
    condition     = length(aws_iam_role_policy.inventory) == 0
    error_message = "without an inventory the sensor has no rights"
  }
  assert {
    condition     = aws_vpc_security_group_ingress_rule.mirror["2001:db8::/32"].cidr_ipv6 == "2001:db8::/32" && aws_vpc_security_group_ingress_rule.mirror["2001:db8::/32"].cidr_ipv4 == null
    error_message = "IPv6 sources are let in as such"
  }
  assert {
    condition     = length(output.session_ids) == 40 && length(distinct(values(output.vnis))) == 40
    error_message = "a load balancer takes any number of sources, each with its own VNI"
  }
}

run "gateway_load_balancer" {
  variables {
    target_type = "gateway-load-balancer"
    share_with  = ["arn:aws:iam::111122223333:root"]
  }

  assert {
    condition     = aws_lb.sensors[0].load_balancer_type == "gateway" && aws_lb_target_group.sensors[0].protocol == "GENEVE" && aws_lb_target_group.sensors[0].port == 6081
    error_message = "GENEVE comes on 6081"
  }
  assert {
    condition     = length(aws_ec2_traffic_mirror_target.this) == 0 && output.target_id == null && output.filter_id == null && output.mirror_policy == null
    error_message = "the target stands beside the sources"
  }
  assert {
    condition     = strcontains(output.config, "udp_ports = [6081]") && strcontains(output.config, "sources = [\"10.9.1.0/24\"]")
    error_message = "the mirror comes from the load balancer, in the sensors' subnets"
  }
  assert {
    condition     = length(aws_vpc_endpoint_service_allowed_principal.sources) == 1 && length(aws_ram_resource_share.target) == 0
    error_message = "an endpoint service is not shared by the Resource Access Manager"
  }
}

run "rights" {
  variables {
    inventory_roles = [{ role_arn = "arn:aws:iam::444455556666:role/inventory", external_id = "a-text" }, { role_arn = "arn:aws:iam::777788889999:role/inventory" }]
    session_manager = true
  }

  assert {
    condition     = alltrue([for s in jsondecode(output.inventory_policy).Statement : alltrue([for a in flatten([s.Action]) : can(regex("^(ec2:Describe[A-Za-z]+|cloudwatch:GetMetricData|sts:AssumeRole)$", a))])])
    error_message = "a sensor changes nothing"
  }
  assert {
    condition     = jsondecode(output.inventory_policy).Statement[1].Resource == ["arn:aws:iam::444455556666:role/inventory", "arn:aws:iam::777788889999:role/inventory"]
    error_message = "it takes on the named roles and no other"
  }
  assert {
    condition     = strcontains(output.config, "role_arn = \"arn:aws:iam::444455556666:role/inventory\"\nexternal_id = \"a-text\"\n\n[[cloud.aws.accounts]]\nrole_arn = \"arn:aws:iam::777788889999:role/inventory\"\n")
    error_message = "the configuration names the roles"
  }
  assert {
    condition = alltrue([
      for s in jsondecode(output.mirror_policy).Statement : s.Resource != "*" if length([for a in flatten([s.Action]) : a if !can(regex("^(ec2:Describe|cloudwatch:Get)", a))]) > 0
    ])
    error_message = "what changes something names what it may change"
  }
  assert {
    condition     = length(aws_iam_role_policy_attachment.session_manager) == 1
    error_message = "Session Manager reaches the machine"
  }
}

run "watch" {
  variables {
    watch = { interfaces = "mirror = \"yes\"", vpcs = ["vpc-0123456789abcdef0"] }
  }

  assert {
    condition     = length(aws_instance.watch) == 1 && aws_instance.watch[0].instance_type == "t3.micro" && base64decode(aws_instance.watch[0].user_data_base64) == output.watch_user_data
    error_message = "one small machine keeps the sessions"
  }
  assert {
    condition     = strcontains(output.desired_state, "interfaces = \"mirror = \\\"yes\\\"\"") && strcontains(output.desired_state, "vpcs = [\"vpc-0123456789abcdef0\"]")
    error_message = "the desired state has what was said"
  }
  assert {
    condition     = aws_iam_role_policy.watch[0].policy == output.mirror_policy && aws_iam_role_policy.inventory[0].policy == output.inventory_policy
    error_message = "sensors read, and the watching machine alone changes sessions"
  }
}

run "nobody_watches" {
  assert {
    condition     = length(aws_instance.watch) == 0 && length(aws_iam_role.watch) == 0 && output.desired_state == null
    error_message = "nothing is made for what was not asked for"
  }
}
