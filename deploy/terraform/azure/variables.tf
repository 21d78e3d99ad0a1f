variable "preview_accepted" {
  description = "Say true: virtual network TAP is a public preview in some regions, and this module is experimental as long as it is."
  type        = bool
  default     = false

  validation {
    condition     = var.preview_accepted
    error_message = "preview_accepted: virtual network TAP is a preview, with limits that README.md lists; say true to take it as it is."
  }
}

variable "name" {
  description = "Name of what is made. Lower case, digits and hyphens."
  type        = string
  default     = "mirrorscope"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,22}[a-z0-9]$", var.name))
    error_message = "name: need 2 to 24 of a-z, 0-9 and hyphens, a letter first and no hyphen last."
  }
}

variable "tags" {
  description = "Tags of all that is made."
  type        = map(string)
  default     = {}
}

# Where the sensors are.

variable "resource_group_name" {
  description = "Resource group of the sensors."
  type        = string
}

variable "resource_group_id" {
  description = "Its ID, which the TAP is put below."
  type        = string

  validation {
    condition     = can(regex("(?i)^/subscriptions/[^/]+/resourceGroups/[^/]+$", var.resource_group_id))
    error_message = "resource_group_id: need one as /subscriptions/…/resourceGroups/sensors."
  }

  validation {
    condition     = lower(element(split("/", var.resource_group_id), -1)) == lower(var.resource_group_name)
    error_message = "resource_group_id: is that of another group than resource_group_name."
  }
}

variable "location" {
  description = "Region of the sensors, which is that of the mirrored machines."
  type        = string
}

variable "target_type" {
  description = "What the TAP sends to: interface (one sensor) or load-balancer (a scale set)."
  type        = string
  default     = "interface"

  validation {
    condition     = contains(["interface", "load-balancer"], var.target_type)
    error_message = "target_type: need interface or load-balancer."
  }
}

variable "capture_subnet_id" {
  description = "Subnet that the mirror comes to, in the virtual network of the sources or one that is peered with it."
  type        = string
}

variable "management_subnet_id" {
  description = "Subnet of the management interfaces. It needs a way to package_url."
  type        = string
}

variable "source_cidrs" {
  description = "Prefixes of those who send the mirror: the network security group admits it from them, and the sensor takes it from nobody else. Empty: from the virtual networks; which address a TAP sends from is not documented."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for c in var.source_cidrs : can(cidrnetmask(c))])
    error_message = "source_cidrs: need IPv4 networks as 10.0.0.0/8; a TAP mirrors no IPv6."
  }
}

variable "management_cidrs" {
  description = "IPv4 prefixes that may reach the management interfaces by SSH. Empty: nobody."
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

variable "vm_size" {
  description = "Size of the sensors' machines. It has to take two interfaces."
  type        = string
  default     = "Standard_D4s_v5"

  validation {
    condition     = startswith(var.vm_size, "Standard_")
    error_message = "vm_size: need one as Standard_D4s_v5."
  }
}

variable "image" {
  description = "Image of the sensors: Debian and Ubuntu take the deb, the Red Hat family the rpm."
  type = object({
    publisher = string
    offer     = string
    sku       = string
    version   = optional(string, "latest")
  })
  default = { publisher = "Debian", offer = "debian-12", sku = "12-gen2" }
}

variable "admin_username" {
  description = "User for SSH."
  type        = string
  default     = "sensoradmin"

  validation {
    condition     = !contains(["root", "admin", "administrator", "mirrorscope"], var.admin_username)
    error_message = "admin_username: Azure or the sensor's package has a user of that name."
  }
}

variable "admin_ssh_key" {
  description = "Public key for SSH. Passwords are off."
  type        = string

  validation {
    condition     = can(regex("^(ssh-rsa|ssh-ed25519|ecdsa-sha2-\\S+) \\S+", var.admin_ssh_key))
    error_message = "admin_ssh_key: need a public key, as ssh-ed25519 AAAA…"
  }
}

variable "package_url" {
  description = "Where the sensors fetch their package: an https or http URL of a .deb or .rpm."
  type        = string
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
  description = "Size of the OS disk, GB; 30 is the least for the images. The sensor keeps up to 4 GiB of finished records."
  type        = number
  default     = 30

  validation {
    condition     = var.disk_size >= 30
    error_message = "disk_size: need 30 GB at least."
  }
}

variable "health_port" {
  description = "TCP port of the load balancer's HTTP health probe."
  type        = number
  default     = 9480

  validation {
    condition     = var.health_port >= 1024 && var.health_port <= 65535 && var.health_port != 9478
    error_message = "health_port: need a port from 1024 to 65535, and not 9478, where /metrics is."
  }
}

variable "sensors" {
  description = "Number of sensors behind a load balancer."
  type        = number
  default     = 2

  validation {
    condition     = var.sensors >= 1 && var.sensors <= 100 && floor(var.sensors) == var.sensors
    error_message = "sensors: need 1 to 100."
  }
}

variable "inventory_scopes" {
  description = "What the sensors may read the inventory of, for names in place of addresses: IDs of subscriptions or resource groups, by a name of yours. They then may speak with any address."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for id in var.inventory_scopes : can(regex("(?i)^/subscriptions/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(/resourceGroups/[^/]+)?$", id))])
    error_message = "inventory_scopes: need IDs of subscriptions or resource groups, as /subscriptions/00000000-0000-0000-0000-000000000000."
  }
}

# What is mirrored.

variable "sources" {
  description = "IDs of the network interfaces to mirror, by a name of yours."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for id in var.sources : can(regex("(?i)/providers/Microsoft.Network/networkInterfaces/[^/]+$", id))])
    error_message = "sources: need IDs of network interfaces, as /subscriptions/…/providers/Microsoft.Network/networkInterfaces/web-1."
  }

  validation {
    condition     = length(distinct(values(var.sources))) == length(var.sources)
    error_message = "sources: an interface is there twice."
  }
}
