# The traffic mirror target, and whom it is shared with.

resource "aws_ec2_traffic_mirror_target" "this" {
  count = local.gateway ? 0 : 1

  description               = "The Mirrorscope sensors ${var.name}"
  network_interface_id      = local.one ? aws_network_interface.capture[0].id : null
  network_load_balancer_arn = local.network ? aws_lb.sensors[0].arn : null
  tags                      = local.tags

  # Without its listener the load balancer drops the mirror, and says nothing.
  depends_on = [aws_lb_listener.vxlan]
}

resource "aws_ram_resource_share" "target" {
  count = !local.gateway && length(var.share_with) > 0 ? 1 : 0

  name                      = var.name
  allow_external_principals = anytrue([for p in var.share_with : !startswith(p, "arn:")])
  tags                      = local.tags
}

resource "aws_ram_resource_association" "target" {
  count = length(aws_ram_resource_share.target)

  resource_arn       = aws_ec2_traffic_mirror_target.this[0].arn
  resource_share_arn = aws_ram_resource_share.target[0].arn
}

resource "aws_ram_principal_association" "target" {
  for_each = local.gateway ? [] : toset(var.share_with)

  principal          = each.value
  resource_share_arn = aws_ram_resource_share.target[0].arn
}
