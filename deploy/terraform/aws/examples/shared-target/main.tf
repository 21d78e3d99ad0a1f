# Sensors in one account, whose target is shared with another by the Resource
# Access Manager: for VPCs that are peered, or joined by a transit gateway.

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
  target_type     = "network-load-balancer"
  vpc_id          = var.sensors_vpc_id
  subnet_ids      = var.sensors_subnet_ids
  source_cidrs    = var.source_cidrs
  share_with      = [var.sources_account]
  session_manager = true
  package_url     = var.package_url
  package_sha256  = var.package_sha256
}

# Accounts of one organization need not accept.
resource "aws_ram_resource_share_accepter" "sources" {
  provider = aws.sources

  share_arn = module.sensors.share_arn
}

module "sources" {
  source    = "../../sources" # git::https://…//deploy/terraform/aws/sources?ref=v1.2.3
  providers = { aws = aws.sources }

  name        = "mirrorscope-shop"
  target_type = "network-load-balancer"
  target_id   = module.sensors.target_id
  sessions    = { for name, id in var.interfaces : name => { interface_id = id } }

  depends_on = [aws_ram_resource_share_accepter.sources]
}
