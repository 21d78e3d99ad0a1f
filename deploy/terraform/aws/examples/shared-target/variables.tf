variable "region" {
  type    = string
  default = "eu-central-1"
}

variable "sensors_role" {
  description = "Role in the sensors' account."
  type        = string
}

variable "sensors_vpc_id" {
  type = string
}

variable "sensors_subnet_ids" {
  type = list(string)
}

variable "sources_role" {
  description = "Role in the sources' account."
  type        = string
}

variable "sources_account" {
  type = string
}

variable "source_cidrs" {
  type = list(string)
}

variable "interfaces" {
  description = "Interfaces to mirror, by a name of yours: { web-1 = \"eni-…\" }."
  type        = map(string)
}

variable "package_url" {
  type = string
}

variable "package_sha256" {
  type = string
}
