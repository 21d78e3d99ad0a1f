# What a sensor may do: read the inventory. It changes nothing. What `sensor
# mirror` needs to make sessions is a policy of its own, given out as an output
# for whoever runs it.

resource "aws_iam_role" "sensor" {
  name_prefix          = "${var.name}-"
  description          = "Mirrorscope sensors ${var.name}"
  permissions_boundary = var.permissions_boundary
  tags                 = local.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ec2.${data.aws_partition.this.dns_suffix}" }
    }]
  })
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
  policy_arn = "arn:${data.aws_partition.this.partition}:iam::aws:policy/AmazonSSMManagedInstanceCore"
}

locals {
  ec2 = "arn:${data.aws_partition.this.partition}:ec2:*:*"

  # Describe actions know no resources.
  read = {
    Sid      = "Read"
    Effect   = "Allow"
    Resource = "*"
    Action = [
      "ec2:DescribeInstances", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:DescribeVpcs",
      "ec2:DescribeSecurityGroups", "ec2:DescribeTrafficMirrorSessions", "ec2:DescribeTrafficMirrorTargets",
      "ec2:DescribeTrafficMirrorFilters", "cloudwatch:GetMetricData",
    ]
  }

  inventory_policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat([local.read], length(var.inventory_roles) == 0 ? [] : [{
      Sid      = "ReadOtherAccounts"
      Effect   = "Allow"
      Action   = "sts:AssumeRole"
      Resource = var.inventory_roles
    }])
  })

  # Sessions with our tag, of any interface, with the filter and the target of
  # this module and no other.
  mirror_policy = local.gateway ? null : jsonencode({
    Version = "2012-10-17"
    Statement = [
      local.read,
      {
        Sid       = "CreateWithOurTag"
        Effect    = "Allow"
        Action    = "ec2:CreateTrafficMirrorSession"
        Resource  = "${local.ec2}:traffic-mirror-session/*"
        Condition = { StringEquals = { "aws:RequestTag/managed-by" = "mirrorscope" } }
      },
      {
        Sid    = "CreateUses"
        Effect = "Allow"
        Action = ["ec2:CreateTrafficMirrorSession", "ec2:ModifyTrafficMirrorSession"]
        Resource = [
          "${local.ec2}:network-interface/*",
          module.sources[0].filter_arn,
          aws_ec2_traffic_mirror_target.this[0].arn,
        ]
      },
      {
        Sid       = "TagOnCreate"
        Effect    = "Allow"
        Action    = "ec2:CreateTags"
        Resource  = "${local.ec2}:traffic-mirror-session/*"
        Condition = { StringEquals = { "ec2:CreateAction" = "CreateTrafficMirrorSession" } }
      },
      {
        Sid       = "ChangeOnlyOurs"
        Effect    = "Allow"
        Action    = ["ec2:ModifyTrafficMirrorSession", "ec2:DeleteTrafficMirrorSession"]
        Resource  = "${local.ec2}:traffic-mirror-session/*"
        Condition = { StringEquals = { "aws:ResourceTag/managed-by" = "mirrorscope" } }
      },
    ]
  })
}
