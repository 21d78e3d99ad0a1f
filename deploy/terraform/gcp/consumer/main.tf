# Out-of-band integration on the side of the mirrored networks: which networks
# are joined to the sensors, and the rules of a firewall policy that mirror.

resource "google_network_security_mirroring_endpoint_group" "sensors" {
  project                     = var.project
  location                    = "global"
  mirroring_endpoint_group_id = var.name
  mirroring_deployment_group  = var.deployment_group_id
}

# A network has one at most.
resource "google_network_security_mirroring_endpoint_group_association" "network" {
  for_each = var.networks

  project                                 = var.project
  location                                = "global"
  mirroring_endpoint_group_association_id = "${var.name}-${each.key}"
  mirroring_endpoint_group                = google_network_security_mirroring_endpoint_group.sensors.id
  network                                 = each.value
}

resource "google_network_security_security_profile" "mirror" {
  parent   = "organizations/${var.organization}"
  location = "global"
  name     = var.name
  type     = "CUSTOM_MIRRORING"

  custom_mirroring_profile {
    mirroring_endpoint_group = google_network_security_mirroring_endpoint_group.sensors.id
  }
}

resource "google_network_security_security_profile_group" "mirror" {
  parent                   = "organizations/${var.organization}"
  location                 = "global"
  name                     = var.name
  custom_mirroring_profile = google_network_security_security_profile.mirror.id
}

resource "google_compute_network_firewall_policy" "mirror" {
  count = var.firewall_policy == null ? 1 : 0

  project     = var.project
  name        = var.name
  description = "What is mirrored to the Mirrorscope sensors ${var.name}"
}

resource "google_compute_network_firewall_policy_association" "network" {
  for_each = var.firewall_policy == null ? var.networks : {}

  project           = var.project
  name              = "${var.name}-${each.key}"
  firewall_policy   = google_compute_network_firewall_policy.mirror[0].name
  attachment_target = each.value
}

resource "google_compute_network_firewall_policy_packet_mirroring_rule" "rule" {
  provider = google-beta
  for_each = { for i, r in var.rules : format("%03d", i) => r }

  project                = var.project
  firewall_policy        = var.firewall_policy != null ? var.firewall_policy : google_compute_network_firewall_policy.mirror[0].name
  rule_name              = "${var.name}-${each.key}"
  description            = "Mirrorscope"
  priority               = var.first_priority + tonumber(each.key)
  direction              = each.value.direction
  action                 = each.value.action
  security_profile_group = each.value.action == "mirror" ? "//networksecurity.googleapis.com/${google_network_security_security_profile_group.mirror.id}" : null

  match {
    src_ip_ranges  = each.value.direction == "INGRESS" ? each.value.ranges : null
    dest_ip_ranges = each.value.direction == "EGRESS" ? each.value.ranges : null

    layer4_configs {
      ip_protocol = each.value.protocol
      ports       = each.value.ports
    }
  }

  dynamic "target_secure_tags" {
    for_each = each.value.secure_tags
    content {
      name = target_secure_tags.value
    }
  }
}
