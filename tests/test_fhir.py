"""Records as FHIR AuditEvents, from the real binary: held against R4's models and against BALP's codes."""

import json

from fhir.resources.R4B.auditevent import AuditEvent

from gateway import Gateway, assert_refused

BALP = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."


def events(server, *options):
    done = server.command("logs", "query", "--format", "fhir", *options)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_requests_and_refusals(server, backend, pki):
    gateway = Gateway(server, backend, "fhir.yourcompany.com", pki.ca().pem).create()
    other = Gateway(server, backend, "nofhir.yourcompany.com", pki.ca().pem).create()
    alice = pki.client()
    other.curl("/fhir/Patient/1", alice)
    asked = {}
    for path, code, profile in (
        ("/fhir/Observation/7", "read", "Read"),
        ("/fhir/Observation?code=1", "search-type", "Query"),
        ("/fhir/metadata", "capabilities", None),
    ):
        answer = gateway.curl(path, alice)
        assert answer.status == 200
        asked[answer.headers["apigw-requestid"]] = (code, profile)
    answer = gateway.curl("/fhir/Observation/7", pki.client("fhir-stranger", pki.ca("fhir-other")))
    assert_refused(answer)
    asked[answer.headers["apigw-requestid"]] = ("110126", None)

    found = {event["entity"][0]["what"]["identifier"]["value"]: event for event in events(server, "--domain", gateway.domain)}
    assert found.keys() == asked.keys(), "of this domain only"
    for id, (code, profile) in asked.items():
        event = found[id]
        assert event["subtype"][0]["code"] == code
        assert event.get("meta") == ({"profile": [BALP + profile]} if profile else None)
        client, server_agent = event["agent"]
        assert client["network"] == {"address": "127.0.0.1", "type": "2"}
        assert server_agent["who"]["display"] == gateway.domain
        assert event["outcome"] == ("4" if code == "110126" else "0")
    assert "code=1" not in json.dumps(list(found.values())), "parameters are nobody's business"
    for event in found.values():
        AuditEvent.model_validate(event)

    # Without a name, those of the domains that are tagged so.
    gateway.api.tag_resource(
        ResourceArn=f"arn:aws:apigateway:us-east-1::/domainnames/{gateway.domain}", Tags={"countersign:audit-event": "fhir"}
    )
    assert {event["source"]["site"] for event in events(server)} == {gateway.domain}
