output "deployment_group_id" {
  value = module.sensors.deployment_group_id
}

output "user_data" {
  value = module.sensors.user_data
}
