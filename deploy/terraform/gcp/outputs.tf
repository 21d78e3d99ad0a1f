output "collector_id" {
  description = "The forwarding rule that collects, for policies that are made elsewhere."
  value       = google_compute_forwarding_rule.collector.id
}

output "deployment_group_id" {
  description = "The mirroring deployment group, for the module in consumer. Null with packet-mirroring."
  value       = one(google_network_security_mirroring_deployment_group.sensors[*].id)
}

output "policy_id" {
  description = "The packet mirroring policy. Null where none is made."
  value       = one(google_compute_packet_mirroring.policy[*].id)
}

output "instance_group" {
  description = "The group of sensors."
  value       = google_compute_region_instance_group_manager.sensors.instance_group
}

output "service_account" {
  description = "Service account of the sensors, to be given roles in other projects."
  value       = google_service_account.sensor.email
}

output "user_data" {
  description = "What a sensor does at its first start, a shell script."
  value       = module.boot.user_data
}

output "config" {
  description = "The sensors' configuration, TOML, with @CAPTURE@ in place of the interface."
  value       = module.boot.config
}
