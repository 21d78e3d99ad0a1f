terraform {
  required_version = ">= 1.9" # validation of a variable looks at others
}
