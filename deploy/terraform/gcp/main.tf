# Sensors for GCP: instances behind an internal load balancer that collects, and
# what sends to it. The drawing is in README.md.

locals {
  policy = var.mode == "packet-mirroring" # else out-of-band integration

  projects = length(var.inventory_projects) > 0 ? var.inventory_projects : [var.project]

  # From where Google's load balancers check the health.
  probers = ["35.191.0.0/16", "130.211.0.0/22"]
}

resource "google_service_account" "sensor" {
  project      = var.project
  account_id   = "${var.name}-sensor"
  display_name = "Mirrorscope sensors ${var.name}"
}

# What the inventory asks for, and nothing else.
resource "google_project_iam_custom_role" "inventory" {
  for_each = var.inventory ? toset(local.projects) : []

  project     = each.value
  role_id     = "${replace(var.name, "-", "_")}_inventory"
  title       = "Mirrorscope inventory (${var.name})"
  description = "Lists what has addresses, for names of mirrored traffic"
  permissions = ["compute.instances.list", "compute.forwardingRules.list", "compute.addresses.list", "compute.subnetworks.list", "compute.routers.list"]
}

resource "google_project_iam_member" "inventory" {
  for_each = google_project_iam_custom_role.inventory

  project = each.value.project
  role    = each.value.id
  member  = google_service_account.sensor.member
}

# The collecting interface answers health checks and carries the mirror. Without
# encapsulation nothing tells the two apart but the address that asks.
module "boot" {
  source = "../boot"

  cloud             = "gcp"
  package_url       = var.package_url
  package_sha256    = var.package_sha256
  capture_interface = 1
  shared            = true
  udp_ports         = local.policy ? [] : [6081]
  sources           = local.policy ? [] : [var.collector_cidr]
  ignored           = local.policy ? local.probers : []
  health_port       = var.health_port
  allowed           = var.inventory ? ["any"] : local.probers
  routes            = local.probers
  inventory         = var.inventory ? "[cloud.gcp]\nenabled = true\nprojects = ${jsonencode(local.projects)}" : ""
  extra_config      = var.extra_config
}

resource "google_compute_region_instance_template" "sensor" {
  project      = var.project
  region       = var.region
  name_prefix  = "${var.name}-"
  description  = "Mirrorscope sensor"
  machine_type = var.machine_type
  labels       = var.labels

  # Mirrored packets are for others. The sensor hands them on to nobody.
  can_ip_forward = local.policy

  metadata = {
    startup-script         = module.boot.user_data
    enable-oslogin         = "TRUE"
    block-project-ssh-keys = "TRUE"
  }

  disk {
    source_image = var.image
    disk_size_gb = var.disk_size
    boot         = true
    auto_delete  = true
  }

  network_interface {
    network    = var.management_network
    subnetwork = var.management_subnetwork
  }

  network_interface {
    network    = var.collector_network
    subnetwork = var.collector_subnetwork
    nic_type   = "GVNIC"
  }

  service_account {
    email  = google_service_account.sensor.email
    scopes = ["cloud-platform"] # what it may do is said by its roles
  }

  shielded_instance_config {
    enable_secure_boot = true
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "google_compute_region_instance_group_manager" "sensors" {
  project                   = var.project
  region                    = var.region
  name                      = var.name
  base_instance_name        = var.name
  distribution_policy_zones = var.zones

  version {
    instance_template = google_compute_region_instance_template.sensor.id
  }

  auto_healing_policies {
    health_check      = google_compute_region_health_check.sensor.id
    initial_delay_sec = 300
  }

  update_policy {
    type                  = "PROACTIVE"
    minimal_action        = "REPLACE"
    max_surge_fixed       = length(var.zones)
    max_unavailable_fixed = 0
  }

  # How many there are is the autoscaler's to say.
  lifecycle {
    ignore_changes = [target_size]
  }
}

resource "google_compute_region_autoscaler" "sensors" {
  project = var.project
  region  = var.region
  name    = var.name
  target  = google_compute_region_instance_group_manager.sensors.id

  autoscaling_policy {
    min_replicas    = var.sensors.min
    max_replicas    = var.sensors.max
    cooldown_period = 180

    cpu_utilization {
      target = var.sensors.cpu_percent / 100
    }
  }
}
