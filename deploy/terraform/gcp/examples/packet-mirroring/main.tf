# VPC Packet Mirroring: a policy mirrors all instances of some subnetworks and
# all with a network tag, to sensors with a collecting network of their own.

terraform {
  required_version = ">= 1.9"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 7.0, < 8.0"
    }
  }
}

provider "google" {
  project = var.project
  region  = var.region
}

# The mirror alone comes here. No route leads out, and its MTU is the largest.
resource "google_compute_network" "collector" {
  name                            = "mirrorscope-collector"
  auto_create_subnetworks         = false
  delete_default_routes_on_create = true
  mtu                             = 8896
}

resource "google_compute_subnetwork" "collector" {
  name          = "mirrorscope-collector"
  network       = google_compute_network.collector.id
  ip_cidr_range = var.collector_cidr
}

# The mirror goes by the peering, where collector and sources are in networks of
# their own.
resource "google_compute_network_peering" "to_collector" {
  name         = "mirrorscope-to-collector"
  network      = var.mirrored_network
  peer_network = google_compute_network.collector.id
}

resource "google_compute_network_peering" "to_sources" {
  name         = "mirrorscope-to-sources"
  network      = google_compute_network.collector.id
  peer_network = var.mirrored_network
}

module "sensors" {
  source = "../.." # git::https://…//deploy/terraform/gcp?ref=v1.2.3

  project               = var.project
  region                = var.region
  zones                 = var.zones
  collector_network     = google_compute_network.collector.id
  collector_subnetwork  = google_compute_subnetwork.collector.id
  collector_cidr        = var.collector_cidr
  management_network    = var.management_network
  management_subnetwork = var.management_subnetwork
  management_cidrs      = ["35.235.240.0/20"] # Identity-Aware Proxy
  package_url           = var.package_url
  package_sha256        = var.package_sha256

  mirrored = {
    network     = var.mirrored_network
    subnetworks = var.mirrored_subnetworks
    tags        = ["mirrored"]
  }

  depends_on = [google_compute_network_peering.to_collector, google_compute_network_peering.to_sources]
}
