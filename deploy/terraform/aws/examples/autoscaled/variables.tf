variable "region" {
  type    = string
  default = "eu-central-1"
}

variable "vpc_id" {
  type = string
}

variable "subnet_ids" {
  description = "One in each zone."
  type        = list(string)
}

variable "source_cidrs" {
  type = list(string)
}

variable "package_url" {
  type = string
}

variable "package_sha256" {
  type = string
}

variable "alarm_actions" {
  type    = list(string)
  default = []
}
