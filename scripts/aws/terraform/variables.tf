variable "vpc_id" {
  type = string
}

variable "vpc_cidr" {
  type        = string
  description = "Where the mirror and the load balancer's health checks come from"
}

variable "subnet_ids" {
  type        = list(string)
  description = "Of the replay servers; the first of them, where one interface is the target"
}

variable "source_interface_ids" {
  type        = list(string)
  description = "The interfaces that are mirrored"
}

variable "source_instance_ids" {
  type        = list(string)
  description = "The instances that these belong to, each of which gets an alarm"
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
  description = "interface: one replay server; load-balancer: any number; gateway-endpoint: an endpoint that there is"

  validation {
    condition     = contains(["interface", "load-balancer", "gateway-endpoint"], var.target)
    error_message = "The target is interface, load-balancer or gateway-endpoint."
  }
}

variable "gateway_endpoint_id" {
  type        = string
  default     = ""
  description = "With gateway-endpoint, its id (vpce-…); the servers behind it are not made here"
}

variable "mirror_responses" {
  type        = bool
  default     = false
  description = "Mirror what the service sends, too; needed to compare, and twice the traffic or more"
}

variable "ipv6_cidr" {
  type        = string
  default     = ""
  description = "::/0, where clients reach the service over IPv6; empty mirrors IPv4 alone"
}

variable "replay_servers" {
  type        = number
  default     = 2
  description = "With load-balancer, how many"
}

variable "instance_type" {
  type        = string
  default     = "c7g.large"
  description = "Of the replay servers, ARM64; any type may be a target"
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
  description = "Where a replay server says whether it is well (--admin)"
}

variable "alarm_topic_arn" {
  type        = string
  default     = ""
  description = "Who is told when packets were not mirrored; empty is nobody"
}
