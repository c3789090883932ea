"""Limits keyed by certificate (`countersign:client-…`), set by tags of the domain and met by curl."""

import threading
import urllib.request

import botocore.exceptions
import pytest

from gateway import Gateway
from server import error_message, eventually


def limited(server, backend, pki, name, **limits):
    return Gateway(server, backend, f"{name}.yourcompany.com", pki.ca().pem, tags=tags(limits)).create()


def tags(limits):
    return {f"countersign:client-{name.replace('_', '-')}": value for name, value in limits.items()}


def set_tags(gateway, **limits):
    arn = f"arn:aws:apigateway:us-east-1::/domainnames/{gateway.domain}"
    gateway.api.tag_resource(ResourceArn=arn, Tags=tags(limits))
    gateway.server.settle()


def statuses(gateway, identity, count):
    return [gateway.curl("/orders", identity).status for _ in range(count)]


def test_each_certificate_has_a_rate_of_its_own(server, backend, pki):
    gateway = limited(server, backend, pki, "rate", rate="0.01", burst="3")
    alice, bob = pki.client("limits-alice"), pki.client("limits-bob")
    assert statuses(gateway, alice, 5) == [200, 200, 200, 429, 429]
    assert statuses(gateway, bob, 1) == [200]
    answer = gateway.curl("/orders", alice)
    assert answer.json() == {"message": "Too Many Requests"}
    assert answer.headers["x-amzn-errortype"] == "TooManyRequestsException"
    assert 90 <= int(answer.headers["retry-after"]) <= 100
    record = gateway.record(requestId=answer.headers["apigw-requestid"])
    assert (record["status"], record["responseType"], record["error"]) == ("429", "THROTTLED", "the client's rate is exceeded")
    with urllib.request.urlopen(f"{server.control}/_countersign/metrics", timeout=10) as told:
        assert f'countersign_client_limits_total{{domain="{gateway.domain}",limit="rate"}} 3\n' in told.read().decode()
    # Other settings give nothing back, a wider limit does.
    gateway.api.update_stage(ApiId=gateway.api_id, StageName="prod", Description="changed")
    server.settle()
    assert statuses(gateway, alice, 1) == [429]
    set_tags(gateway, burst="4")
    assert statuses(gateway, alice, 5) == [200] * 4 + [429]


def test_renewed_certificates_share_by_subject(server, backend, pki):
    gateway = limited(server, backend, pki, "subject", rate="0.01", burst="2", rate_by="subject")
    old, new = (pki.client(name, subject="/CN=limits-renewed") for name in ("limits-old", "limits-new"))
    assert statuses(gateway, old, 1) + statuses(gateway, new, 2) == [200, 200, 429]


def test_requests_at_a_time(server, backend, pki):
    gateway = limited(server, backend, pki, "places", concurrency="1")
    alice, bob = pki.client("limits-carol"), pki.client("limits-dave")
    backend.clear()
    held = []
    waiting = threading.Thread(target=lambda: held.append(gateway.curl("/wait", alice)))
    waiting.start()
    eventually(lambda: "/wait" in backend.paths())
    answer = gateway.curl("/orders", alice)
    assert (answer.status, answer.headers["retry-after"]) == (429, "1")
    assert gateway.curl("/orders", bob).status == 200
    backend.gate.set()
    waiting.join(timeout=30)
    assert [answer.status for answer in held] == [200]
    assert statuses(gateway, alice, 2) == [200, 200]


def test_what_limits_nothing_is_refused_when_it_is_set(server, backend, pki):
    gateway = limited(server, backend, pki, "refused")
    for limits, said in [
        ({"rate": "0"}, "Expected: 0.001 to 1000000"),
        ({"burst": "5"}, "no burst without countersign:client-rate"),
        ({"rate": "1", "rate_by": "ip"}, "Expected: fingerprint, subject, issuer-serial, san-uri"),
        ({"rates": "1"}, "Unknown tag countersign:client-rates"),
    ]:
        with pytest.raises(botocore.exceptions.ClientError) as caught:
            set_tags(gateway, **limits)
        assert said in error_message(caught)
