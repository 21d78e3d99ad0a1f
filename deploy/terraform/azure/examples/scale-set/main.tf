# Sensors in a scale set behind an internal load balancer that the TAP sends to.
# EXPERIMENTAL, as virtual network TAP is a preview.

terraform {
  required_version = ">= 1.9"

  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = ">= 4.0, < 5.0"
    }
    azapi = {
      source  = "azure/azapi"
      version = ">= 2.0, < 3.0"
    }
  }
}

provider "azurerm" {
  subscription_id = var.subscription_id

  features {}
}

provider "azapi" {
  subscription_id = var.subscription_id
}

data "azurerm_resource_group" "sensors" {
  name = var.resource_group_name
}

module "sensors" {
  source = "../.." # git::https://…//deploy/terraform/azure?ref=v1.2.3

  preview_accepted     = true
  target_type          = "load-balancer"
  sensors              = 3
  resource_group_name  = data.azurerm_resource_group.sensors.name
  resource_group_id    = data.azurerm_resource_group.sensors.id
  location             = data.azurerm_resource_group.sensors.location
  capture_subnet_id    = var.capture_subnet_id
  management_subnet_id = var.management_subnet_id
  management_cidrs     = var.management_cidrs
  admin_ssh_key        = var.admin_ssh_key
  package_url          = var.package_url
  package_sha256       = var.package_sha256
  sources              = var.sources
}
