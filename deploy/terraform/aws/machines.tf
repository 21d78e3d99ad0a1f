# The sensors: one with two fixed interfaces, or a group behind a load balancer.
# Both are started from one launch template.

resource "aws_launch_template" "sensor" {
  name_prefix            = "${var.name}-"
  description            = "Mirrorscope sensor"
  image_id               = local.image
  instance_type          = var.instance_type
  key_name               = var.key_name
  user_data              = base64encode(module.boot.user_data)
  update_default_version = true
  tags                   = local.tags

  iam_instance_profile {
    arn = aws_iam_instance_profile.sensor.arn
  }

  # The inventory is read by the process itself, so one hop is enough.
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  block_device_mappings {
    device_name = var.root_device
    ebs {
      volume_size           = var.volume_size
      volume_type           = "gp3"
      encrypted             = "true"
      delete_on_termination = "true"
    }
  }

  # A load balancer sends to the first interface. The subnet is that in which the
  # group starts the instance.
  dynamic "network_interfaces" {
    for_each = local.one ? {} : { 0 = aws_security_group.capture.id, 1 = aws_security_group.management.id }
    content {
      device_index          = tonumber(network_interfaces.key)
      description           = "${var.name} ${network_interfaces.key == "0" ? "capture" : "management"}"
      security_groups       = [network_interfaces.value]
      delete_on_termination = "true"
    }
  }

  dynamic "tag_specifications" {
    for_each = ["instance", "volume", "network-interface"]
    content {
      resource_type = tag_specifications.value
      tags          = local.tags
    }
  }
}

resource "aws_instance" "sensor" {
  count = local.one ? 1 : 0

  launch_template {
    id      = aws_launch_template.sensor.id
    version = tostring(aws_launch_template.sensor.latest_version)
  }

  primary_network_interface {
    network_interface_id = aws_network_interface.management[0].id
  }

  # It starts to fetch its package at once.
  depends_on = [aws_vpc_security_group_egress_rule.management, aws_iam_role_policy.inventory]

  lifecycle {
    replace_triggered_by = [aws_launch_template.sensor.latest_version]
  }
}

# The user data waits for it.
resource "aws_network_interface_attachment" "capture" {
  count = local.one ? 1 : 0

  instance_id          = aws_instance.sensor[0].id
  network_interface_id = aws_network_interface.capture[0].id
  device_index         = 1
}

resource "aws_autoscaling_group" "sensors" {
  count = local.one ? 0 : 1

  name_prefix               = "${var.name}-"
  min_size                  = var.sensors.min
  max_size                  = var.sensors.max
  vpc_zone_identifier       = var.subnet_ids
  target_group_arns         = [aws_lb_target_group.sensors[0].arn]
  health_check_type         = "ELB" # a sensor that does not measure is replaced
  health_check_grace_period = 300
  default_instance_warmup   = 120

  launch_template {
    id      = aws_launch_template.sensor.id
    version = tostring(aws_launch_template.sensor.latest_version)
  }

  instance_refresh {
    strategy = "Rolling"
    preferences {
      min_healthy_percentage = 50
    }
  }

  dynamic "tag" {
    for_each = local.tags
    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = false # the launch template does, on interfaces and volumes, too
    }
  }

  depends_on = [aws_vpc_security_group_egress_rule.capture, aws_iam_role_policy.inventory]
}

resource "aws_autoscaling_policy" "load" {
  count = local.one ? 0 : 1

  name                   = "${var.name}-load"
  autoscaling_group_name = aws_autoscaling_group.sensors[0].name
  policy_type            = "TargetTrackingScaling"

  target_tracking_configuration {
    target_value = var.sensors.cpu_percent
    predefined_metric_specification {
      predefined_metric_type = "ASGAverageCPUUtilization"
    }
  }
}
