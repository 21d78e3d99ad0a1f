# What a source could not mirror because its bandwidth went to its own work. The
# sensor sees nothing of this loss but gaps.

locals {
  skipped = {
    NetworkPacketsSkipMirrorIn  = "arrived and were not mirrored"
    NetworkPacketsSkipMirrorOut = "were sent and not mirrored"
  }

  watched = merge([
    for name, id in var.alarm_instances : { for metric, what in local.skipped : "${name}: ${metric}" => { name = name, id = id, metric = metric, what = what } }
  ]...)
}

resource "aws_cloudwatch_metric_alarm" "instance" {
  for_each = local.watched

  alarm_name          = "${var.name}: ${each.key}"
  alarm_description   = "Packets of ${each.value.name} ${each.value.what}: it has no bandwidth left for the mirror. Take a larger size, or mirror less of it."
  namespace           = "AWS/EC2"
  metric_name         = each.value.metric
  dimensions          = { InstanceId = each.value.id }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_actions
  ok_actions          = var.alarm_actions
  tags                = local.tags
}

# Of all instances, also those that come later: for sessions that `sensor mirror
# watch` makes.
resource "aws_cloudwatch_metric_alarm" "all" {
  for_each = var.alarm_all ? local.skipped : {}

  alarm_name          = "${var.name}: ${each.key}"
  alarm_description   = "Packets of some instance ${each.value}: it has no bandwidth left for the mirror. 'sensor mirror status' tells which."
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_actions
  ok_actions          = var.alarm_actions
  tags                = local.tags

  metric_query {
    id          = "skipped"
    expression  = "SELECT SUM(${each.key}) FROM SCHEMA(\"AWS/EC2\", InstanceId)"
    label       = each.key
    period      = 300
    return_data = true
  }
}
