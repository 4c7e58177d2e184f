# A traffic mirror and the replay servers that receive it: the resources of ../traffic-mirror.yaml, in the same order.

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

locals {
  is_interface        = var.target == "interface"
  is_load_balancer    = var.target == "load-balancer"
  is_gateway_endpoint = var.target == "gateway-endpoint"
  has_servers         = !local.is_gateway_endpoint
  # Each address family has its rules.
  cidrs = compact(["0.0.0.0/0", var.ipv6_cidr])
}

# The mirrored packets: requests, and the service's responses if they are compared.
resource "aws_ec2_traffic_mirror_filter" "filter" {
  description = "TCP to the service's port"
}

resource "aws_ec2_traffic_mirror_filter_rule" "requests" {
  for_each                 = { for index, cidr in local.cidrs : cidr => 10 * (index + 1) }
  traffic_mirror_filter_id = aws_ec2_traffic_mirror_filter.filter.id
  traffic_direction        = "ingress"
  rule_number              = each.value
  rule_action              = "accept"
  protocol                 = 6
  source_cidr_block        = each.key
  destination_cidr_block   = each.key

  destination_port_range {
    from_port = var.service_port
    to_port   = var.service_port
  }
}

resource "aws_ec2_traffic_mirror_filter_rule" "responses" {
  for_each                 = { for index, cidr in local.cidrs : cidr => 10 * (index + 1) if var.mirror_responses }
  traffic_mirror_filter_id = aws_ec2_traffic_mirror_filter.filter.id
  traffic_direction        = "egress"
  rule_number              = each.value
  rule_action              = "accept"
  protocol                 = 6
  source_cidr_block        = each.key
  destination_cidr_block   = each.key

  source_port_range {
    from_port = var.service_port
    to_port   = var.service_port
  }
}

resource "aws_ec2_traffic_mirror_target" "target" {
  description                       = "Replay servers with vxlan-to-http"
  network_interface_id              = local.is_interface ? aws_network_interface.replay[0].id : null
  network_load_balancer_arn         = local.is_load_balancer ? aws_lb.mirror[0].arn : null
  gateway_load_balancer_endpoint_id = local.is_gateway_endpoint ? var.gateway_endpoint_id : null
}

# packet_length is left out: an interface gets whole packets, a load balancer 8500 bytes of each.
resource "aws_ec2_traffic_mirror_session" "session" {
  for_each                 = toset(var.source_interface_ids)
  network_interface_id     = each.value
  traffic_mirror_target_id = aws_ec2_traffic_mirror_target.target.id
  traffic_mirror_filter_id = aws_ec2_traffic_mirror_filter.filter.id
  session_number           = 1
  virtual_network_id       = var.vni
}

# Bytes that matched the filter and were not mirrored, because production's own traffic has priority.
resource "aws_cloudwatch_metric_alarm" "not_mirrored" {
  for_each            = toset(var.source_instance_ids)
  alarm_name          = "not-mirrored-${each.value}"
  alarm_description   = "Packets of ${each.value} were not mirrored: it has no bandwidth left for them"
  namespace           = "AWS/EC2"
  metric_name         = "NetworkSkipMirrorIn"
  dimensions          = { InstanceId = each.value }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = compact([var.alarm_topic_arn])
}

resource "aws_security_group" "replay" {
  count       = local.has_servers ? 1 : 0
  description = "The mirror, and health checks"
  vpc_id      = var.vpc_id

  ingress {
    description = "The mirror"
    protocol    = "udp"
    from_port   = 4789
    to_port     = 4789
    cidr_blocks = [var.vpc_cidr]
  }

  ingress {
    description = "Health checks"
    protocol    = "tcp"
    from_port   = var.admin_port
    to_port     = var.admin_port
    cidr_blocks = [var.vpc_cidr]
  }

  egress {
    protocol    = "-1"
    from_port   = 0
    to_port     = 0
    cidr_blocks = ["0.0.0.0/0"]
  }
}

data "aws_partition" "current" {}

resource "aws_iam_role" "replay" {
  count = local.has_servers ? 1 : 0
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Principal = { Service = "ec2.amazonaws.com" }, Action = "sts:AssumeRole" }]
  })
}

