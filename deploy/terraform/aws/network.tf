# Security groups, and the two interfaces of the one sensor behind an interface
# target.

resource "aws_security_group" "capture" {
  name_prefix = "${var.name}-capture-"
  description = "Mirror traffic to the Mirrorscope sensors ${var.name}"
  vpc_id      = var.vpc_id
  tags        = merge(local.tags, { "Name" = "${var.name} capture" })

  lifecycle {
    create_before_destroy = true
  }
}

# By position, as the prefixes may be of subnets that are not made yet.
resource "aws_vpc_security_group_ingress_rule" "mirror" {
  for_each = local.gateway ? { for i, _ in var.subnet_ids : "subnet ${i}" => null } : { for c in concat(var.source_cidrs, var.source_ipv6_cidrs) : c => c }

  security_group_id = aws_security_group.capture.id
  description       = local.gateway ? "GENEVE from the gateway load balancer" : "VXLAN from the mirrored interfaces"
  ip_protocol       = "udp"
  from_port         = local.tunnel_port
  to_port           = local.tunnel_port
  cidr_ipv4         = local.gateway ? data.aws_subnet.sensors[trimprefix(each.key, "subnet ")].cidr_block : strcontains(each.key, ":") ? null : each.key
  cidr_ipv6         = strcontains(each.key, ":") ? each.key : null
  tags              = local.tags
}

resource "aws_vpc_security_group_ingress_rule" "health" {
  for_each = local.one ? {} : { for i, _ in var.subnet_ids : "subnet ${i}" => tostring(i) }

  security_group_id = aws_security_group.capture.id
  description       = "Health checks of the load balancer"
  ip_protocol       = "tcp"
  from_port         = var.health_port
  to_port           = var.health_port
  cidr_ipv4         = data.aws_subnet.sensors[each.value].cidr_block
  tags              = local.tags
}

# Nothing leaves the capture interface of a single sensor. Behind a load balancer
# it is the one by which the machine fetches its package and asks for names.
resource "aws_vpc_security_group_egress_rule" "capture" {
  for_each = local.one ? {} : local.anywhere

  security_group_id = aws_security_group.capture.id
  description       = "Package, inventory, time"
  ip_protocol       = "-1"
  cidr_ipv4         = each.key == "ipv4" ? each.value : null
  cidr_ipv6         = each.key == "ipv6" ? each.value : null
  tags              = local.tags
}

locals {
  anywhere = { ipv4 = "0.0.0.0/0", ipv6 = "::/0" }
}

resource "aws_security_group" "management" {
  name_prefix = "${var.name}-management-"
  description = "Management of the Mirrorscope sensors ${var.name}"
  vpc_id      = var.vpc_id
  tags        = merge(local.tags, { "Name" = "${var.name} management" })

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "ssh" {
  for_each = toset(var.management_cidrs)

  security_group_id = aws_security_group.management.id
  description       = "SSH"
  ip_protocol       = "tcp"
  from_port         = 22
  to_port           = 22
  cidr_ipv4         = each.value
  tags              = local.tags
}

resource "aws_vpc_security_group_egress_rule" "management" {
  for_each = local.anywhere

  security_group_id = aws_security_group.management.id
  description       = "Package, inventory, time"
  ip_protocol       = "-1"
  cidr_ipv4         = each.key == "ipv4" ? each.value : null
  cidr_ipv6         = each.key == "ipv6" ? each.value : null
  tags              = local.tags
}

# The target is this interface, not the machine: a new machine takes it over.
resource "aws_network_interface" "capture" {
  count = local.one ? 1 : 0

  subnet_id       = var.subnet_ids[0]
  description     = "Mirror traffic to the Mirrorscope sensor ${var.name}"
  security_groups = [aws_security_group.capture.id]
  tags            = merge(local.tags, { "Name" = "${var.name} capture" })
}

resource "aws_network_interface" "management" {
  count = local.one ? 1 : 0

  subnet_id       = var.management_subnet_id != null ? var.management_subnet_id : var.subnet_ids[0]
  description     = "Management of the Mirrorscope sensor ${var.name}"
  security_groups = [aws_security_group.management.id]
  tags            = merge(local.tags, { "Name" = "${var.name} management" })
}
