# What a sensor's machine does at its first start: fetch the package, check it,
# install it, write the configuration, start the sensor; or have it keep mirror
# sessions, on a machine that measures nothing. Nothing of a cloud is made here;
# the modules of the clouds use it for their user data.

locals {
  # The interface has no name yet: the user data puts it in place of @CAPTURE@.
  config = templatefile("${path.module}/sensor.toml.tftpl", {
    udp_ports    = var.udp_ports
    sources      = var.sources
    ignored      = var.ignored
    shared       = var.shared
    networks     = var.networks
    health_port  = var.health_port
    inventory    = trimspace(var.inventory)
    extra_config = trimspace(var.extra_config)
  })

  user_data = templatefile("${path.module}/user-data.sh.tftpl", {
    cloud             = var.cloud
    package_url       = var.package_url
    package_sha256    = var.package_sha256
    package_kind      = regex("\\.(deb|rpm)(?:\\?|$)", var.package_url)[0]
    capture_interface = var.capture_interface
    config            = local.config
    desired_state     = trimspace(var.desired_state)
    allowed           = var.allowed
    routes            = var.routes
  })
}
