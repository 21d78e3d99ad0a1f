# The TAP and who sends to it. The azurerm provider knows neither.

locals {
  api = "2024-05-01" # of Microsoft.Network
}

resource "azapi_resource" "tap" {
  type      = "Microsoft.Network/virtualNetworkTaps@${local.api}"
  name      = var.name
  parent_id = var.resource_group_id
  location  = var.location
  tags      = var.tags

  body = {
    properties = merge(
      { destinationPort = 4789 }, # no other is possible
      local.one ? { destinationNetworkInterfaceIPConfiguration = { id = "${azurerm_network_interface.capture[0].id}/ipConfigurations/mirror" } } : null,
      local.one ? null : { destinationLoadBalancerFrontEndIPConfiguration = { id = "${azurerm_lb.sensors[0].id}/frontendIPConfigurations/mirror" } },
    )
  }

  # Whoever is told to send without a listener sends to nobody.
  depends_on = [azurerm_lb_rule.mirror]
}

# An interface that is added or taken away may be cut off for up to a minute.
resource "azapi_resource" "source" {
  for_each = var.sources

  type      = "Microsoft.Network/networkInterfaces/tapConfigurations@${local.api}"
  name      = var.name
  parent_id = each.value

  body = {
    properties = {
      virtualNetworkTap = { id = azapi_resource.tap.id }
    }
  }
}
