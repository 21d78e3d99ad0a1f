resource "azurerm_network_interface" "management" {
  count = local.one ? 1 : 0

  name                = "${var.name}-management"
  resource_group_name = var.resource_group_name
  location            = var.location
  tags                = var.tags

  ip_configuration {
    name                          = "management"
    primary                       = true
    subnet_id                     = var.management_subnet_id
    private_ip_address_allocation = "Dynamic"
  }
}

resource "azurerm_network_interface" "capture" {
  count = local.one ? 1 : 0

  name                           = "${var.name}-capture"
  resource_group_name            = var.resource_group_name
  location                       = var.location
  accelerated_networking_enabled = true
  tags                           = var.tags

  ip_configuration {
    name                          = "mirror"
    primary                       = true
    subnet_id                     = var.capture_subnet_id
    private_ip_address_allocation = "Dynamic"
  }
}

resource "azurerm_network_interface_security_group_association" "management" {
  count = local.one ? 1 : 0

  network_interface_id      = azurerm_network_interface.management[0].id
  network_security_group_id = azurerm_network_security_group.management.id
}

resource "azurerm_network_interface_security_group_association" "capture" {
  count = local.one ? 1 : 0

  network_interface_id      = azurerm_network_interface.capture[0].id
  network_security_group_id = azurerm_network_security_group.capture.id
}

resource "azurerm_linux_virtual_machine" "sensor" {
  count = local.one ? 1 : 0

  name                  = var.name
  resource_group_name   = var.resource_group_name
  location              = var.location
  size                  = var.vm_size
  admin_username        = var.admin_username
  custom_data           = base64encode(module.boot.user_data)
  network_interface_ids = [azurerm_network_interface.management[0].id, azurerm_network_interface.capture[0].id]
  tags                  = var.tags

  admin_ssh_key {
    username   = var.admin_username
    public_key = var.admin_ssh_key
  }

  os_disk {
    caching              = "ReadWrite"
    storage_account_type = "StandardSSD_LRS"
    disk_size_gb         = var.disk_size
  }

  source_image_reference {
    publisher = var.image.publisher
    offer     = var.image.offer
    sku       = var.image.sku
    version   = var.image.version
  }

  identity {
    type         = "UserAssigned"
    identity_ids = [azurerm_user_assigned_identity.sensor.id]
  }

  depends_on = [azurerm_network_interface_security_group_association.management, azurerm_network_interface_security_group_association.capture]
}

resource "azurerm_linux_virtual_machine_scale_set" "sensors" {
  count = local.one ? 0 : 1

  name                = var.name
  resource_group_name = var.resource_group_name
  location            = var.location
  sku                 = var.vm_size
  instances           = var.sensors
  admin_username      = var.admin_username
  custom_data         = base64encode(module.boot.user_data)
  health_probe_id     = azurerm_lb_probe.health[0].id
  upgrade_mode        = "Rolling"
  tags                = var.tags

  admin_ssh_key {
    username   = var.admin_username
    public_key = var.admin_ssh_key
  }

  network_interface {
    name                          = "mirror"
    primary                       = true
    enable_accelerated_networking = true
    network_security_group_id     = azurerm_network_security_group.capture.id

    ip_configuration {
      name                                   = "mirror"
      primary                                = true
      subnet_id                              = var.capture_subnet_id
      load_balancer_backend_address_pool_ids = [azurerm_lb_backend_address_pool.sensors[0].id]
    }
  }

  network_interface {
    name                      = "management"
    network_security_group_id = azurerm_network_security_group.management.id

    ip_configuration {
      name      = "management"
      primary   = true
      subnet_id = var.management_subnet_id
    }
  }

  os_disk {
    caching              = "ReadWrite"
    storage_account_type = "StandardSSD_LRS"
    disk_size_gb         = var.disk_size
  }

  source_image_reference {
    publisher = var.image.publisher
    offer     = var.image.offer
    sku       = var.image.sku
    version   = var.image.version
  }

  identity {
    type         = "UserAssigned"
    identity_ids = [azurerm_user_assigned_identity.sensor.id]
  }

  rolling_upgrade_policy {
    max_batch_instance_percent              = 50
    max_unhealthy_instance_percent          = 50
    max_unhealthy_upgraded_instance_percent = 50
    pause_time_between_batches              = "PT60S"
  }

  # A machine without a rule that uses its probe is never well.
  depends_on = [azurerm_lb_rule.mirror]
}

resource "azurerm_lb" "sensors" {
  count = local.one ? 0 : 1

  name                = var.name
  resource_group_name = var.resource_group_name
  location            = var.location
  sku                 = "Standard"
  tags                = var.tags

  frontend_ip_configuration {
    name                          = "mirror"
    subnet_id                     = var.capture_subnet_id
    private_ip_address_allocation = "Dynamic"
  }
}

resource "azurerm_lb_backend_address_pool" "sensors" {
  count = local.one ? 0 : 1

  name            = "sensors"
  loadbalancer_id = azurerm_lb.sensors[0].id
}

resource "azurerm_lb_probe" "health" {
  count = local.one ? 0 : 1

  name                = "health"
  loadbalancer_id     = azurerm_lb.sensors[0].id
  protocol            = "Http"
  port                = var.health_port
  request_path        = "/healthz"
  interval_in_seconds = 5
}

resource "azurerm_lb_rule" "mirror" {
  count = local.one ? 0 : 1

  name                           = "mirror"
  loadbalancer_id                = azurerm_lb.sensors[0].id
  frontend_ip_configuration_name = "mirror"
  backend_address_pool_ids       = [azurerm_lb_backend_address_pool.sensors[0].id]
  probe_id                       = azurerm_lb_probe.health[0].id
  protocol                       = "Udp"
  frontend_port                  = 4789
  backend_port                   = 4789
}
