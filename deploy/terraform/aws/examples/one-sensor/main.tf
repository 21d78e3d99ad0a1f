# One sensor, whose second interface is the mirror target: for up to ten
# mirrored interfaces in one VPC, or in VPCs that reach it.

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

module "sensor" {
  source = "../.." # git::https://…//deploy/terraform/aws?ref=v1.2.3

  name             = "mirrorscope"
  vpc_id           = var.vpc_id
  subnet_ids       = [var.subnet_id]
  source_cidrs     = var.source_cidrs
  management_cidrs = var.management_cidrs
  package_url      = var.package_url
  package_sha256   = var.package_sha256

  sessions        = { for name, id in var.interfaces : name => { interface_id = id } }
  amazon_dns      = true
  alarm_instances = var.instances
}
