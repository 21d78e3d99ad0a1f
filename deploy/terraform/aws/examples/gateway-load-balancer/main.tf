# Sensors in one account, sources in another, and no way between their VPCs but
# the endpoint of a gateway load balancer. Their addresses may overlap.

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
  alias  = "sensors"
  region = var.region

  assume_role {
    role_arn = var.sensors_role
  }
}

provider "aws" {
  alias  = "sources"
  region = var.region

  assume_role {
    role_arn = var.sources_role
  }
}

module "sensors" {
  source    = "../.." # git::https://…//deploy/terraform/aws?ref=v1.2.3
  providers = { aws = aws.sensors }

  name            = "mirrorscope"
  target_type     = "gateway-load-balancer"
  vpc_id          = var.sensors_vpc_id
  subnet_ids      = var.sensors_subnet_ids
  source_cidrs    = var.source_cidrs
  share_with      = ["arn:aws:iam::${var.sources_account}:root"]
  session_manager = true
  package_url     = var.package_url
  package_sha256  = var.package_sha256

  # Which VPC a packet is of is told by the VNI, where addresses overlap.
  networks = { for vni in values(module.sources.vnis) : tostring(vni) => "shop" }
}

# One for each VPC of sources.
module "sources" {
  source    = "../../sources" # git::https://…//deploy/terraform/aws/sources?ref=v1.2.3
  providers = { aws = aws.sources }

  name        = "mirrorscope-shop"
  target_type = "gateway-load-balancer"

  gateway_load_balancer_service = {
    name      = module.sensors.endpoint_service_name
    vpc_id    = var.sources_vpc_id
    subnet_id = var.sources_subnet_id
  }

  sessions = { for name, id in var.interfaces : name => { interface_id = id, packet_length = 8446 } }
}
