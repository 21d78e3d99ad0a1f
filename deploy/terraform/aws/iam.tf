# What a sensor may do: read the inventory. It changes nothing. What `sensor
# mirror` needs to make sessions is a policy of its own, for the role in watch.tf
# or, as an output, for whoever runs it elsewhere. Both are those that `sensor
# mirror policy` prints.

resource "aws_iam_role" "sensor" {
  name_prefix          = "${var.name}-"
  description          = "Mirrorscope sensors ${var.name}"
  permissions_boundary = var.permissions_boundary
  assume_role_policy   = local.instances_assume
  tags                 = local.tags
}

resource "aws_iam_instance_profile" "sensor" {
  name_prefix = "${var.name}-"
  role        = aws_iam_role.sensor.name
  tags        = local.tags
}

resource "aws_iam_role_policy" "inventory" {
  count = var.inventory ? 1 : 0

  name_prefix = "inventory-"
  role        = aws_iam_role.sensor.id
  policy      = local.inventory_policy
}

resource "aws_iam_role_policy_attachment" "session_manager" {
  count = var.session_manager ? 1 : 0

  role       = aws_iam_role.sensor.name
  policy_arn = local.session_manager_policy
}

locals {
  session_manager_policy = "arn:${data.aws_partition.this.partition}:iam::aws:policy/AmazonSSMManagedInstanceCore"

  instances_assume = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ec2.${data.aws_partition.this.dns_suffix}" }
    }]
  })

  inventory_policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [{
        Sid      = "Read"
        Effect   = "Allow"
        Action   = ["cloudwatch:GetMetricData", "ec2:DescribeInstances", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:DescribeVpcs"]
        Resource = ["*"] # such actions know no others
      }],
      length(var.inventory_roles) == 0 ? [] : [{
        Sid      = "ReadOtherAccounts"
        Effect   = "Allow"
        Action   = ["sts:AssumeRole"]
        Resource = var.inventory_roles[*].role_arn
      }],
    )
  })

  ec2      = "arn:${data.aws_partition.this.partition}:ec2:${data.aws_region.this.region}:*"
  session  = "${local.ec2}:traffic-mirror-session/*"
  uses     = local.gateway ? [] : ["${local.ec2}:traffic-mirror-filter/${module.sources[0].filter_id}", "${local.ec2}:traffic-mirror-target/${aws_ec2_traffic_mirror_target.this[0].id}"]
  mirrored = "${local.ec2}:network-interface/*"

  # Sessions with our tags, of any interface, with the filter and the target of
  # this module and no other.
  mirror_policy = local.gateway ? null : jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "Read"
        Effect   = "Allow"
        Action   = ["ec2:DescribeInstances", "ec2:DescribeInstanceTypes", "ec2:DescribeNetworkInterfaces", "ec2:DescribeTrafficMirrorFilters", "ec2:DescribeTrafficMirrorSessions", "ec2:DescribeTrafficMirrorTargets"]
        Resource = ["*"]
      },
      {
        Sid       = "CreateTrafficMirrorSessionWithOurTags"
        Effect    = "Allow"
        Action    = ["ec2:CreateTrafficMirrorSession"]
        Resource  = [local.session]
        Condition = { StringEquals = { "aws:RequestTag/managed-by" = ["mirrorscope"], "aws:RequestTag/mirrorscope-state" = [var.name] } }
      },
      {
        Sid      = "CreateTrafficMirrorSessionUses"
        Effect   = "Allow"
        Action   = ["ec2:CreateTrafficMirrorSession"]
        Resource = concat([local.mirrored], local.uses)
      },
      {
        Sid      = "ModifyTrafficMirrorSessionUses"
        Effect   = "Allow"
        Action   = ["ec2:ModifyTrafficMirrorSession"]
        Resource = local.uses
      },
      {
        Sid       = "ChangeOnlyOurTrafficMirrorSession"
        Effect    = "Allow"
        Action    = ["ec2:ModifyTrafficMirrorSession", "ec2:DeleteTrafficMirrorSession"]
        Resource  = [local.session]
        Condition = { StringEquals = { "aws:ResourceTag/managed-by" = ["mirrorscope"], "aws:ResourceTag/mirrorscope-state" = [var.name] } }
      },
      {
        Sid       = "TagOnCreate"
        Effect    = "Allow"
        Action    = ["ec2:CreateTags"]
        Resource  = [local.session]
        Condition = { StringEquals = { "ec2:CreateAction" = ["CreateTrafficMirrorSession"] } }
      },
    ]
  })
}
