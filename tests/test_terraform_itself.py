"""Terraform with its AWS provider, unmodified: what it makes it finds as it made it, and it takes all of it away again. `TERRAFORM` names the program,
`TERRAFORM_PROVIDERS` a directory with the provider's archive (`registry.terraform.io/hashicorp/aws/terraform-provider-aws_VERSION_linux_amd64.zip`);
without them there is nothing to test. `test_terraform.py` replays what it sends."""

import os
import subprocess

import pytest

from server import clean_environment

TERRAFORM, PROVIDERS = os.environ.get("TERRAFORM"), os.environ.get("TERRAFORM_PROVIDERS")
pytestmark = [pytest.mark.timeout(900), pytest.mark.skipif(not (TERRAFORM and PROVIDERS), reason="TERRAFORM and TERRAFORM_PROVIDERS name none")]
SERVICES = ("acm", "apigateway", "apigatewayv2", "cloudwatchlogs", "iam", "route53", "s3", "sts")

PROVIDER = """
terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}
provider "aws" {
  region = "us-east-1"
  s3_force_path_style = true
  endpoints {
    ENDPOINTS
  }
}
"""

STACK = """
resource "aws_s3_bucket" "trust" {
  bucket = "terraform-trust"
  versioning { enabled = true }
}
resource "aws_s3_bucket_object" "ca" {
  bucket = aws_s3_bucket.trust.id
  key    = "ca.pem"
  source = "CA_FILE"
}
resource "aws_route53_zone" "zone" { name = "terraform.example.com" }
resource "aws_acm_certificate" "api" {
  domain_name       = "api.terraform.example.com"
  validation_method = "DNS"
}
resource "aws_route53_record" "validation" {
  for_each = { for o in aws_acm_certificate.api.domain_validation_options : o.domain_name => o }
  zone_id  = aws_route53_zone.zone.zone_id
  name     = each.value.resource_record_name
  type     = each.value.resource_record_type
  records  = [each.value.resource_record_value]
  ttl      = 60
}
resource "aws_acm_certificate_validation" "api" {
  certificate_arn         = aws_acm_certificate.api.arn
  validation_record_fqdns = [for r in aws_route53_record.validation : r.fqdn]
}
resource "aws_apigatewayv2_domain_name" "api" {
  domain_name = "api.terraform.example.com"
  domain_name_configuration {
    certificate_arn = aws_acm_certificate_validation.api.certificate_arn
    endpoint_type   = "REGIONAL"
    security_policy = "TLS_1_2"
  }
  mutual_tls_authentication {
    truststore_uri     = "s3://${aws_s3_bucket.trust.id}/${aws_s3_bucket_object.ca.key}"
    truststore_version = aws_s3_bucket_object.ca.version_id
  }
}
resource "aws_route53_record" "alias" {
  zone_id = aws_route53_zone.zone.zone_id
  name    = "api"
  type    = "A"
  alias {
    name                   = aws_apigatewayv2_domain_name.api.domain_name_configuration[0].target_domain_name
    zone_id                = aws_apigatewayv2_domain_name.api.domain_name_configuration[0].hosted_zone_id
    evaluate_target_health = false
  }
}
resource "aws_apigatewayv2_api" "api" {
  name          = "terraform"
  protocol_type = "HTTP"
}
resource "aws_apigatewayv2_integration" "backend" {
  api_id             = aws_apigatewayv2_api.api.id
  integration_type   = "HTTP_PROXY"
  integration_method = "ANY"
  integration_uri    = "BACKEND/{proxy}"
}
resource "aws_apigatewayv2_route" "all" {
  api_id    = aws_apigatewayv2_api.api.id
  route_key = "ANY /{proxy+}"
  target    = "integrations/${aws_apigatewayv2_integration.backend.id}"
}
resource "aws_cloudwatch_log_group" "access" { name = "/terraform/access" }
resource "aws_apigatewayv2_stage" "prod" {
  api_id      = aws_apigatewayv2_api.api.id
  name        = "prod"
  auto_deploy = true
  access_log_settings {
    destination_arn = aws_cloudwatch_log_group.access.arn
    format          = "$context.requestId"
  }
}
resource "aws_apigatewayv2_api_mapping" "api" {
  api_id      = aws_apigatewayv2_api.api.id
  domain_name = aws_apigatewayv2_domain_name.api.id
  stage       = aws_apigatewayv2_stage.prod.id
}
resource "aws_iam_user" "caller" { name = "terraform-caller" }
data "aws_iam_policy_document" "invoke" {
  statement {
    actions   = ["execute-api:Invoke"]
    resources = ["*"]
  }
}
resource "aws_iam_policy" "invoke" {
  name   = "terraform-invoke"
  policy = data.aws_iam_policy_document.invoke.json
}
resource "aws_iam_user_policy_attachment" "invoke" {
  user       = aws_iam_user.caller.name
  policy_arn = aws_iam_policy.invoke.arn
}
resource "aws_api_gateway_rest_api" "rest" {
  name = "rest"
  endpoint_configuration { types = ["REGIONAL"] }
  body = jsonencode({
    openapi = "3.0.1"
    info    = { title = "rest", version = "1" }
    paths = { "/a" = { get = {
      responses = { "200" = { description = "x" } }
      "x-amazon-apigateway-integration" = {
        type             = "mock"
        requestTemplates = { "application/json" = "{\\"statusCode\\": 200}" }
        responses        = { default = { statusCode = "200" } }
      }
    } } }
  })
}
resource "aws_api_gateway_deployment" "rest" {
  rest_api_id = aws_api_gateway_rest_api.rest.id
  stage_name  = "prod"
}
resource "aws_api_gateway_gateway_response" "rest" {
  rest_api_id        = aws_api_gateway_rest_api.rest.id
  response_type      = "UNAUTHORIZED"
  status_code        = "401"
  response_templates = { "application/json" = "{\\"message\\":$context.error.messageString}" }
}
"""


def test_a_stack_is_made_found_and_taken_away(server, backend, tmp_path):
    endpoints = "\n    ".join(f'{service} = "{server.control}"' for service in SERVICES)
    stack = STACK.replace("CA_FILE", str(server.ca_file)).replace("BACKEND", backend.url)
    (tmp_path / "main.tf").write_text(PROVIDER.replace("ENDPOINTS", endpoints) + stack)
    keys = {name: server.env[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    env = clean_environment(tmp_path) | keys | {"CHECKPOINT_DISABLE": "1", "AWS_EC2_METADATA_DISABLED": "true"}

    def terraform(command, *arguments, status=0):
        done = subprocess.run([TERRAFORM, command, "-input=false", "-no-color", *arguments], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=900)
        assert done.returncode == status, done.stdout[-4000:] + done.stderr[-4000:]
        return done.stdout

    terraform("init", f"-plugin-dir={PROVIDERS}")
    assert "20 added, 0 changed, 0 destroyed" in terraform("apply", "-auto-approve")
    # 0: nothing is otherwise than it was made; 2 would be a difference.
    terraform("plan", "-detailed-exitcode")
    assert "20 destroyed" in terraform("destroy", "-auto-approve")
