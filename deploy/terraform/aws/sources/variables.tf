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

variable "target_id" {
  description = "Traffic mirror target (tmt-…) that the sessions send to, of this account or shared with it. Null: one is made behind gateway_load_balancer_service."
  type        = string
  default     = null
}

variable "target_type" {
  description = "What the target is: interface, network-load-balancer or gateway-load-balancer. It decides how many sources and octets there may be."
  type        = string
  default     = "interface"

  validation {
    condition     = contains(["interface", "network-load-balancer", "gateway-load-balancer"], var.target_type)
    error_message = "target_type: need interface, network-load-balancer or gateway-load-balancer."
  }

  validation {
    condition     = (var.gateway_load_balancer_service != null) == (var.target_type == "gateway-load-balancer" && var.target_id == null)
    error_message = "target_type: gateway-load-balancer takes gateway_load_balancer_service or, if there is an endpoint already, target_id; the others take target_id alone."
  }
}

variable "large_interface" {
  description = "The target's instance is of a size that takes 100 sources in place of 10: the largest ones, as AWS lists them."
  type        = bool
  default     = false
}

variable "gateway_load_balancer_service" {
  description = "The sensors' endpoint service, where the mirror goes through a gateway load balancer: its name, and the VPC and the one subnet for the endpoint."
  type = object({
    name      = string
    vpc_id    = string
    subnet_id = string
  })
  default = null

  validation {
    condition     = var.gateway_load_balancer_service == null || can(regex("^com\\.amazonaws\\.vpce\\.[a-z0-9-]+\\.vpce-svc-[0-9a-f]+$", var.gateway_load_balancer_service.name))
    error_message = "gateway_load_balancer_service: name has to be as com.amazonaws.vpce.eu-central-1.vpce-svc-0123456789abcdef0."
  }
}

variable "sessions" {
  description = "Interfaces to mirror, by a name of yours. vni: by default a number made of that name. session_number: the order among the sessions of one interface."
  type = map(object({
    interface_id   = string
    session_number = optional(number, 1)
    vni            = optional(number)
    packet_length  = optional(number)
  }))
  default = {}

  validation {
    condition     = var.target_type != "interface" || length(var.sessions) <= (var.large_interface ? 100 : 10)
    error_message = "sessions: ${length(var.sessions)} are more than an interface takes as a target, which is 10, or 100 on the largest sizes (large_interface). Take a network load balancer."
  }

  validation {
    condition     = alltrue([for s in var.sessions : s.session_number >= 1 && s.session_number <= 32766 && floor(s.session_number) == s.session_number])
    error_message = "sessions: session_number has to be 1 to 32766."
  }

  validation {
    condition     = alltrue([for s in var.sessions : try(s.vni >= 1 && s.vni <= 16777215 && floor(s.vni) == s.vni, s.vni == null)])
    error_message = "sessions: vni has to be 1 to 16777215, which is what 24 bits hold."
  }

  validation {
    condition     = length(distinct([for s in var.sessions : "${s.interface_id} ${s.session_number}"])) == length(var.sessions)
    error_message = "sessions: two of one interface have the same session_number."
  }

  validation {
    condition     = length(distinct([for s in var.sessions : s.vni if s.vni != null])) == length([for s in var.sessions : s.vni if s.vni != null])
    error_message = "sessions: two have the same vni."
  }

  validation {
    condition     = alltrue([for s in var.sessions : length([for o in var.sessions : o if o.interface_id == s.interface_id]) <= 3])
    error_message = "sessions: an interface has more than 3, and AWS takes no more."
  }

  validation {
    condition     = alltrue([for s in var.sessions : can(regex("^eni-[0-9a-f]+$", s.interface_id))])
    error_message = "sessions: interface_id has to be as eni-0123456789abcdef0."
  }

  validation {
    condition     = alltrue([for s in var.sessions : try(s.packet_length >= 55, s.packet_length == null)])
    error_message = "sessions: packet_length has to be 55 at least: a mirror cannot cut into the IP header."
  }

  validation {
    condition     = var.target_type == "interface" || alltrue([for s in var.sessions : try(s.packet_length <= 8500, s.packet_length == null)])
    error_message = "sessions: packet_length has to be 8500 at most, as the target is a load balancer."
  }
}

variable "amazon_dns" {
  description = "Mirror the queries to the VPC's resolver as well, both directions."
  type        = bool
  default     = false
}

variable "rules" {
  description = "What is mirrored, by default everything: the first rule of a direction that matches decides, and what none matches is not mirrored. protocol: 6 TCP, 17 UDP, 1 ICMP; null any."
  type = list(object({
    direction         = string
    action            = string
    protocol          = optional(number)
    source            = optional(string, "0.0.0.0/0")
    destination       = optional(string, "0.0.0.0/0")
    source_ports      = optional(object({ from = number, to = number }))
    destination_ports = optional(object({ from = number, to = number }))
  }))
  nullable = false

  # Everything but the mirror's own packets: VXLAN to the target, and GENEVE
  # between a gateway load balancer and the sensors, which speaks IPv4 alone.
  default = [
    { direction = "ingress", action = "reject", protocol = 17, destination_ports = { from = 4789, to = 4789 } },
    { direction = "ingress", action = "reject", protocol = 17, destination_ports = { from = 4789, to = 4789 }, source = "::/0", destination = "::/0" },
    { direction = "ingress", action = "reject", protocol = 17, destination_ports = { from = 6081, to = 6081 } },
    { direction = "ingress", action = "accept" },
    { direction = "ingress", action = "accept", source = "::/0", destination = "::/0" },
    { direction = "egress", action = "reject", protocol = 17, destination_ports = { from = 4789, to = 4789 } },
    { direction = "egress", action = "reject", protocol = 17, destination_ports = { from = 4789, to = 4789 }, source = "::/0", destination = "::/0" },
    { direction = "egress", action = "reject", protocol = 17, destination_ports = { from = 6081, to = 6081 } },
    { direction = "egress", action = "accept" },
    { direction = "egress", action = "accept", source = "::/0", destination = "::/0" },
  ]

  validation {
    condition     = length(var.rules) >= 1 && length(var.rules) <= 10
    error_message = "rules: need 1 to 10, as AWS takes no more in one filter and mirrors nothing without any."
  }

  validation {
    condition     = alltrue([for r in var.rules : contains(["ingress", "egress"], r.direction)])
    error_message = "rules: direction has to be ingress or egress, as the mirrored interface sees it."
  }

  validation {
    condition     = alltrue([for r in var.rules : contains(["accept", "reject"], r.action)])
    error_message = "rules: action has to be accept or reject."
  }

  validation {
    condition = alltrue([
      for p in flatten([for r in var.rules : [r.source, r.destination]]) : try(cidrhost(p, 0) == split("/", p)[0], false)
    ])
    error_message = "rules: source and destination have to be networks as 10.0.0.0/8, without bits of a host."
  }

  validation {
    condition     = alltrue([for r in var.rules : r.protocol == 6 || r.protocol == 17 if r.source_ports != null || r.destination_ports != null])
    error_message = "rules: ports need protocol 6 (TCP) or 17 (UDP)."
  }

  validation {
    condition = alltrue([
      for p in flatten([for r in var.rules : [for q in [r.source_ports, r.destination_ports] : q if q != null]]) : p.from >= 0 && p.from <= p.to && p.to <= 65535
    ])
    error_message = "rules: ports have to be 0 to 65535, from no larger than to."
  }
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

  validation {
    condition     = alltrue([for a in var.alarm_actions : startswith(a, "arn:")])
    error_message = "alarm_actions: need ARNs."
  }
}
