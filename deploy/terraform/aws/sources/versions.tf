terraform {
  required_version = ">= 1.9" # validation of a variable looks at others

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.0, < 7.0"
    }
  }
}
