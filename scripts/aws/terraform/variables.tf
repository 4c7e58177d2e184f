variable "vpc_id" {
  type = string
}

variable "vpc_cidr" {
  type        = string
  description = "The addresses from which the mirror and the load balancer's health checks come"
}

variable "subnet_ids" {
  type        = list(string)
  description = "The subnets of the replay servers; if one interface is the target, the first of them"
}

variable "source_interface_ids" {
  type        = list(string)
  description = "The mirrored interfaces"
}

variable "source_instance_ids" {
  type        = list(string)
  description = "The instances of these interfaces; each gets an alarm"
}

variable "service_port" {
  type        = number
  default     = 80
  description = "The TCP port of the mirrored service"
}

variable "vni" {
  type    = number
  default = 5569041
}

variable "forward_address" {
  type        = string
  description = "The endpoint that gets the requests, host:port"
}

variable "target" {
  type        = string
  default     = "interface"
  description = "interface: one replay server; load-balancer: any number; gateway-endpoint: an existing endpoint"

  validation {
    condition     = contains(["interface", "load-balancer", "gateway-endpoint"], var.target)
    error_message = "The target is interface, load-balancer or gateway-endpoint."
  }
}

variable "gateway_endpoint_id" {
  type        = string
  default     = ""
  description = "With gateway-endpoint, its id (vpce-…); the servers behind it are not created here"
}

variable "mirror_responses" {
  type        = bool
  default     = false
  description = "Also mirror the service's responses; needed for --compare, and at least twice the traffic"
}

variable "ipv6_cidr" {
  type        = string
  default     = ""
  description = "::/0, if clients reach the service over IPv6; empty mirrors only IPv4"
}

variable "replay_servers" {
  type        = number
  default     = 2
  description = "With load-balancer, the number of replay servers"
}

variable "instance_type" {
  type        = string
  default     = "c7g.large"
  description = "The instance type of the replay servers, ARM64; any type may be a target"
}

variable "image_parameter" {
  type    = string
  default = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64"
}

variable "files_bucket" {
  type        = string
  description = "The bucket with vxlan-to-http-linux-aarch64, install-service and vxlan-to-http.service"
}

variable "admin_port" {
  type        = number
  default     = 9789
  description = "The port where a replay server reports its health (--admin)"
}

variable "alarm_topic_arn" {
  type        = string
  default     = ""
  description = "The topic for alarms about packets that were not mirrored; empty: no topic"
}
