output "target_id" {
  description = "The traffic mirror target (tmt-…), for sessions that are made elsewhere. Null behind a gateway load balancer, where each VPC of sources has its own."
  value       = one(aws_ec2_traffic_mirror_target.this[*].id)
}

output "target_arn" {
  description = "Its ARN."
  value       = one(aws_ec2_traffic_mirror_target.this[*].arn)
}

output "share_arn" {
  description = "The resource share, which accounts outside of the organization accept. Null: the target is not shared."
  value       = one(aws_ram_resource_share.target[*].arn)
}

output "filter_id" {
  description = "The traffic mirror filter (tmf-…). Null behind a gateway load balancer."
  value       = one(module.sources[*].filter_id)
}

output "vnis" {
  description = "VNI of each session, by its name in sessions."
  value       = try(module.sources[0].vnis, {})
}

output "session_ids" {
  description = "The sessions that Terraform has made, by their name."
  value       = try(module.sources[0].session_ids, {})
}

output "endpoint_service_name" {
  description = "Endpoint service of the gateway load balancer, for the module in sources. Null with other targets."
  value       = one(aws_vpc_endpoint_service.sensors[*].service_name)
}

output "capture_interface_id" {
  description = "The interface that is the target. Null behind a load balancer."
  value       = one(aws_network_interface.capture[*].id)
}

output "management_address" {
  description = "Private address of the one sensor's management interface. Null behind a load balancer."
  value       = one(aws_network_interface.management[*].private_ip)
}

output "autoscaling_group_name" {
  description = "The group of sensors. Null with an interface target."
  value       = one(aws_autoscaling_group.sensors[*].name)
}

output "capture_security_group_id" {
  description = "Security group of the capture interfaces."
  value       = aws_security_group.capture.id
}

output "role_name" {
  description = "IAM role of the sensors."
  value       = aws_iam_role.sensor.name
}

output "inventory_policy" {
  description = "Policy, JSON, for reading the inventory: for roles in other accounts, too."
  value       = local.inventory_policy
}

output "mirror_policy" {
  description = "Policy, JSON, for `sensor mirror` to make sessions with this target and filter and its own tags, in a desired state that is named as the module. Null behind a gateway load balancer."
  value       = local.mirror_policy
}

output "desired_state" {
  description = "The desired state that `sensor mirror watch` keeps, TOML. Null without watch."
  value       = var.watch == null ? null : local.desired_state
}

output "watch_user_data" {
  description = "What the machine that keeps it does at its first start. Null without watch."
  value       = one(module.watch[*].user_data)
}

output "user_data" {
  description = "What a sensor does at its first start, a shell script."
  value       = module.boot.user_data
}

output "config" {
  description = "The sensors' configuration, TOML, with @CAPTURE@ in place of the interface."
  value       = module.boot.config
}
