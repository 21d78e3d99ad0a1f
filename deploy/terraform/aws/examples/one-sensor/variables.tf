variable "region" {
  type    = string
  default = "eu-central-1"
}

variable "vpc_id" {
  type = string
}

variable "subnet_id" {
  type = string
}

variable "source_cidrs" {
  type = list(string)
}

variable "management_cidrs" {
  type    = list(string)
  default = []
}

variable "package_url" {
  type = string
}

variable "package_sha256" {
  type = string
}

variable "interfaces" {
  description = "Interfaces to mirror, by a name of yours: { web-1 = \"eni-…\" }."
  type        = map(string)
}

variable "instances" {
  description = "The instances that they belong to, for alarms: { web-1 = \"i-…\" }."
  type        = map(string)
  default     = {}
}
