variable "name" {
  description = "Name of what is made, and the value of its tag Name. Lower case, digits and hyphens."
  type        = string
  default     = "mirrorscope"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,22}[a-z0-9]$", var.name))
    error_message = "name: need 2 to 24 of a-z, 0-9 and hyphens, a letter first and no hyphen last."
  }
}

variable "tags" {
  description = "Further tags of all that is made."
  type        = map(string)
  default     = {}
}

# Where the sensors are.

variable "vpc_id" {
  description = "VPC of the sensors."
  type        = string
}

variable "subnet_ids" {
  description = "Subnets of the sensors: one for an interface as target; for a load balancer one in each zone. They need a way to package_url."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) >= 1
    error_message = "subnet_ids: need one at least."
  }

  validation {
    condition     = var.target_type != "interface" || length(var.subnet_ids) <= 1
    error_message = "subnet_ids: an interface is in one subnet; give one, or take a load balancer as target."
  }
}

variable "management_subnet_id" {
  description = "Subnet of the management interface of the one sensor behind an interface target; null: that of the capture interface. Both have to be in one zone."
  type        = string
  default     = null

  validation {
    condition     = var.management_subnet_id == null || var.target_type == "interface"
    error_message = "management_subnet_id: behind a load balancer both interfaces of a sensor are in the subnet that it is started in; leave it out."
  }
}

variable "target_type" {
  description = "What the mirror sends to: interface (one sensor), network-load-balancer (many) or gateway-load-balancer (many, for sources in any account and VPC)."
  type        = string
  default     = "interface"

  validation {
    condition     = contains(["interface", "network-load-balancer", "gateway-load-balancer"], var.target_type)
    error_message = "target_type: need interface, network-load-balancer or gateway-load-balancer."
  }
}

variable "source_cidrs" {
  description = "IPv4 prefixes of the mirrored interfaces. The security group admits the mirror from them, and the sensor takes it from nobody else."
  type        = list(string)

  validation {
    condition     = alltrue([for c in var.source_cidrs : can(cidrnetmask(c)) && try(cidrhost(c, 0) == split("/", c)[0], false)])
    error_message = "source_cidrs: need IPv4 networks as 10.0.0.0/8, without bits of a host."
  }

  validation {
    condition     = length(var.source_cidrs) + length(var.source_ipv6_cidrs) > 0
    error_message = "source_cidrs: need one at least, or a prefix in source_ipv6_cidrs: nobody could send anything."
  }
}

variable "source_ipv6_cidrs" {
  description = "IPv6 prefixes of the mirrored interfaces, where these have IPv6 alone as their primary address."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for c in var.source_ipv6_cidrs : can(cidrhost(c, 0)) && !can(cidrnetmask(c))])
    error_message = "source_ipv6_cidrs: need IPv6 networks as 2001:db8::/32."
  }
}

variable "management_cidrs" {
  description = "IPv4 prefixes that may reach the management interface by SSH. Empty: nobody; take Session Manager (session_manager)."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for c in var.management_cidrs : can(cidrnetmask(c))])
    error_message = "management_cidrs: need IPv4 networks as 192.0.2.0/24."
  }

  validation {
    condition     = !contains(var.management_cidrs, "0.0.0.0/0")
    error_message = "management_cidrs: 0.0.0.0/0 would let the whole Internet try; name networks."
  }
}

# The machines.

variable "instance_type" {
  description = "Type of the sensors' instances. What counts is bandwidth, packets a second, and two interfaces."
  type        = string
  default     = "c6in.large"

  validation {
    condition     = can(regex("^[a-z0-9-]+\\.[a-z0-9-]+$", var.instance_type))
    error_message = "instance_type: need one as c6in.large."
  }
}

variable "architecture" {
  description = "Processor of instance_type, which the package has to fit: x86_64 or arm64."
  type        = string
  default     = "x86_64"

  validation {
    condition     = contains(["x86_64", "arm64"], var.architecture)
    error_message = "architecture: need x86_64 or arm64."
  }
}

variable "ami_id" {
  description = "Image of the sensors: Amazon Linux 2023 takes the rpm, Debian and Ubuntu the deb. Null: the latest Amazon Linux 2023 for the architecture."
  type        = string
  default     = null

  validation {
    condition     = var.ami_id == null || can(regex("^ami-[0-9a-f]+$", var.ami_id))
    error_message = "ami_id: need one as ami-0123456789abcdef0."
  }
}

