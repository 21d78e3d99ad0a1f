# Sensors for AWS Traffic Mirroring: the machines, the target that they are
# behind, and what is mirrored to it. The drawing is in README.md.

locals {
  tags = merge(var.tags, { "managed-by" = "terraform", "Name" = var.name })

  one     = var.target_type == "interface" # sensor; else there are many
  network = var.target_type == "network-load-balancer"
  gateway = var.target_type == "gateway-load-balancer"

  # VXLAN from the sources, or GENEVE from the gateway load balancer, whose
  # addresses are in the sensors' subnets.
  tunnel_port = local.gateway ? 6081 : 4789
  senders     = local.gateway ? local.subnet_cidrs : concat(var.source_cidrs, var.source_ipv6_cidrs)

  image = var.ami_id != null ? var.ami_id : data.aws_ssm_parameter.amazon_linux[0].insecure_value

  inventory = !var.inventory ? "" : templatefile("${path.module}/inventory.toml.tftpl", {
    region = data.aws_region.this.region
    roles  = var.inventory_roles
  })

  # Both load balancers check the health from within the subnets.
  subnet_cidrs = [for s in data.aws_subnet.sensors : s.cidr_block]
}

data "aws_partition" "this" {}

# By position, as the ids may be of subnets that are not made yet.
data "aws_subnet" "sensors" {
  for_each = { for i, id in var.subnet_ids : tostring(i) => id }

  id = each.value
}

data "aws_ssm_parameter" "amazon_linux" {
  count = var.ami_id == null ? 1 : 0

  name = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-${var.architecture}"
}

# Behind a load balancer the mirror comes to the first interface of an instance,
# where it sends its health checks to as well; so that one carries the machine's
# own traffic, too. An interface target is a second one, which says nothing.
module "boot" {
  source = "../boot"

  cloud             = "aws"
  package_url       = var.package_url
  package_sha256    = var.package_sha256
  capture_interface = local.one ? 1 : 0
  shared            = !local.one
  udp_ports         = [local.tunnel_port]
  sources           = local.senders
  networks          = var.networks
  health_port       = local.one ? 0 : var.health_port
  allowed           = var.inventory ? ["any"] : local.one ? [] : local.subnet_cidrs
  inventory         = local.inventory
  extra_config      = var.extra_config
}

module "sources" {
  source = "./sources"
  count  = local.gateway ? 0 : 1

  name            = var.name
  tags            = var.tags
  target_id       = aws_ec2_traffic_mirror_target.this[0].id
  target_type     = var.target_type
  large_interface = var.large_interface
  sessions        = var.sessions
  amazon_dns      = var.amazon_dns
  rules           = var.rules
  alarm_instances = var.alarm_instances
  alarm_all       = var.alarm_all
  alarm_actions   = var.alarm_actions
}
