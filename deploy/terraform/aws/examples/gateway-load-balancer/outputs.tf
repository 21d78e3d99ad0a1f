output "target_id" {
  value = module.sources.target_id
}

output "vnis" {
  value = module.sources.vnis
}

output "user_data" {
  value = module.sensors.user_data
}
