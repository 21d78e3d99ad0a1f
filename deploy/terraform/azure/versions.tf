terraform {
  required_version = ">= 1.9" # validation of a variable looks at others

  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = ">= 4.0, < 5.0"
    }

    # azurerm has no virtual network TAP.
    azapi = {
      source  = "azure/azapi"
      version = ">= 2.0, < 3.0"
    }
  }
}
