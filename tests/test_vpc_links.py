"""VPC links: integrations name a listener or a service by ARN, and the link's tag `countersign:upstream` says where it leads."""

import uuid

import botocore.exceptions
import pytest

from backend import Backend
from gateway import Gateway, curl
from server import error_code, error_message

LISTENER = "arn:aws:elasticloadbalancing:us-east-1:123456789012:listener/app/orders/50dc6c495c0c9188/f2f7dc8efc522ab2"
SERVICE = "arn:aws:servicediscovery:us-east-1:123456789012:service/srv-abcdefghijklmnop"


@pytest.fixture(scope="module")
def api(server):
    return server.client("apigatewayv2")


@pytest.fixture
def link(api, backend):
    return make_link(api, backend.url)


def make_link(api, upstream=None):
    tags = {"Tags": {"countersign:upstream": upstream}} if upstream else {}
    return api.create_vpc_link(Name="orders", SubnetIds=["subnet-1", "subnet-2"], SecurityGroupIds=["sg-1"], **tags)["VpcLinkId"]


def arn(link):
    return f"arn:aws:apigateway:us-east-1::/vpclinks/{link}"


def refused(call, **arguments):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**arguments)
    return caught


def behind(api, link, **more):
    """An API with a stage that deploys by itself, and `GET /orders/{id}` behind the link."""
    api_id = api.create_api(Name="private", ProtocolType="HTTP")["ApiId"]
    integration = api.create_integration(
        ApiId=api_id, IntegrationType="HTTP_PROXY", IntegrationMethod="GET", ConnectionType="VPC_LINK", ConnectionId=link,
        IntegrationUri=LISTENER, PayloadFormatVersion="1.0", **more)
    api.create_route(ApiId=api_id, RouteKey="GET /orders/{id}", Target=f"integrations/{integration['IntegrationId']}")
    api.create_stage(ApiId=api_id, StageName="prod", AutoDeploy=True)
    return api_id, integration


def endpoint(api_id):
    return f"https://{api_id}.execute-api.us-east-1.localhost"


def test_a_link_is_made_read_changed_and_deleted(api):
    made = api.create_vpc_link(Name="first", SubnetIds=["subnet-1"], SecurityGroupIds=["sg-1"], Tags={"team": "a"})
    assert made["VpcLinkStatus"] == "AVAILABLE" and made["VpcLinkVersion"] == "V2" and made["Tags"] == {"team": "a"}
    link = made["VpcLinkId"]
    assert api.get_vpc_link(VpcLinkId=link)["SubnetIds"] == ["subnet-1"]
    assert api.update_vpc_link(VpcLinkId=link, Name="second")["Name"] == "second"
    assert api.get_vpc_link(VpcLinkId=link)["SecurityGroupIds"] == ["sg-1"], "what is not named stays"
    other = make_link(api)
    seen, token = set(), {}
    while True:
        page = api.get_vpc_links(MaxResults="1", **token)
        seen |= {item["VpcLinkId"] for item in page["Items"]}
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    assert {link, other} <= seen
    api.tag_resource(ResourceArn=arn(link), Tags={"team": "b"})
    assert api.get_tags(ResourceArn=arn(link))["Tags"] == {"team": "b"}
    api.untag_resource(ResourceArn=arn(link), TagKeys=["team"])
    assert api.get_vpc_link(VpcLinkId=link)["Tags"] == {}
    api.delete_vpc_link(VpcLinkId=link)
    assert error_code(refused(api.get_vpc_link, VpcLinkId=link)) == "NotFoundException"


def test_what_a_link_may_not_be(api):
    for bad, said in (
        ({"Name": "", "SubnetIds": ["subnet-1"]}, "name"),
        ({"Name": "x", "SubnetIds": []}, "subnet"),
        ({"Name": "x", "SubnetIds": ["10.0.0.0/8"]}, "subnet-"),
        ({"Name": "x", "SubnetIds": ["subnet-1"], "SecurityGroupIds": ["x"]}, "sg-"),
        ({"Name": "x", "SubnetIds": ["subnet-1"], "Tags": {"countersign:upstream": "orders:9000"}}, "Expected: http://HOST"),
        ({"Name": "x", "SubnetIds": ["subnet-1"], "Tags": {"countersign:rejection": "alert"}}, "countersign:upstream"),
    ):
        error = refused(api.create_vpc_link, **bad)
        assert error_code(error) == "BadRequestException" and said in error_message(error), error_message(error)


