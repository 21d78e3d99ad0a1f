variable "name" {
  description = "Name of what is made. Lower case, digits and hyphens."
  type        = string
  default     = "mirrorscope"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,22}[a-z0-9]$", var.name))
    error_message = "name: need 2 to 24 of a-z, 0-9 and hyphens, a letter first and no hyphen last."
  }
}

variable "labels" {
  description = "Labels of the sensors' instances."
  type        = map(string)
  default     = {}
}

variable "project" {
  description = "Project of the sensors."
  type        = string

  validation {
    condition     = can(regex("^([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "project: need the project's ID, as my-project-1."
  }
}

variable "region" {
  description = "Region of the sensors, which is that of the mirrored instances."
  type        = string

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "region: need one as europe-west3."
  }
}

variable "zones" {
  description = "Zones of the sensors. Out-of-band integration mirrors the instances of these zones alone."
  type        = list(string)

  validation {
    condition     = length(var.zones) >= 1 && alltrue([for z in var.zones : can(regex("^[a-z]+-[a-z]+[0-9]+-[a-z]$", z))])
    error_message = "zones: need one at least, as europe-west3-a."
  }

  validation {
    condition     = alltrue([for z in var.zones : startswith(z, "${var.region}-")])
    error_message = "zones: have to be in region, ${var.region}."
  }
}

variable "mode" {
  description = "How packets come: packet-mirroring (VPC Packet Mirroring, by a policy for each region, not encapsulated) or out-of-band (Network Security Integration, by firewall policies, in GENEVE)."
  type        = string
  default     = "packet-mirroring"

  validation {
    condition     = contains(["packet-mirroring", "out-of-band"], var.mode)
    error_message = "mode: need packet-mirroring or out-of-band."
  }
}

# Where the sensors are: two networks, as an instance has each of its interfaces
# in a network of its own.

variable "collector_network" {
  description = "Network that the mirror comes to, for nothing else. Its MTU is at least that of the mirrored network; out-of-band 396 more."
  type        = string
}

variable "collector_subnetwork" {
  description = "Subnetwork of the load balancer and the collecting interfaces."
  type        = string
}

variable "collector_cidr" {
  description = "IPv4 range of collector_subnetwork, from which out-of-band integration sends."
  type        = string

  validation {
    condition     = can(cidrnetmask(var.collector_cidr))
    error_message = "collector_cidr: need an IPv4 network as 10.9.1.0/24."
  }
}

variable "management_network" {
  description = "Network of the sensors' first interfaces."
  type        = string

  validation {
    condition     = var.management_network != var.collector_network
    error_message = "management_network: has to be another than collector_network; an instance cannot have two interfaces in one."
  }
}

variable "management_subnetwork" {
  description = "Subnetwork of the sensors' first interfaces. It needs a way to package_url, as by Cloud NAT."
  type        = string
}

variable "management_cidrs" {
  description = "IPv4 prefixes that may reach the first interfaces by SSH: 35.235.240.0/20 is that of Identity-Aware Proxy. Empty: nobody."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for c in var.management_cidrs : can(cidrnetmask(c))])
    error_message = "management_cidrs: need IPv4 networks as 35.235.240.0/20."
  }

  validation {
    condition     = !contains(var.management_cidrs, "0.0.0.0/0")
    error_message = "management_cidrs: 0.0.0.0/0 would let the whole Internet try; name networks."
  }
}

# The machines.

variable "machine_type" {
  description = "Type of the sensors' instances. Two interfaces need 2 vCPUs at least."
  type        = string
  default     = "n2-standard-4"

  validation {
    condition     = can(regex("^[a-z][a-z0-9]*-[a-z0-9-]+$", var.machine_type))
    error_message = "machine_type: need one as n2-standard-4."
  }
}

variable "image" {
  description = "Image of the sensors: Debian and Ubuntu take the deb."
  type        = string
  default     = "debian-cloud/debian-12"
}

variable "package_url" {
  description = "Where the sensors fetch their package: an https or http URL of a .deb or .rpm."
  type        = string

  validation {
    condition     = can(regex("\\.rpm(\\?.*)?$", var.package_url)) == can(regex("(rhel|rocky|centos|fedora|alma|oracle|suse)", var.image))
    error_message = "package_url: the image ${var.image} takes the other kind of package: Debian and Ubuntu .deb, the Red Hat family .rpm."
  }
}

