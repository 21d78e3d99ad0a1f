# The load balancer in front of many sensors.

resource "aws_lb" "sensors" {
  count = local.one ? 0 : 1

  name               = var.name
  internal           = local.network ? true : null
  load_balancer_type = local.network ? "network" : "gateway"
  subnets            = var.subnet_ids
  tags               = local.tags

  # A mirror keeps sending to the load balancer's address in a zone whose sensors
  # are gone, and does not learn of zones that are added.
  enable_cross_zone_load_balancing = true
}

resource "aws_lb_target_group" "sensors" {
  count = local.one ? 0 : 1

  name                 = var.name
  vpc_id               = var.vpc_id
  target_type          = "instance"
  protocol             = local.network ? "UDP" : "GENEVE"
  port                 = local.tunnel_port
  deregistration_delay = "60"
  tags                 = local.tags

  # Neither protocol answers, so the sensor is asked over HTTP: 503 when capture
  # has stopped.
  health_check {
    protocol            = "HTTP"
    path                = "/healthz"
    port                = tostring(var.health_port)
    interval            = 10
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }
}

resource "aws_lb_listener" "vxlan" {
  count = local.network ? 1 : 0

  load_balancer_arn = aws_lb.sensors[0].arn
  protocol          = "UDP"
  port              = 4789
  tags              = local.tags

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.sensors[0].arn
  }
}

# A gateway load balancer has one listener, for all packets.
resource "aws_lb_listener" "geneve" {
  count = local.gateway ? 1 : 0

  load_balancer_arn = aws_lb.sensors[0].arn
  tags              = local.tags

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.sensors[0].arn
  }
}

resource "aws_vpc_endpoint_service" "sensors" {
  count = local.gateway ? 1 : 0

  acceptance_required        = false # who may have an endpoint is said by share_with
  gateway_load_balancer_arns = [aws_lb.sensors[0].arn]
  tags                       = local.tags
}

resource "aws_vpc_endpoint_service_allowed_principal" "sources" {
  for_each = local.gateway ? toset(var.share_with) : []

  vpc_endpoint_service_id = aws_vpc_endpoint_service.sensors[0].id
  principal_arn           = each.value
}
