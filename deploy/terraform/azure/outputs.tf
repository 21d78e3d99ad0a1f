output "tap_id" {
  description = "The virtual network TAP."
  value       = azapi_resource.tap.id
}

output "capture_interface_id" {
  description = "The interface that the TAP sends to. Null behind a load balancer."
  value       = one(azurerm_network_interface.capture[*].id)
}

output "management_address" {
  description = "Private address of the one sensor's management interface. Null behind a load balancer."
  value       = one(azurerm_network_interface.management[*].private_ip_address)
}

output "identity_principal_id" {
  description = "The sensors' identity, to be given further roles."
  value       = azurerm_user_assigned_identity.sensor.principal_id
}

output "identity_client_id" {
  description = "Its client ID, which tells the sensor who it is where a machine has several."
  value       = azurerm_user_assigned_identity.sensor.client_id
}

output "user_data" {
  description = "What a sensor does at its first start, a shell script."
  value       = module.boot.user_data
}

output "config" {
  description = "The sensors' configuration, TOML, with @CAPTURE@ in place of the interface."
  value       = module.boot.config
}
