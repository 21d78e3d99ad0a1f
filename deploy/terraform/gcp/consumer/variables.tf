variable "name" {
  description = "Name of what is made. Lower case, digits and hyphens."
  type        = string
  default     = "mirrorscope"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,22}[a-z0-9]$", var.name))
    error_message = "name: need 2 to 24 of a-z, 0-9 and hyphens, a letter first and no hyphen last."
  }
}

variable "project" {
  description = "Project of the mirrored networks, or that of their security."
  type        = string
}

variable "organization" {
  description = "Number of the organization, which the security profiles belong to."
  type        = string

  validation {
    condition     = can(regex("^[0-9]+$", var.organization))
    error_message = "organization: need its number, as 123456789012."
  }
}

variable "deployment_group_id" {
  description = "The sensors' mirroring deployment group, an output of the module above."
  type        = string

  validation {
    condition     = can(regex("^projects/[^/]+/locations/global/mirroringDeploymentGroups/[^/]+$", var.deployment_group_id))
    error_message = "deployment_group_id: need one as projects/sensors/locations/global/mirroringDeploymentGroups/mirrorscope."
  }
}

variable "networks" {
  description = "Networks to mirror, by a name of yours. None is that of the sensors' collector."
  type        = map(string)

  validation {
    condition     = length(var.networks) >= 1
    error_message = "networks: need one at least."
  }

  validation {
    condition     = alltrue([for name, _ in var.networks : can(regex("^[a-z][a-z0-9-]{0,30}$", name))])
    error_message = "networks: need names of a-z, 0-9 and hyphens, a letter first."
  }

  validation {
    condition     = length(distinct(values(var.networks))) == length(var.networks)
    error_message = "networks: one is there twice."
  }
}

variable "firewall_policy" {
  description = "Global network firewall policy of the networks that the rules are added to. Null: one is made and associated with them, which is only possible where they have none."
  type        = string
  default     = null
}

variable "first_priority" {
  description = "Priority of the first rule; each further one has the next."
  type        = number
  default     = 1000

  validation {
    condition     = var.first_priority >= 0 && var.first_priority <= 2147483000 && floor(var.first_priority) == var.first_priority
    error_message = "first_priority: need 0 to 2147483000."
  }
}

variable "rules" {
  description = "What is mirrored, by default everything: the first rule that matches a connection's first packet decides. ranges: the other side, all IPv4 or all IPv6 prefixes. protocol: as tcp; ports with tcp and udp."
  type = list(object({
    direction   = string
    action      = optional(string, "mirror")
    ranges      = optional(list(string), ["0.0.0.0/0"])
    protocol    = optional(string, "all")
    ports       = optional(list(string))
    secure_tags = optional(list(string), [])
  }))
  nullable = false

  default = [
    { direction = "INGRESS" },
    { direction = "INGRESS", ranges = ["::/0"] },
    { direction = "EGRESS" },
    { direction = "EGRESS", ranges = ["::/0"] },
  ]

  validation {
    condition     = length(var.rules) >= 1
    error_message = "rules: need one at least; without any nothing is mirrored."
  }

  validation {
    condition     = alltrue([for r in var.rules : contains(["INGRESS", "EGRESS"], r.direction)])
    error_message = "rules: direction has to be INGRESS or EGRESS, as the mirrored instance sees it."
  }

  validation {
    condition     = alltrue([for r in var.rules : contains(["mirror", "do_not_mirror", "goto_next"], r.action)])
    error_message = "rules: action has to be mirror, do_not_mirror or goto_next."
  }

  validation {
    condition     = alltrue([for c in flatten(var.rules[*].ranges) : can(cidrhost(c, 0))]) && alltrue([for r in var.rules : length(r.ranges) > 0])
    error_message = "rules: ranges need networks as 10.0.0.0/8."
  }

  validation {
    condition     = alltrue([for r in var.rules : length(distinct([for c in r.ranges : strcontains(c, ":")])) <= 1])
    error_message = "rules: ranges have to be all IPv4 or all IPv6; make two rules."
  }

  validation {
    condition     = alltrue([for r in var.rules : contains(["tcp", "udp"], r.protocol) if r.ports != null])
    error_message = "rules: ports need protocol tcp or udp."
  }

  validation {
    condition     = alltrue([for r in var.rules : length(r.secure_tags) <= 256])
    error_message = "rules: a rule takes 256 secure tags at most."
  }
}
