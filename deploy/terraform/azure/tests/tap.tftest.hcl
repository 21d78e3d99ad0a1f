# The TAP and its targets: nothing is asked of Azure.

mock_provider "azurerm" {}
mock_provider "azapi" {}

variables {
  preview_accepted     = true
  resource_group_name  = "sensors"
  resource_group_id    = "/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/sensors"
  location             = "westeurope"
  capture_subnet_id    = "capture"
  management_subnet_id = "management"
  admin_ssh_key        = "ssh-ed25519 AAAA"
  package_url          = "https://packages.example/mirrorscope_1.2.3_amd64.deb"
  package_sha256       = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
}

# What Azure makes up is made up by the mock, and has no form: machines are
# looked at as planned.
run "nobody_is_mirrored" {
  command = plan

  assert {
    condition     = length(azapi_resource.source) == 0 && azapi_resource.tap.parent_id == var.resource_group_id
    error_message = "a TAP without sources mirrors nothing"
  }
  assert {
    condition     = azurerm_network_security_rule.mirror.source_address_prefix == "VirtualNetwork" && azurerm_network_security_rule.mirror.destination_port_range == "4789" && azurerm_network_security_rule.mirror.protocol == "Udp"
    error_message = "VXLAN is let in from the virtual networks"
  }
  assert {
    condition     = length(azurerm_network_security_rule.ssh) == 0 && azurerm_network_security_rule.nobody_else["management"].access == "Deny"
    error_message = "nobody reaches the machine"
  }
  assert {
    condition     = base64decode(azurerm_linux_virtual_machine.sensor[0].custom_data) == output.user_data
    error_message = "the machine runs the user data"
  }
  assert {
    condition     = !strcontains(output.user_data, "IPAddressAllow")
    error_message = "the sensor speaks with nobody"
  }
}

run "named_sources" {
  command = plan

  variables {
    source_cidrs     = ["10.0.0.0/16"]
    management_cidrs = ["192.0.2.0/24"]
    sources          = { web = "/subscriptions/1/resourceGroups/shop/providers/Microsoft.Network/networkInterfaces/web" }
  }
  assert {
    condition     = azurerm_network_security_rule.mirror.source_address_prefixes == toset(["10.0.0.0/16"]) && azurerm_network_security_rule.mirror.source_address_prefix == null && strcontains(output.config, "sources = [\"10.0.0.0/16\"]")
    error_message = "who sends is known to the network and to the sensor"
  }
  assert {
    condition     = azapi_resource.source["web"].parent_id == var.sources.web
    error_message = "the interface sends to the TAP"
  }
  assert {
    condition     = azurerm_network_security_rule.ssh[0].source_address_prefixes == toset(["192.0.2.0/24"])
    error_message = "SSH is open to whom it was said"
  }
}

run "load_balancer" {
  command = plan

  variables {
    target_type = "load-balancer"
    sensors     = 5
    health_port = 9999
  }
  assert {
    condition     = length(azurerm_linux_virtual_machine.sensor) == 0 && azurerm_linux_virtual_machine_scale_set.sensors[0].instances == 5
    error_message = "there are as many as were said"
  }
  assert {
    condition     = azurerm_network_security_rule.health[0].source_address_prefix == "AzureLoadBalancer" && azurerm_network_security_rule.health[0].destination_port_range == "9999" && azurerm_lb_probe.health[0].port == 9999 && strcontains(output.config, "0.0.0.0:9999")
    error_message = "the probe asks where the sensor answers"
  }
  assert {
    condition     = strcontains(output.user_data, "IPAddressAllow=168.63.129.16/32")
    error_message = "the unit lets the probe in"
  }
}
