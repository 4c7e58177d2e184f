"""Whether the CloudFormation template and the Terraform module say the same: run by scripts/lint.

    python check.py      needs python-hcl2 and cfn-lint, whose parser it uses
"""

import pathlib
import re
import sys

import cfnlint.decode
import hcl2

HERE = pathlib.Path(__file__).parent

# CloudFormation's name of a resource, and Terraform's names for it.
RESOURCES = {
    "AWS::EC2::TrafficMirrorFilter": ["aws_ec2_traffic_mirror_filter"],
    "AWS::EC2::TrafficMirrorFilterRule": ["aws_ec2_traffic_mirror_filter_rule"],
    "AWS::EC2::TrafficMirrorTarget": ["aws_ec2_traffic_mirror_target"],
    "AWS::EC2::TrafficMirrorSession": ["aws_ec2_traffic_mirror_session"],
    "AWS::CloudWatch::Alarm": ["aws_cloudwatch_metric_alarm"],
    "AWS::EC2::SecurityGroup": ["aws_security_group"],
    "AWS::IAM::Role": ["aws_iam_role", "aws_iam_role_policy", "aws_iam_role_policy_attachment"],
    "AWS::IAM::InstanceProfile": ["aws_iam_instance_profile"],
    "AWS::EC2::LaunchTemplate": ["aws_launch_template"],
    "AWS::EC2::NetworkInterface": ["aws_network_interface"],
    "AWS::EC2::Instance": ["aws_instance"],
    "AWS::ElasticLoadBalancingV2::LoadBalancer": ["aws_lb"],
    "AWS::ElasticLoadBalancingV2::Listener": ["aws_lb_listener"],
    "AWS::ElasticLoadBalancingV2::TargetGroup": ["aws_lb_target_group"],
    "AWS::AutoScaling::AutoScalingGroup": ["aws_autoscaling_group"],
}


def snake(name):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def unquoted(text):
    return text.strip('"')


def resources_of(template):
    """The type of each resource; a loop's is that of what it makes."""
    for name, resource in template["Resources"].items():
        made = list(resource[2].values()) if name.startswith("Fn::ForEach") else [resource]
        yield from (each["Type"] for each in made)


def script(text, variable):
    """A script's lines, with a variable of the template's or the module's written the same."""
    lines = [line.strip() for line in text.splitlines()]
    same = lambda line: re.sub(r"\$\{(?:var\.)?(\w+)\}", lambda found: "${" + variable(found[1]) + "}", line)
    return [same(line) for line in lines if line]


def differences():
    template, problems = cfnlint.decode.decode(str(HERE / "traffic-mirror.yaml"))
    assert not problems, problems
    texts = {path.name: path.read_text() for path in (HERE / "terraform").glob("*.tf")}
    module = [hcl2.loads(text) for text in texts.values()]

    def named(kind):
        return {unquoted(name) for file in module for block in file.get(kind, []) for name in block}

    yield "parameters and variables", {snake(name) for name in template["Parameters"]}, named("variable")
    yield "outputs", {snake(name) for name in template["Outputs"]}, named("output")
    types = {name for kind in resources_of(template) for name in RESOURCES[kind]}
    yield "resources", types, named("resource")
    data = template["Resources"]["ReplayTemplate"]["Properties"]["LaunchTemplateData"]["UserData"]
    heredoc = re.search(r"<<-TEXT\n(.*?)\n *TEXT\n", texts["main.tf"], re.DOTALL)[1]
    yield "the servers' first script", script(data["Fn::Base64"]["Fn::Sub"], snake), script(heredoc, snake)


status = 0
for what, template_has, module_has in differences():
    if template_has != module_has:
        status = 1
        print(f"{what} differ: the template has {template_has}, the module {module_has}", file=sys.stderr)
sys.exit(status)
