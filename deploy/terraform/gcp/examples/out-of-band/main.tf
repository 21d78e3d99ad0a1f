# Network Security Integration, out-of-band: the firewall policy of the mirrored
# networks says what is mirrored. Their addresses may overlap.

terraform {
  required_version = ">= 1.9"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 7.0, < 8.0"
    }
    google-beta = {
      source  = "hashicorp/google-beta"
      version = ">= 7.0, < 8.0"
    }
  }
}

provider "google" {
  project = var.sensors_project
  region  = var.region
}

provider "google-beta" {
  project = var.sources_project
  region  = var.region
}

resource "google_compute_network" "collector" {
  name                            = "mirrorscope-collector"
  auto_create_subnetworks         = false
  delete_default_routes_on_create = true
  mtu                             = 8896 # that of the sources and 396
}

resource "google_compute_subnetwork" "collector" {
  name          = "mirrorscope-collector"
  network       = google_compute_network.collector.id
  ip_cidr_range = var.collector_cidr
}

module "sensors" {
  source = "../.." # git::https://…//deploy/terraform/gcp?ref=v1.2.3

  mode                  = "out-of-band"
  project               = var.sensors_project
  region                = var.region
  zones                 = var.zones
  collector_network     = google_compute_network.collector.id
  collector_subnetwork  = google_compute_subnetwork.collector.id
  collector_cidr        = var.collector_cidr
  management_network    = var.management_network
  management_subnetwork = var.management_subnetwork
  package_url           = var.package_url
  package_sha256        = var.package_sha256
  inventory_projects    = [var.sensors_project, var.sources_project]
}

module "consumer" {
  source = "../../consumer" # git::https://…//deploy/terraform/gcp/consumer?ref=v1.2.3

  project             = var.sources_project
  organization        = var.organization
  deployment_group_id = module.sensors.deployment_group_id
  networks            = var.networks
}
