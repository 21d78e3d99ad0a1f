# What is on the side of the mirrored machines: the filter, the sessions, and,
# through a gateway load balancer, the endpoint and the target behind it. It is
# used by the module above in the sensors' own account, and by itself in others.

locals {
  tags = merge(var.tags, { "managed-by" = "terraform", "Name" = var.name })

  target_id = var.target_id != null ? var.target_id : one(aws_ec2_traffic_mirror_target.endpoint[*].id)

  # A VNI for each session that names none: 24 bits of a hash of its name, which
  # stays when others come and go. 0 is none that AWS takes.
  vnis = {
    for key, s in var.sessions : key => s.vni != null ? s.vni : max(1, parseint(substr(sha256("${var.name}/${key}"), 0, 6), 16))
  }
}

resource "aws_ec2_traffic_mirror_filter" "this" {
  description      = "What the Mirrorscope sensors ${var.name} are sent"
  network_services = var.amazon_dns ? ["amazon-dns"] : []
  tags             = local.tags
}

resource "aws_ec2_traffic_mirror_filter_rule" "this" {
  for_each = { for i, r in var.rules : format("%02d", i) => r }

  traffic_mirror_filter_id = aws_ec2_traffic_mirror_filter.this.id
  description              = "${each.value.action} ${each.value.direction}"
  rule_number              = (tonumber(each.key) + 1) * 10
  rule_action              = each.value.action
  traffic_direction        = each.value.direction
  protocol                 = each.value.protocol
  source_cidr_block        = each.value.source
  destination_cidr_block   = each.value.destination

  dynamic "source_port_range" {
    for_each = each.value.source_ports[*]
    content {
      from_port = source_port_range.value.from
      to_port   = source_port_range.value.to
    }
  }

  dynamic "destination_port_range" {
    for_each = each.value.destination_ports[*]
    content {
      from_port = destination_port_range.value.from
      to_port   = destination_port_range.value.to
    }
  }
}

resource "aws_ec2_traffic_mirror_session" "this" {
  for_each = var.sessions

  description              = "${var.name}: ${each.key}"
  network_interface_id     = each.value.interface_id
  session_number           = each.value.session_number
  traffic_mirror_filter_id = aws_ec2_traffic_mirror_filter.this.id
  traffic_mirror_target_id = local.target_id
  virtual_network_id       = local.vnis[each.key]
  packet_length            = each.value.packet_length
  tags                     = merge(local.tags, { "Name" = "${var.name}: ${each.key}" })

  # A session with a filter that has no rules yet mirrors nothing, and one that
  # is made while rules come may mirror the wrong things.
  depends_on = [aws_ec2_traffic_mirror_filter_rule.this]

  lifecycle {
    precondition {
      condition     = length(distinct(values(local.vnis))) == length(local.vnis)
      error_message = "sessions: two have the same VNI, given or made of their names; give one of them another vni."
    }
  }
}

# The way through a gateway load balancer, as another account's sensors have it.
resource "aws_vpc_endpoint" "sensors" {
  count = var.gateway_load_balancer_service != null ? 1 : 0

  vpc_endpoint_type = "GatewayLoadBalancer"
  service_name      = var.gateway_load_balancer_service.name
  vpc_id            = var.gateway_load_balancer_service.vpc_id
  subnet_ids        = [var.gateway_load_balancer_service.subnet_id]
  tags              = local.tags
}

resource "aws_ec2_traffic_mirror_target" "endpoint" {
  count = var.gateway_load_balancer_service != null ? 1 : 0

  description                       = "The Mirrorscope sensors ${var.name}"
  gateway_load_balancer_endpoint_id = aws_vpc_endpoint.sensors[0].id
  tags                              = local.tags
}
