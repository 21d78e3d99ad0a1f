# The collector in both modes: nothing is asked of Google.

mock_provider "google" {}

variables {
  project               = "sensors"
  region                = "europe-west3"
  zones                 = ["europe-west3-a", "europe-west3-b"]
  collector_network     = "collector"
  collector_subnetwork  = "collector"
  collector_cidr        = "10.200.0.0/24"
  management_network    = "management"
  management_subnetwork = "management"
  package_url           = "https://packages.example/mirrorscope_1.2.3_amd64.deb"
  package_sha256        = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
}

run "without_a_policy" {
  assert {
    condition     = length(google_compute_packet_mirroring.policy) == 0 && length(google_network_security_mirroring_deployment_group.sensors) == 0 && output.policy_id == null
    error_message = "nothing is mirrored that nobody named"
  }
  assert {
    condition     = google_compute_region_instance_template.sensor.can_ip_forward
    error_message = "packets for others reach the instance"
  }
}

run "a_policy_for_some" {
  variables {
    mirrored        = { network = "shop", tags = ["web"], instances = ["a", "b"] }
    mirrored_filter = { cidrs = ["10.0.0.0/8"], protocols = ["tcp"], direction = "INGRESS" }
  }
  assert {
    condition     = length(google_compute_packet_mirroring.policy[0].mirrored_resources[0].instances) == 2 && length(google_compute_packet_mirroring.policy[0].mirrored_resources[0].subnetworks) == 0
    error_message = "the policy names what it was told"
  }
  assert {
    condition     = google_compute_packet_mirroring.policy[0].filter[0].ip_protocols == tolist(["tcp"]) && google_compute_packet_mirroring.policy[0].filter[0].direction == "INGRESS"
    error_message = "the filter is as it was said"
  }
}

run "out_of_band" {
  variables {
    mode      = "out-of-band"
    inventory = false
  }
  assert {
    condition     = length(google_network_security_mirroring_deployment.zone) == 2 && !google_compute_region_instance_template.sensor.can_ip_forward
    error_message = "each zone has a deployment, and packets come to the instance itself"
  }
  assert {
    condition     = length(google_project_iam_member.inventory) == 0 && length(google_project_iam_custom_role.inventory) == 0 && !strcontains(output.user_data, "IPAddressAllow=any") && strcontains(output.user_data, "IPAddressAllow=35.191.0.0/16")
    error_message = "without an inventory the sensor speaks with the load balancer alone"
  }
  assert {
    condition     = keys(google_compute_firewall.mirror) == ["geneve"] && google_compute_firewall.mirror["geneve"].source_ranges == toset(["10.200.0.0/24"])
    error_message = "GENEVE alone is let in, from the collector's subnetwork"
  }
  assert {
    condition     = google_compute_region_instance_template.sensor.metadata["startup-script"] == output.user_data
    error_message = "the instances run the user data"
  }
}
