output "user_data" {
  description = "Shell script for the machine's first start, plain text."
  value       = local.user_data

  precondition {
    condition     = length(local.user_data) <= 16384
    error_message = "extra_config: the user data has ${length(local.user_data)} octets, and a cloud takes 16384 at most."
  }
}

output "config" {
  description = "The sensor's configuration, TOML, with @CAPTURE@ in place of the interface."
  value       = local.config
}
