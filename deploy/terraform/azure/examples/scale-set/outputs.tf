output "tap_id" {
  value = module.sensors.tap_id
}

output "user_data" {
  value = module.sensors.user_data
}
