variable "sensors_project" {
  type = string
}

variable "sources_project" {
  type = string
}

variable "organization" {
  type = string
}

variable "region" {
  type    = string
  default = "europe-west3"
}

variable "zones" {
  type    = list(string)
  default = ["europe-west3-a", "europe-west3-b"]
}

variable "collector_cidr" {
  type    = string
  default = "10.200.0.0/24"
}

variable "management_network" {
  type = string
}

variable "management_subnetwork" {
  type = string
}

variable "networks" {
  description = "Networks to mirror, by a name of yours."
  type        = map(string)
}

variable "package_url" {
  type = string
}

variable "package_sha256" {
  type = string
}