variable "package_sha256" {
  description = "SHA-256 of the package, 64 hexadecimal digits. A sensor does not install anything else."
  type        = string
}

variable "extra_config" {
  description = "More of the sensor's configuration, TOML that begins with a table, put behind what the module writes."
  type        = string
  default     = ""
}

variable "disk_size" {
  description = "Size of the boot disk, GB. The sensor keeps up to 4 GiB of finished records."
  type        = number
  default     = 20

  validation {
    condition     = var.disk_size >= 10
    error_message = "disk_size: need 10 GB at least."
  }
}

variable "health_port" {
  description = "TCP port of the load balancer's HTTP health check."
  type        = number
  default     = 9480

  validation {
    condition     = var.health_port >= 1024 && var.health_port <= 65535 && var.health_port != 9478
    error_message = "health_port: need a port from 1024 to 65535, and not 9478, where /metrics is."
  }
}

variable "sensors" {
  description = "How many sensors there are: between min and max, so that they use about cpu_percent of their processors."
  type = object({
    min         = optional(number, 2)
    max         = optional(number, 4)
    cpu_percent = optional(number, 60)
  })
  default = {}

  validation {
    condition     = var.sensors.min >= 1 && var.sensors.min <= var.sensors.max
    error_message = "sensors: min has to be 1 at least, and max no smaller."
  }

  validation {
    condition     = var.sensors.cpu_percent >= 10 && var.sensors.cpu_percent <= 90
    error_message = "sensors: cpu_percent has to be 10 to 90."
  }
}

variable "inventory" {
  description = "Let the sensors read the inventory of inventory_projects, for names in place of addresses. They then may speak with any address."
  type        = bool
  default     = true
}

variable "inventory_projects" {
  description = "Projects whose inventory is read; with a Shared VPC also the host project. Empty: that of the sensors. A role of five permissions is made there for the sensors' service account."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for p in var.inventory_projects : can(regex("^([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]$", p))])
    error_message = "inventory_projects: need IDs of projects, as my-project-1."
  }

  validation {
    condition     = length(distinct(var.inventory_projects)) == length(var.inventory_projects) && (var.inventory || length(var.inventory_projects) == 0)
    error_message = "inventory_projects: need inventory = true, and each project once."
  }
}

# What is mirrored, with packet-mirroring. Out-of-band, the module in consumer
# says it.

variable "mirrored" {
  description = "What a policy mirrors, with packet-mirroring: the network, and in it instances by their subnetworks, network tags (also those that come later), or one by one. Null: no policy is made."
  type = object({
    network     = string
    subnetworks = optional(list(string), [])
    tags        = optional(list(string), [])
    instances   = optional(list(string), [])
  })
  default = null

  validation {
    condition     = var.mode == "packet-mirroring" || var.mirrored == null
    error_message = "mirrored: out-of-band, what is mirrored is said by firewall policies: take the module in consumer."
  }

  validation {
    condition     = var.mirrored == null || try(length(var.mirrored.subnetworks) + length(var.mirrored.tags) + length(var.mirrored.instances) > 0, false)
    error_message = "mirrored: need subnetworks, tags or instances."
  }

  validation {
    condition     = var.mirrored == null || try(length(var.mirrored.instances) <= 50, false)
    error_message = "mirrored: a policy takes 50 instances at most; take tags or subnetworks."
  }

  validation {
    condition     = var.mirrored == null || try(var.mirrored.network != var.collector_network, false)
    error_message = "mirrored: network is collector_network, whose packets would be mirrored to themselves."
  }
}

variable "mirrored_filter" {
  description = "Which packets of them: other sides (prefixes), protocols (tcp, udp, icmp, esp, …; empty: all) and direction (INGRESS, EGRESS, BOTH)."
  type = object({
    cidrs     = optional(list(string), ["0.0.0.0/0", "::/0"])
    protocols = optional(list(string), [])
    direction = optional(string, "BOTH")
  })
  default = {}

  validation {
    condition     = contains(["INGRESS", "EGRESS", "BOTH"], var.mirrored_filter.direction)
    error_message = "mirrored_filter: direction has to be INGRESS, EGRESS or BOTH."
  }

  validation {
    condition     = length(var.mirrored_filter.cidrs) > 0 && alltrue([for c in var.mirrored_filter.cidrs : can(cidrhost(c, 0))])
    error_message = "mirrored_filter: cidrs need networks as 10.0.0.0/8; everything is [\"0.0.0.0/0\", \"::/0\"]."
  }
}
