variable "project" {
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

variable "mirrored_network" {
  type = string
}

variable "mirrored_subnetworks" {
  type = list(string)
}

variable "package_url" {
  type = string
}

variable "package_sha256" {
  type = string
}
