# VNIs, rules, alarms: nothing is asked of AWS.

mock_provider "aws" {}

variables {
  target_id = "tmt-0123456789abcdef0"
  sessions = {
    a = { interface_id = "eni-00000000000000001" }
    b = { interface_id = "eni-00000000000000002", vni = 7007, packet_length = 256, session_number = 5 }
  }
}

run "vnis" {
  assert {
    condition     = output.vnis == { a = parseint(substr(sha256("mirrorscope/a"), 0, 6), 16), b = 7007 }
    error_message = "a VNI is the one given, or made of the name"
  }
  assert {
    condition     = aws_ec2_traffic_mirror_session.this["b"].packet_length == 256 && aws_ec2_traffic_mirror_session.this["b"].session_number == 5
    error_message = "a session is as it was said"
  }
  assert {
    condition     = aws_ec2_traffic_mirror_session.this["a"].traffic_mirror_target_id == "tmt-0123456789abcdef0"
    error_message = "sessions send to the target"
  }
}

run "one_more_leaves_the_others" {
  variables {
    sessions = {
      "0" = { interface_id = "eni-00000000000000003" }
      a   = { interface_id = "eni-00000000000000001" }
    }
  }
  assert {
    condition     = output.vnis["a"] == run.vnis.vnis["a"]
    error_message = "a VNI stays when others come and go"
  }
}

run "rules" {
  variables {
    amazon_dns = true
    rules = [
      { direction = "egress", action = "accept", protocol = 6, destination = "10.0.0.0/8", destination_ports = { from = 443, to = 443 } },
      { direction = "ingress", action = "accept", protocol = 6, source = "10.0.0.0/8", source_ports = { from = 443, to = 443 } },
    ]
  }
  assert {
    condition     = aws_ec2_traffic_mirror_filter.this.network_services == toset(["amazon-dns"])
    error_message = "the resolver's queries are mirrored when asked for"
  }
  assert {
    condition     = [for r in aws_ec2_traffic_mirror_filter_rule.this : "${r.rule_number} ${r.traffic_direction} ${r.source_cidr_block} ${r.destination_cidr_block}"] == ["10 egress 0.0.0.0/0 10.0.0.0/8", "20 ingress 10.0.0.0/8 0.0.0.0/0"]
    error_message = "rules keep their order"
  }
  assert {
    condition     = length(aws_ec2_traffic_mirror_filter_rule.this["00"].source_port_range) == 0 && aws_ec2_traffic_mirror_filter_rule.this["00"].destination_port_range[0].from_port == 443
    error_message = "ports are as they were said"
  }
}

run "alarms" {
  variables {
    alarm_instances = { web = "i-00000000000000001" }
    alarm_all       = true
    alarm_actions   = ["arn:aws:sns:eu-central-1:111122223333:pager"]
  }
  assert {
    condition     = length(aws_cloudwatch_metric_alarm.instance) == 2 && length(aws_cloudwatch_metric_alarm.all) == 2
    error_message = "both directions are watched"
  }
  assert {
    condition     = alltrue([for a in aws_cloudwatch_metric_alarm.instance : a.dimensions == tomap({ InstanceId = "i-00000000000000001" }) && a.threshold == 0 && a.comparison_operator == "GreaterThanThreshold"])
    error_message = "one packet is too many"
  }
}
