output "tap_id" {
  value = module.sensor.tap_id
}

output "user_data" {
  value = module.sensor.user_data
}
