terraform {
  required_version = ">= 1.9" # validation of a variable looks at others

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 7.0, < 8.0"
    }
  }
}
