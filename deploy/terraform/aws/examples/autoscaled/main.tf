# Sensors behind a network load balancer, as many as the load asks for. Which
# interfaces are mirrored is left to `sensor mirror watch`, which finds them by
# their tags and keeps up with instances that come and go.

terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.0, < 7.0"
    }
  }
}

provider "aws" {
  region = var.region
}

module "sensors" {
  source = "../.." # git::https://…//deploy/terraform/aws?ref=v1.2.3

  name            = "mirrorscope"
  target_type     = "network-load-balancer"
  vpc_id          = var.vpc_id
  subnet_ids      = var.subnet_ids
  source_cidrs    = var.source_cidrs
  session_manager = true
  instance_type   = "c7gn.xlarge"
  architecture    = "arm64"
  package_url     = var.package_url
  package_sha256  = var.package_sha256
  sensors         = { min = 2, max = 6 }

  # Everything in production but databases, now and later.
  watch = {
    instances = "env = prod and not role = db*"
    extra     = <<-EOT
      [session]
      packet_length = 1500
    EOT
  }

  alarm_all     = true
  alarm_actions = var.alarm_actions

  extra_config = <<-EOT
    [measure]
    interval = "30s"
  EOT
}
