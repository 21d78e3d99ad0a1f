# Sensors for Azure virtual network TAP, which is a preview: EXPERIMENTAL. One
# machine whose second interface receives, or a scale set behind an internal load
# balancer. The drawing is in README.md.

locals {
  one = var.target_type == "interface" # sensor; else there are many

  # From where Azure's load balancers check the health.
  prober = "168.63.129.16/32"

  ssh = length(var.management_cidrs) > 0

  inventory = length(var.inventory_scopes) == 0 ? "" : join("\n", [
    "[cloud.azure]",
    "enabled = true",
    "subscriptions = ${jsonencode(distinct([for id in values(var.inventory_scopes) : split("/", id)[2]]))}",
    "client_id = \"${azurerm_user_assigned_identity.sensor.client_id}\"",
  ])
}

# Behind a load balancer the mirror comes to the first interface of a machine,
# with the health probes; so that one carries the machine's own traffic, too. The
# one sensor has a second interface for it, which says nothing.
module "boot" {
  source = "../boot"

  cloud             = "azure"
  package_url       = var.package_url
  package_sha256    = var.package_sha256
  capture_interface = local.one ? 1 : 0
  shared            = !local.one
  udp_ports         = [4789]
  sources           = var.source_cidrs
  health_port       = local.one ? 0 : var.health_port
  allowed           = length(var.inventory_scopes) > 0 ? ["any"] : local.one ? [] : [local.prober]
  inventory         = local.inventory
  extra_config      = var.extra_config
}

# Who the sensors are: it may read what inventory_scopes names.
resource "azurerm_user_assigned_identity" "sensor" {
  name                = "${var.name}-sensor"
  resource_group_name = var.resource_group_name
  location            = var.location
  tags                = var.tags
}

# What the inventory asks for, and nothing else.
resource "azurerm_role_definition" "inventory" {
  count = length(var.inventory_scopes) > 0 ? 1 : 0

  name              = "Mirrorscope inventory (${var.name})"
  description       = "Lists what has addresses, for names of mirrored traffic"
  scope             = values(var.inventory_scopes)[0]
  assignable_scopes = values(var.inventory_scopes)

  permissions {
    actions = [
      "Microsoft.Network/networkInterfaces/read",
      "Microsoft.Network/publicIPAddresses/read",
      "Microsoft.Network/loadBalancers/read",
      "Microsoft.Compute/virtualMachines/read",
      "Microsoft.Compute/virtualMachineScaleSets/read",
      "Microsoft.Compute/virtualMachineScaleSets/virtualMachines/read",
      "Microsoft.Compute/virtualMachineScaleSets/networkInterfaces/read",
    ]
  }
}

resource "azurerm_role_assignment" "inventory" {
  for_each = var.inventory_scopes

  scope              = each.value
  role_definition_id = azurerm_role_definition.inventory[0].role_definition_resource_id
  principal_id       = azurerm_user_assigned_identity.sensor.principal_id
  principal_type     = "ServicePrincipal"
}

resource "azurerm_network_security_group" "capture" {
  name                = "${var.name}-capture"
  resource_group_name = var.resource_group_name
  location            = var.location
  tags                = var.tags
}

resource "azurerm_network_security_rule" "mirror" {
  name                        = "mirror"
  description                 = "VXLAN from the TAP"
  resource_group_name         = var.resource_group_name
  network_security_group_name = azurerm_network_security_group.capture.name
  priority                    = 100
  direction                   = "Inbound"
  access                      = "Allow"
  protocol                    = "Udp"
  source_port_range           = "*"
  source_address_prefix       = length(var.source_cidrs) == 0 ? "VirtualNetwork" : null
  source_address_prefixes     = length(var.source_cidrs) == 0 ? null : var.source_cidrs
  destination_port_range      = "4789"
  destination_address_prefix  = "*"
}

resource "azurerm_network_security_rule" "health" {
  count = local.one ? 0 : 1

  name                        = "health"
  description                 = "Health probes of the load balancer"
  resource_group_name         = var.resource_group_name
  network_security_group_name = azurerm_network_security_group.capture.name
  priority                    = 110
  direction                   = "Inbound"
  access                      = "Allow"
  protocol                    = "Tcp"
  source_port_range           = "*"
  source_address_prefix       = "AzureLoadBalancer"
  destination_port_range      = tostring(var.health_port)
  destination_address_prefix  = "*"
}

resource "azurerm_network_security_group" "management" {
  name                = "${var.name}-management"
  resource_group_name = var.resource_group_name
  location            = var.location
  tags                = var.tags
}

resource "azurerm_network_security_rule" "ssh" {
  count = local.ssh ? 1 : 0

  name                        = "ssh"
  resource_group_name         = var.resource_group_name
  network_security_group_name = azurerm_network_security_group.management.name
  priority                    = 100
  direction                   = "Inbound"
  access                      = "Allow"
  protocol                    = "Tcp"
  source_port_range           = "*"
  source_address_prefixes     = var.management_cidrs
  destination_port_range      = "22"
  destination_address_prefix  = "*"
}

# Azure lets the whole virtual network in where nothing else is said.
resource "azurerm_network_security_rule" "nobody_else" {
  for_each = { capture = azurerm_network_security_group.capture.name, management = azurerm_network_security_group.management.name }

  name                        = "nobody-else"
  resource_group_name         = var.resource_group_name
  network_security_group_name = each.value
  priority                    = 4096
  direction                   = "Inbound"
  access                      = "Deny"
  protocol                    = "*"
  source_port_range           = "*"
  source_address_prefix       = "*"
  destination_port_range      = "*"
  destination_address_prefix  = "*"
}
