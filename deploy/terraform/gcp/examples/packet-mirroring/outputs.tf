output "collector_id" {
  value = module.sensors.collector_id
}

output "user_data" {
  value = module.sensors.user_data
}
