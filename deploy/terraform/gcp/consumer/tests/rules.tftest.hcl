# The rules that mirror: nothing is asked of Google.

mock_provider "google" {}
mock_provider "google-beta" {
  alias = "beta"
}

variables {
  project             = "shop"
  organization        = "123456789012"
  deployment_group_id = "projects/sensors/locations/global/mirroringDeploymentGroups/mirrorscope"
  networks            = { shop = "projects/shop/global/networks/shop" }
}

run "everything" {
  providers = {
    google      = google
    google-beta = google-beta.beta
  }
  assert {
    condition     = length(google_compute_network_firewall_policy_packet_mirroring_rule.rule) == 4 && length(google_compute_network_firewall_policy_association.network) == 1
    error_message = "both directions and both families are mirrored, in a policy of our own"
  }
}

run "some_in_an_existing_policy" {
  providers = {
    google      = google
    google-beta = google-beta.beta
  }
  variables {
    firewall_policy = "shop"
    first_priority  = 50
    rules = [
      { direction = "EGRESS", action = "do_not_mirror", ranges = ["10.9.0.0/16"], protocol = "tcp", ports = ["9100"] },
      { direction = "EGRESS", secure_tags = ["tagValues/1", "tagValues/2"] },
    ]
  }
  assert {
    condition     = length(google_compute_network_firewall_policy.mirror) == 0 && length(google_compute_network_firewall_policy_association.network) == 0 && output.firewall_policy == "shop"
    error_message = "the rules are added to the policy that is there"
  }
  assert {
    condition     = [for r in google_compute_network_firewall_policy_packet_mirroring_rule.rule : r.priority] == [50, 51]
    error_message = "rules keep their order"
  }
  assert {
    condition     = google_compute_network_firewall_policy_packet_mirroring_rule.rule["000"].security_profile_group == null && google_compute_network_firewall_policy_packet_mirroring_rule.rule["000"].match[0].layer4_configs[0].ports == tolist(["9100"])
    error_message = "what is not mirrored names no profiles"
  }
  assert {
    condition     = length(google_compute_network_firewall_policy_packet_mirroring_rule.rule["001"].target_secure_tags) == 2
    error_message = "secure tags are as they were said"
  }
}