def test_a_link_leads_where_its_tag_says(server, backend, pki, api, link):
    """Behind a domain with mutual TLS; the backend gets the path as the client sent it, as on AWS."""
    gateway = Gateway(server, backend, f"v{uuid.uuid4().hex[:12]}.yourcompany.com", pki.ca().pem).create()
    integration = gateway.api.create_integration(
        ApiId=gateway.api_id, IntegrationType="HTTP_PROXY", IntegrationMethod="ANY", ConnectionType="VPC_LINK", ConnectionId=link,
        IntegrationUri=SERVICE, PayloadFormatVersion="1.0")
    assert (integration["ConnectionType"], integration["ConnectionId"], integration["IntegrationUri"]) == ("VPC_LINK", link, SERVICE)
    gateway.api.create_route(ApiId=gateway.api_id, RouteKey="GET /private/{id}", Target=f"integrations/{integration['IntegrationId']}")
    server.settle()
    assert gateway.curl("/private/7?q=1", pki.client()).json()["path"] == "/private/7?q=1"
    assert gateway.curl("/private/7").status == 403
    # On the API's own endpoint the path begins with the stage, unless a mapping takes it away.
    assert curl(server, f"{endpoint(gateway.api_id)}/prod/private/7").json()["path"] == "/prod/private/7"
    gateway.api.update_integration(
        ApiId=gateway.api_id, IntegrationId=integration["IntegrationId"], RequestParameters={"overwrite:path": "$request.path"})
    server.settle()
    assert curl(server, f"{endpoint(gateway.api_id)}/prod/private/7").json()["path"] == "/private/7"


def test_a_tag_that_changes_holds_at_once(server, api, link):
    api_id, _ = behind(api, link)
    server.settle()
    assert curl(server, f"{endpoint(api_id)}/prod/orders/1").status == 200
    other = Backend()
    try:
        api.tag_resource(ResourceArn=arn(link), Tags={"countersign:upstream": f"{other.url}/moved"})
        server.settle()
        assert curl(server, f"{endpoint(api_id)}/prod/orders/1").json()["path"] == "/moved/prod/orders/1"
        assert len(other.seen) == 1
    finally:
        other.close()


def test_without_the_tag_an_integration_is_refused(api):
    bare = make_link(api)
    error = refused(behind, api=api, link=bare)
    assert error_code(error) == "BadRequestException"
    assert "countersign:upstream" in error_message(error) and arn(bare) in error_message(error)
    for arguments, said in (
        ({"ConnectionId": "nosuch", "IntegrationUri": LISTENER}, "Invalid VpcLink ID"),
        ({"ConnectionId": bare, "IntegrationUri": "http://10.0.0.1"}, "ARN of a load balancer's listener"),
        ({"IntegrationUri": LISTENER}, "connectionId is required"),
    ):
        api_id = api.create_api(Name="x", ProtocolType="HTTP")["ApiId"]
        error = refused(api.create_integration, ApiId=api_id, IntegrationType="HTTP_PROXY", ConnectionType="VPC_LINK", **arguments)
        assert said in error_message(error), error_message(error)


def test_a_link_that_is_used_stays(api, link):
    api_id, integration = behind(api, link)
    for call, arguments in ((api.delete_vpc_link, {"VpcLinkId": link}), (api.untag_resource, {"ResourceArn": arn(link), "TagKeys": ["countersign:upstream"]})):
        error = refused(call, **arguments)
        assert error_code(error) == "BadRequestException" and integration["IntegrationId"] in error_message(error)
    api.delete_api(ApiId=api_id)
    api.delete_vpc_link(VpcLinkId=link)


def test_the_cli_makes_one(aws, backend):
    made = aws("apigatewayv2", "create-vpc-link", "--name", "cli", "--subnet-ids", "subnet-1", "--tags", f"countersign:upstream={backend.url}")
    assert aws("apigatewayv2", "get-vpc-link", "--vpc-link-id", made["VpcLinkId"])["VpcLinkStatus"] == "AVAILABLE"
    aws("apigatewayv2", "delete-vpc-link", "--vpc-link-id", made["VpcLinkId"])
