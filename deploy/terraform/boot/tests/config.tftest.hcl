# What the script says for each cloud.

variables {
  cloud             = "aws"
  package_url       = "https://packages.example/mirrorscope_1.2.3_amd64.deb?signature=a%20b"
  package_sha256    = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
  capture_interface = 1
  shared            = false
  udp_ports         = [4789]
  sources           = ["10.0.0.0/8"]
}

run "aws" {
  assert {
    condition     = strcontains(output.user_data, "X-aws-ec2-metadata-token") && !strcontains(output.user_data, "Metadata-Flavor")
    error_message = "AWS is asked with a token"
  }
  assert {
    condition     = strcontains(output.user_data, "kind='deb'")
    error_message = "the kind of package is that of the URL, whatever its query"
  }
}

run "gcp" {
  variables {
    cloud     = "gcp"
    udp_ports = []
    sources   = []
    shared    = true
    ignored   = ["35.191.0.0/16"]
    routes    = ["35.191.0.0/16"]
    networks  = { "7" = "say \"blue\"\nor <green>" }
  }
  assert {
    condition     = strcontains(output.user_data, "Metadata-Flavor: Google") && strcontains(output.user_data, "ip route replace 35.191.0.0/16 via $gateway dev $capture onlink")
    error_message = "GCP is asked with its header, and health checks are answered where they come in"
  }
  assert {
    condition     = !strcontains(output.config, "udp_ports") && !strcontains(output.config, "sources") && strcontains(output.config, "net = [\"35.191.0.0/16\"]")
    error_message = "without encapsulation there is nobody to name but those whose packets are not measured"
  }
}

run "azure" {
  variables {
    cloud = "azure"
  }
  assert {
    condition     = strcontains(output.user_data, "Metadata: true") && !strcontains(output.user_data, "gateway=")
    error_message = "Azure is asked with its header"
  }
}

run "mirror_sessions_alone" {
  variables {
    capture_interface = null
    desired_state     = "name = \"shop\""
  }
  assert {
    condition     = strcontains(output.user_data, "sensor mirror watch") && !strcontains(output.user_data, "169.254.169.254") && !strcontains(output.user_data, "sensor.toml")
    error_message = "a machine that keeps sessions measures nothing"
  }
}
