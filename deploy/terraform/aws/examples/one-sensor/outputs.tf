output "target_id" {
  value = module.sensor.target_id
}

output "management_address" {
  value = module.sensor.management_address
}

output "vnis" {
  value = module.sensor.vnis
}

output "user_data" {
  value = module.sensor.user_data
}

output "inventory_policy" {
  value = module.sensor.inventory_policy
}
