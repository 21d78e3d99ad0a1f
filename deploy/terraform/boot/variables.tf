variable "cloud" {
  description = "Where the machine runs: aws, gcp or azure. It tells the user data how to ask which interface receives the mirror."
  type        = string

  validation {
    condition     = contains(["aws", "gcp", "azure"], var.cloud)
    error_message = "cloud: need aws, gcp or azure."
  }
}

variable "package_url" {
  description = "Where the package is fetched from: an https or http URL of a .deb or .rpm. A query, as of a signed URL, may follow."
  type        = string

  validation {
    condition     = can(regex("^https?://[^\\s'\"\\\\$`]+\\.(deb|rpm)(\\?[^\\s'\"\\\\$`]*)?$", var.package_url))
    error_message = "package_url: need an http or https URL that ends in .deb or .rpm, without quotes, $, backslashes or blanks."
  }
}

variable "package_sha256" {
  description = "SHA-256 of the package, 64 hexadecimal digits. What is fetched and differs is not installed."
  type        = string

  validation {
    condition     = can(regex("^[0-9a-f]{64}$", var.package_sha256))
    error_message = "package_sha256: need 64 hexadecimal digits in lower case, as sha256sum prints them."
  }
}

variable "capture_interface" {
  description = "Number of the network interface that receives the mirror; 0 is the machine's first. Null: the machine measures nothing, and keeps mirror sessions (desired_state)."
  type        = number
  default     = null

  validation {
    condition     = var.capture_interface == null || try(var.capture_interface >= 0 && floor(var.capture_interface) == var.capture_interface, false)
    error_message = "capture_interface: need 0, 1, 2, …"
  }

  validation {
    condition     = var.capture_interface != null || trimspace(var.desired_state) != ""
    error_message = "capture_interface: need one, or desired_state; the machine would have nothing to do."
  }
}

variable "shared" {
  description = "The interface carries the machine's own traffic as well, at least a load balancer's health checks."
  type        = bool
  default     = false
}

variable "udp_ports" {
  description = "UDP ports of the mirror, as [4789]. Empty: the mirror is not encapsulated."
  type        = list(number)
  default     = []

  validation {
    condition     = alltrue([for p in var.udp_ports : p >= 1 && p <= 65535 && floor(p) == p])
    error_message = "udp_ports: need ports from 1 to 65535."
  }
}

variable "sources" {
  description = "Prefixes of those who send the mirror. What others send is not measured. Empty: everyone."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for s in var.sources : can(cidrhost(s, 0))])
    error_message = "sources: need prefixes as 10.0.0.0/8 or 2001:db8::/32."
  }
}

variable "ignored" {
  description = "Prefixes whose packets are not measured, in either direction, as those of health checks."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for s in var.ignored : can(cidrhost(s, 0))])
    error_message = "ignored: need prefixes as 35.191.0.0/16."
  }
}

variable "networks" {
  description = "Name of the network by VNI, where addresses overlap: { \"7007\" = \"blue\" }."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for vni, name in var.networks : can(tonumber(vni)) && try(tonumber(vni) >= 0 && tonumber(vni) <= 16777215 && tostring(tonumber(vni)) == vni, false)])
    error_message = "networks: need VNIs from 0 to 16777215 as keys."
  }
}

variable "health_port" {
  description = "TCP port of the HTTP health check, /healthz. 0: none."
  type        = number
  default     = 0

  validation {
    condition     = var.health_port == 0 || (var.health_port >= 1024 && var.health_port <= 65535 && var.health_port != 9478)
    error_message = "health_port: need 0 or a port from 1024 to 65535, and not 9478, where /metrics is."
  }
}

variable "allowed" {
  description = "Prefixes with which the sensor may speak, in systemd's words: those that check its health, \"any\" where it asks the cloud for names."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for s in var.allowed : s == "any" || s == "link-local" || can(cidrhost(s, 0))])
    error_message = "allowed: need prefixes as 10.0.0.0/8, link-local, or any."
  }
}

variable "routes" {
  description = "Prefixes that are answered through the capture interface although the default route leaves by another."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for s in var.routes : can(cidrhost(s, 0))])
    error_message = "routes: need prefixes as 35.191.0.0/16."
  }

  validation {
    condition     = length(var.routes) == 0 || var.cloud == "gcp"
    error_message = "routes: is for gcp alone; elsewhere health checks come in where the default route leaves."
  }
}

variable "inventory" {
  description = "What the sensor reads of clouds, TOML tables below [cloud]. Empty: nothing."
  type        = string
  default     = ""
}

variable "extra_config" {
  description = "More of the sensor's configuration, TOML, put behind what the module writes. It begins with a table."
  type        = string
  default     = ""

  validation {
    condition     = trimspace(var.extra_config) == "" || can(regex("^(\\s|#[^\\n]*\\n)*\\[", var.extra_config))
    error_message = "extra_config: has to begin with a table, as [measure]; keys in front of it would belong to another."
  }

  validation {
    condition = !can(regex(
      "(?m)^[ \\t]*\\[[ \\t]*(capture|filter|decode\\.networks|output\\.file|health)[ \\t]*\\]",
      var.extra_config
    ))
    error_message = "extra_config: [capture], [filter], [decode.networks], [output.file] and [health] are written by the module; use its variables, or [capture.afpacket] and [[filter.rules]]."
  }

  validation {
    condition     = trimspace(var.inventory) == "" || !can(regex("(?m)^[ \\t]*\\[[ \\t]*cloud\\.(aws|gcp|azure)[ \\t]*\\]", var.extra_config))
    error_message = "extra_config: the module writes what is read of the cloud; take the inventory out of it, or write it alone."
  }
}

variable "desired_state" {
  description = "Desired state of mirror sessions, TOML, that the machine keeps with `sensor mirror watch`. Empty: it keeps none."
  type        = string
  default     = ""

  validation {
    condition     = trimspace(var.desired_state) == "" || var.cloud == "aws"
    error_message = "desired_state: there are mirror sessions on aws alone; elsewhere the cloud includes new machines by itself."
  }
}
