# The load balancer that collects, and who may send.

resource "google_compute_region_health_check" "sensor" {
  project             = var.project
  region              = var.region
  name                = var.name
  check_interval_sec  = 10
  timeout_sec         = 5
  healthy_threshold   = 2
  unhealthy_threshold = 2

  http_health_check {
    port         = var.health_port
    request_path = "/healthz"
  }
}

# The network says which interface of the sensors it sends to.
resource "google_compute_region_backend_service" "sensors" {
  project               = var.project
  region                = var.region
  name                  = var.name
  load_balancing_scheme = "INTERNAL"
  protocol              = local.policy ? "UNSPECIFIED" : "UDP"
  network               = var.collector_network
  health_checks         = [google_compute_region_health_check.sensor.id]

  backend {
    group          = google_compute_region_instance_group_manager.sensors.instance_group
    balancing_mode = "CONNECTION"
  }
}

# What is behind it is never mirrored itself.
resource "google_compute_forwarding_rule" "collector" {
  project                = var.project
  region                 = var.region
  name                   = var.name
  description            = "Mirror traffic to the Mirrorscope sensors ${var.name}"
  load_balancing_scheme  = "INTERNAL"
  is_mirroring_collector = true
  ip_protocol            = local.policy ? "L3_DEFAULT" : "UDP"
  all_ports              = local.policy ? true : null
  ports                  = local.policy ? null : ["6081"]
  network                = var.collector_network
  subnetwork             = var.collector_subnetwork
  backend_service        = google_compute_region_backend_service.sensors.id
}

# A firewall sees the mirrored packets with the addresses that they have.
resource "google_compute_firewall" "mirror" {
  for_each = local.policy ? { ipv4 = "0.0.0.0/0", ipv6 = "::/0" } : { geneve = var.collector_cidr }

  project                 = var.project
  name                    = "${var.name}-mirror-${each.key}"
  network                 = var.collector_network
  direction               = "INGRESS"
  source_ranges           = [each.value]
  target_service_accounts = [google_service_account.sensor.email]

  allow {
    protocol = local.policy ? "all" : "udp"
    ports    = local.policy ? null : ["6081"]
  }
}

resource "google_compute_firewall" "health" {
  project                 = var.project
  name                    = "${var.name}-health"
  network                 = var.collector_network
  direction               = "INGRESS"
  source_ranges           = local.probers
  target_service_accounts = [google_service_account.sensor.email]

  allow {
    protocol = "tcp"
    ports    = [tostring(var.health_port)]
  }
}

resource "google_compute_firewall" "ssh" {
  count = length(var.management_cidrs) > 0 ? 1 : 0

  project                 = var.project
  name                    = "${var.name}-ssh"
  network                 = var.management_network
  direction               = "INGRESS"
  source_ranges           = var.management_cidrs
  target_service_accounts = [google_service_account.sensor.email]

  allow {
    protocol = "tcp"
    ports    = ["22"]
  }
}