variable "package_url" {
  description = "Where the sensors fetch their package: an https or http URL of a .rpm or .deb."
  type        = string

  validation {
    condition     = var.ami_id != null || can(regex("\\.rpm(\\?.*)?$", var.package_url))
    error_message = "package_url: Amazon Linux, which is taken when ami_id is null, needs the .rpm."
  }

  validation {
    condition     = can(regex(var.architecture == "arm64" ? "(arm64|aarch64)" : "(amd64|x86_64)", var.package_url)) || !can(regex("(arm64|aarch64|amd64|x86_64)", var.package_url))
    error_message = "package_url: is for another processor than architecture, ${var.architecture}."
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

variable "networks" {
  description = "Name of the network by VNI, where addresses overlap: { \"7007\" = \"blue\" }. The output vnis of sources has the VNIs."
  type        = map(string)
  default     = {}
}

variable "key_name" {
  description = "EC2 key pair for SSH. Null: none."
  type        = string
  default     = null
}

variable "volume_size" {
  description = "Size of the root volume, GiB. The sensor keeps up to 4 GiB of finished records."
  type        = number
  default     = 20

  validation {
    condition     = var.volume_size >= 8
    error_message = "volume_size: need 8 GiB at least."
  }
}

variable "root_device" {
  description = "Name of the image's root volume: /dev/xvda with Amazon Linux and Debian, /dev/sda1 with Ubuntu."
  type        = string
  default     = "/dev/xvda"

  validation {
    condition     = startswith(var.root_device, "/dev/")
    error_message = "root_device: need a device, as /dev/xvda."
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

# How many.

variable "sensors" {
  description = "How many sensors are behind a load balancer: between min and max, so that they use about cpu_percent of their processors."
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

# What is mirrored.

variable "sessions" {
  description = "Interfaces to mirror, by a name of yours, where Terraform makes the sessions. vni: by default a number made of that name. session_number: the order among the sessions of one interface."
  type = map(object({
    interface_id   = string
    session_number = optional(number, 1)
    vni            = optional(number)
    packet_length  = optional(number)
  }))
  default = {}

  validation {
    condition     = var.target_type != "gateway-load-balancer" || length(var.sessions) == 0
    error_message = "sessions: behind a gateway load balancer the sessions are made beside the sources, by the module in sources, one for each VPC."
  }
}

variable "watch" {
  description = "Have `sensor mirror watch` make the sessions, by conditions on tags of instances and interfaces, on a small machine of its own. extra: more of its desired state, TOML tables. Null: nobody does."
  type = object({
    instances     = optional(string, "")
    interfaces    = optional(string, "")
    vpcs          = optional(list(string), [])
    extra         = optional(string, "")
    instance_type = optional(string)
  })
  default = null

  validation {
    condition     = var.watch == null || var.target_type != "gateway-load-balancer"
    error_message = "watch: behind a gateway load balancer the sessions are made beside the sources; run `sensor mirror watch` there, with the endpoint as target."
  }

  validation {
    condition     = var.watch == null || try(trimspace("${var.watch.instances}${var.watch.interfaces}") != "", false)
    error_message = "watch: need a condition, as instances = \"env = prod\"; everything is \"*\"."
  }

  validation {
    condition     = var.watch == null || try(!can(regex("(?m)^[ \\t]*\\[[ \\t]*(aws|select|filter)[ \\t]*\\]", var.watch.extra)) && (trimspace(var.watch.extra) == "" || can(regex("^\\s*\\[", var.watch.extra))), false)
    error_message = "watch: extra has to begin with a table, and [aws], [select] and [filter] are written by the module."
  }
}

variable "large_interface" {
  description = "instance_type is of a size that takes 100 sources in place of 10: the largest ones, as AWS lists them."
  type        = bool
  default     = false
}

variable "amazon_dns" {
  description = "Mirror the queries to the VPC's resolver as well, both directions."
  type        = bool
  default     = false
}

variable "rules" {
  description = "What is mirrored, in place of everything: see the same variable of sources."
  type = list(object({
    direction         = string
    action            = string
    protocol          = optional(number)
    source            = optional(string, "0.0.0.0/0")
    destination       = optional(string, "0.0.0.0/0")
    source_ports      = optional(object({ from = number, to = number }))
    destination_ports = optional(object({ from = number, to = number }))
  }))
  default = null
}

variable "share_with" {
  description = "Accounts (12 digits), organizations or organizational units (ARNs) that may mirror to the target; for a gateway load balancer, principals (ARNs) that may have an endpoint."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for p in var.share_with : can(regex("^([0-9]{12}|arn:aws[a-z-]*:(organizations|iam)::.*)$", p))])
    error_message = "share_with: need account numbers of 12 digits, or ARNs of organizations, organizational units or principals."
  }

  validation {
    condition     = var.target_type != "gateway-load-balancer" || alltrue([for p in var.share_with : startswith(p, "arn:")])
    error_message = "share_with: the endpoint service of a gateway load balancer takes ARNs of principals, as arn:aws:iam::111122223333:root."
  }
}

# Rights, alarms.

variable "inventory" {
  description = "Let the sensors read the account's inventory in their Region, for names in place of addresses, and what the mirror lost. They then may speak with any address."
  type        = bool
  default     = true
}

variable "inventory_roles" {
  description = "Roles in other accounts that the sensors take on to read the inventory there, with the external ID that they ask for."
  type = list(object({
    role_arn    = string
    external_id = optional(string, "")
  }))
  default = []

  validation {
    condition     = alltrue([for r in var.inventory_roles : can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:role/[\\w+=,.@/-]+$", r.role_arn))])
    error_message = "inventory_roles: role_arn has to be as arn:aws:iam::111122223333:role/mirrorscope-read."
  }

  validation {
    condition     = alltrue([for r in var.inventory_roles : can(regex("^[\\w+=,.@:/-]*$", r.external_id))])
    error_message = "inventory_roles: external_id has to be of letters, digits and _+=,.@:/-, as IAM has it."
  }

  validation {
    condition     = var.inventory || length(var.inventory_roles) == 0
    error_message = "inventory_roles: need inventory = true."
  }
}

variable "session_manager" {
  description = "Let AWS Systems Manager reach the sensors, for Session Manager in place of SSH."
  type        = bool
  default     = false
}

variable "permissions_boundary" {
  description = "ARN of the policy that bounds the roles made here. Null: none."
  type        = string
  default     = null
}

variable "alarm_instances" {
  description = "Mirrored instances, by a name of yours, whose loss in the mirror an alarm watches each: what they left out because they were short of bandwidth."
  type        = map(string)
  default     = {}
}

variable "alarm_all" {
  description = "Have one alarm watch the loss of all instances of the account and Region, those that come later included."
  type        = bool
  default     = false
}

variable "alarm_actions" {
  description = "ARNs of what an alarm tells, as an SNS topic."
  type        = list(string)
  default     = []
}
