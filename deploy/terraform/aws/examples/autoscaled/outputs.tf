output "desired_state" {
  value = module.sensors.desired_state
}

output "mirror_policy" {
  value = module.sensors.mirror_policy
}

output "watch_user_data" {
  value = module.sensors.watch_user_data
}

output "user_data" {
  value = module.sensors.user_data
}
