output "endpoint_group_id" {
  description = "The mirroring endpoint group."
  value       = google_network_security_mirroring_endpoint_group.sensors.id
}

output "security_profile_group_id" {
  description = "The security profile group, for rules that are made elsewhere."
  value       = google_network_security_security_profile_group.mirror.id
}

output "firewall_policy" {
  description = "The firewall policy that has the rules."
  value       = var.firewall_policy != null ? var.firewall_policy : google_compute_network_firewall_policy.mirror[0].name
}
