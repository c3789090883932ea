"""The execute-api endpoint knows no mutual TLS: it has to be closed, and closes when AWS closes it."""

import pytest

from gateway import Gateway, assert_refused, assert_reset, curl
from server import eventually


def call(gateway, path="/prod/orders"):
    return curl(gateway.server, gateway.api_endpoint + path)


@pytest.fixture
def make_gateway(server, backend, pki):
    made = []

    def make(**options):
        made.append(Gateway(server, backend, f"door{len(made)}.yourcompany.com", pki.ca().pem, **options).create())
        return made[-1]

    yield make
    for gateway in made:
        gateway.api.delete_domain_name(DomainName=gateway.domain)
        gateway.api.delete_api(ApiId=gateway.api_id)


def test_the_endpoint_names_api_region_and_port(server, make_gateway):
    gateway = make_gateway()
    assert gateway.api_endpoint == f"https://{gateway.api_id}.execute-api.us-east-1.localhost:{server.https_port}"


def test_it_serves_until_the_next_deployment(make_gateway, backend, pki):
    gateway = make_gateway(auto_deploy=False)
    gateway.api.create_deployment(ApiId=gateway.api_id, StageName="prod")
    eventually(lambda: call(gateway).status == 200)

    assert gateway.api.update_api(ApiId=gateway.api_id, DisableExecuteApiEndpoint=True)["DisableExecuteApiEndpoint"] is True
    assert gateway.api.get_api(ApiId=gateway.api_id)["DisableExecuteApiEndpoint"] is True
    gateway.wait_available()
    assert call(gateway).status == 200

    gateway.api.create_deployment(ApiId=gateway.api_id, StageName="prod")
    eventually(lambda: call(gateway).status == 403)
    backend.clear()
    closed = call(gateway)
    assert closed.status == 403 and closed.json() == {"message": "Forbidden"}
    assert backend.seen == []
    assert gateway.curl("/orders", pki.client()).status == 200, "the domain itself is not concerned"


def test_it_closes_at_once_with_auto_deploy(make_gateway, pki):
    gateway = make_gateway()
    assert call(gateway).status == 200
    gateway.api.update_api(ApiId=gateway.api_id, DisableExecuteApiEndpoint=True)
    eventually(lambda: call(gateway).status == 403, timeout_s=5)
    gateway.api.update_api(ApiId=gateway.api_id, DisableExecuteApiEndpoint=False)
    eventually(lambda: call(gateway).status == 200, timeout_s=5)


def test_it_is_no_way_round_a_domain(make_gateway, pki, backend):
    """With the SNI of the open endpoint and the Host of the guarded domain nobody gets in."""
    gateway = make_gateway()
    name = gateway.api_endpoint.removeprefix("https://")
    answer = curl(gateway.server, f"https://{name}/orders", None, "--header", f"Host: {gateway.domain}", http="1.1")
    assert answer.status == 421
    assert backend.seen == []
    assert_refused(gateway.curl("/orders"))


def test_as_aws_does_it(start_server, backend, pki, tmp_path):
    """`aws_exact`: a closed endpoint of an HTTP API is not found, and a client without a certificate is cut off."""
    config = tmp_path / "countersign.toml"
    config.write_text("aws_exact = true\n")
    server = start_server("--config", config)
    gateway = Gateway(server, backend, "api.yourcompany.com", pki.ca().pem).create()
    gateway.api.update_api(ApiId=gateway.api_id, DisableExecuteApiEndpoint=True)
    closed = eventually(lambda: (answer := call(gateway)).status == 404 and answer)
    assert closed.json() == {"message": "Not Found"}
    assert_reset(gateway.curl("/orders"))
    assert_refused(gateway.curl("/orders", pki.client("stranger", pki.ca("other-ca"), section="client")))
