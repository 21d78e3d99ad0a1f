# What sends to the collector: a policy, or a deployment that firewall policies
# of other projects name.

resource "google_compute_packet_mirroring" "policy" {
  count = var.mirrored != null ? 1 : 0

  project     = var.project
  region      = var.region
  name        = var.name
  description = "Mirror traffic to the Mirrorscope sensors ${var.name}"
  enable      = "TRUE"

  network {
    url = var.mirrored.network
  }

  collector_ilb {
    url = google_compute_forwarding_rule.collector.id
  }

  mirrored_resources {
    tags = var.mirrored.tags

    dynamic "subnetworks" {
      for_each = var.mirrored.subnetworks
      content {
        url = subnetworks.value
      }
    }

    dynamic "instances" {
      for_each = var.mirrored.instances
      content {
        url = instances.value
      }
    }
  }

  # Without one, IPv6 is left out.
  filter {
    cidr_ranges  = var.mirrored_filter.cidrs
    ip_protocols = var.mirrored_filter.protocols
    direction    = var.mirrored_filter.direction
  }
}

resource "google_network_security_mirroring_deployment_group" "sensors" {
  count = local.policy ? 0 : 1

  project                       = var.project
  location                      = "global"
  mirroring_deployment_group_id = var.name
  network                       = var.collector_network
}

resource "google_network_security_mirroring_deployment" "zone" {
  for_each = local.policy ? [] : toset(var.zones)

  project                    = var.project
  location                   = each.value
  mirroring_deployment_id    = "${var.name}-${each.value}"
  mirroring_deployment_group = google_network_security_mirroring_deployment_group.sensors[0].id
  forwarding_rule            = google_compute_forwarding_rule.collector.id
}
