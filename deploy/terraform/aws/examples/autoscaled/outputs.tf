output "target_id" {
  description = "For the desired state of `sensor mirror`."
  value       = module.sensors.target_id
}

output "filter_id" {
  description = "For the desired state of `sensor mirror`."
  value       = module.sensors.filter_id
}

output "mirror_policy" {
  description = "For the role under which `sensor mirror watch` runs."
  value       = module.sensors.mirror_policy
}

output "user_data" {
  value = module.sensors.user_data
}
