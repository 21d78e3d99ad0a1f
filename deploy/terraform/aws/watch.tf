# `sensor mirror watch`, on a small machine of its own: what may change sessions
# is not where hostile packets are read.

locals {
  watching = var.watch != null ? 1 : 0

  desired_state = var.watch == null ? "" : templatefile("${path.module}/mirror.toml.tftpl", {
    name       = var.name
    region     = data.aws_region.this.region
    instances  = var.watch.instances
    interfaces = var.watch.interfaces
    vpcs       = var.watch.vpcs
    filter_id  = one(module.sources[*].filter_id)
    target_id  = one(aws_ec2_traffic_mirror_target.this[*].id)
    extra      = trimspace(var.watch.extra)
  })
}

data "aws_region" "this" {}

module "watch" {
  source = "../boot"
  count  = local.watching

  cloud          = "aws"
  package_url    = var.package_url
  package_sha256 = var.package_sha256
  desired_state  = local.desired_state
}

resource "aws_iam_role" "watch" {
  count = local.watching

  name_prefix          = "${var.name}-watch-"
  description          = "Mirror sessions to the Mirrorscope sensors ${var.name}"
  permissions_boundary = var.permissions_boundary
  assume_role_policy   = local.instances_assume
  tags                 = local.tags
}

resource "aws_iam_role_policy" "watch" {
  count = local.watching

  name_prefix = "mirror-"
  role        = aws_iam_role.watch[0].id
  policy      = local.mirror_policy
}

resource "aws_iam_role_policy_attachment" "watch_session_manager" {
  count = var.session_manager ? local.watching : 0

  role       = aws_iam_role.watch[0].name
  policy_arn = local.session_manager_policy
}

resource "aws_iam_instance_profile" "watch" {
  count = local.watching

  name_prefix = "${var.name}-watch-"
  role        = aws_iam_role.watch[0].name
  tags        = local.tags
}

resource "aws_instance" "watch" {
  count = local.watching

  ami                         = local.image
  instance_type               = coalesce(var.watch.instance_type, var.architecture == "arm64" ? "t4g.micro" : "t3.micro")
  key_name                    = var.key_name
  subnet_id                   = var.management_subnet_id != null ? var.management_subnet_id : var.subnet_ids[0]
  vpc_security_group_ids      = [aws_security_group.management.id]
  iam_instance_profile        = aws_iam_instance_profile.watch[0].name
  user_data_base64            = base64encode(module.watch[0].user_data)
  user_data_replace_on_change = true
  tags                        = merge(local.tags, { "Name" = "${var.name} watch" })

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  root_block_device {
    volume_type = "gp3"
    encrypted   = true
  }

  # A newer image is no reason to start anew.
  lifecycle {
    ignore_changes = [ami]
  }

  depends_on = [aws_vpc_security_group_egress_rule.management, aws_iam_role_policy.watch]
}
