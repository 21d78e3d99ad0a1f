variable "subscription_id" {
  type = string
}

variable "resource_group_name" {
  type = string
}

variable "capture_subnet_id" {
  type = string
}

variable "management_subnet_id" {
  type = string
}

variable "management_cidrs" {
  type    = list(string)
  default = []
}

variable "admin_ssh_key" {
  type = string
}

variable "package_url" {
  type = string
}

variable "package_sha256" {
  type = string
}

variable "sources" {
  description = "IDs of the network interfaces to mirror, by a name of yours."
  type        = map(string)
}
