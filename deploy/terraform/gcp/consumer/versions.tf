terraform {
  required_version = ">= 1.9" # validation of a variable looks at others

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 7.0, < 8.0"
    }

    # The mirroring rule of a firewall policy is there alone.
    google-beta = {
      source  = "hashicorp/google-beta"
      version = ">= 7.0, < 8.0"
    }
  }
}
