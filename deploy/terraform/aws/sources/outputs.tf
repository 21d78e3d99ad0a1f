output "filter_id" {
  description = "The filter, for sessions that are made elsewhere, as by `sensor mirror`."
  value       = aws_ec2_traffic_mirror_filter.this.id
}

output "filter_arn" {
  description = "Its ARN."
  value       = aws_ec2_traffic_mirror_filter.this.arn
}

output "target_id" {
  description = "The target that the sessions send to."
  value       = local.target_id
}

output "vnis" {
  description = "VNI of each session, by its name in sessions: what names a network in the sensor's configuration."
  value       = local.vnis
}

output "session_ids" {
  description = "The sessions, by their name."
  value       = { for key, s in aws_ec2_traffic_mirror_session.this : key => s.id }
}