resource "aws_iam_role_policy" "files" {
  count = local.has_servers ? 1 : 0
  name  = "files"
  role  = aws_iam_role.replay[0].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = "s3:GetObject"
      Resource = "arn:${data.aws_partition.current.partition}:s3:::${var.files_bucket}/*"
    }]
  })
}

resource "aws_iam_role_policy_attachment" "session_manager" {
  count      = local.has_servers ? 1 : 0
  role       = aws_iam_role.replay[0].id
  policy_arn = "arn:${data.aws_partition.current.partition}:iam::aws:policy/AmazonSSMManagedInstanceCore"
}

resource "aws_iam_instance_profile" "replay" {
  count = local.has_servers ? 1 : 0
  role  = aws_iam_role.replay[0].name
}

resource "aws_launch_template" "replay" {
  count                  = local.has_servers ? 1 : 0
  image_id               = "resolve:ssm:${var.image_parameter}"
  instance_type          = var.instance_type
  vpc_security_group_ids = local.is_load_balancer ? [aws_security_group.replay[0].id] : null

  iam_instance_profile {
    arn = aws_iam_instance_profile.replay[0].arn
  }

  metadata_options {
    http_tokens = "required"
  }

  user_data = base64encode(<<-TEXT
    #!/bin/bash
    set -euo pipefail
    mkdir -p /opt/vxlan-to-http
    cd /opt/vxlan-to-http
    for file in vxlan-to-http-linux-aarch64 install-service vxlan-to-http.service; do
      aws s3 cp "s3://${var.files_bucket}/$file" .
    done
    chmod +x vxlan-to-http-linux-aarch64 install-service
    printf '%s\n' VXLAN_TO_HTTP_ADMIN=0.0.0.0:${var.admin_port} VXLAN_TO_HTTP_LOG_FORMAT=json >/etc/vxlan-to-http.env
    interface=$(ip -o route get 169.254.169.254 | sed 's/.* dev \([^ ]*\).*/\1/')
    ./install-service "$interface" ${var.vni} ${var.service_port} ${var.forward_address}
  TEXT
  )
}

# With interface: one server. Its interface stays the same when the server is replaced.
resource "aws_network_interface" "replay" {
  count           = local.is_interface ? 1 : 0
  subnet_id       = var.subnet_ids[0]
  security_groups = [aws_security_group.replay[0].id]
}

resource "aws_instance" "replay" {
  count = local.is_interface ? 1 : 0

  launch_template {
    id      = aws_launch_template.replay[0].id
    version = aws_launch_template.replay[0].latest_version
  }

  network_interface {
    device_index         = 0
    network_interface_id = aws_network_interface.replay[0].id
  }
}

# With load-balancer: any number of servers. It hashes the outer addresses and ports.
resource "aws_lb" "mirror" {
  count                            = local.is_load_balancer ? 1 : 0
  load_balancer_type               = "network"
  internal                         = true
  subnets                          = var.subnet_ids
  enable_cross_zone_load_balancing = true
}

resource "aws_lb_listener" "mirror" {
  count             = local.is_load_balancer ? 1 : 0
  load_balancer_arn = aws_lb.mirror[0].arn
  protocol          = "UDP"
  port              = 4789

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.replay[0].arn
  }
}

resource "aws_lb_target_group" "replay" {
  count       = local.is_load_balancer ? 1 : 0
  vpc_id      = var.vpc_id
  protocol    = "UDP"
  port        = 4789
  target_type = "instance"

  health_check {
    protocol            = "HTTP"
    port                = var.admin_port
    path                = "/healthz"
    interval            = 10
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }
}

resource "aws_autoscaling_group" "replay" {
  count               = local.is_load_balancer ? 1 : 0
  min_size            = var.replay_servers
  max_size            = var.replay_servers
  vpc_zone_identifier = var.subnet_ids
  target_group_arns   = [aws_lb_target_group.replay[0].arn]
  health_check_type   = "EC2"

  launch_template {
    id      = aws_launch_template.replay[0].id
    version = aws_launch_template.replay[0].latest_version
  }
}

output "mirror_target_id" {
  description = "For further sessions"
  value       = aws_ec2_traffic_mirror_target.target.id
}

output "mirror_filter_id" {
  value = aws_ec2_traffic_mirror_filter.filter.id
}
