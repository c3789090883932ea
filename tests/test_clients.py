"""`countersign clients`: the ledger of who was seen, through the commands and the API that operators use."""

import json
import os
import re
import time
import urllib.request

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import botocore.httpsession
import pytest

from gateway import Gateway, assert_alerted, assert_refused
from raw import connect, context, exchange
from server import eventually

DAY = 86_400


@pytest.fixture(scope="module")
def other(server, backend, pki):
    """A second domain that trusts the same clients."""
    return Gateway(server, backend, "other.yourcompany.com", pki.ca().pem).create()


def clients(server, *args):
    return json.loads(server.command("clients", "--json", *args).stdout)["clients"]


def client(server, name, domain=None):
    """The one client of that subject, once its requests are all noted."""
    options = ("--domain", domain) if domain else ()
    found = [c for c in clients(server, "--search", f"CN={name}", *options) if f"CN={name}" in c["certificate"]["subject"]]
    assert len(found) <= 1, found
    return found[0] if found else None


def noted(server, name, domain=None, **wanted):
    """Waits until the ledger says that of a client."""
    def is_so():
        found = client(server, name, domain)
        return found if found and all(found[k] == v for k, v in wanted.items()) else None

    return eventually(is_so, what=f"{name} with {wanted}: {client(server, name, domain)}")


def test_accepted_clients_with_all_that_is_known_of_them(gateway, server, pki):
    who = pki.client("ledger-alice", section="client")
    for _ in range(2):
        assert gateway.curl("/orders", who).status == 200
    found = noted(server, "ledger-alice", accepted=2, refused=0)
    assert found["state"] == "accepted" and found["everAccepted"] is True and found["refusal"] is None
    assert found["domain"] == gateway.domain and found["source"] == "127.0.0.1"
    assert found["certificate"]["issuer"] == "C=US,O=Example,CN=ca"
    fingerprint = pki.openssl("x509", "-in", who.cert, "-noout", "-fingerprint", "-sha256").partition("=")[2].strip()
    assert found["certificate"]["fingerprint"] == fingerprint.replace(":", "").lower()
    assert found["firstSeen"] <= found["lastSeen"] == found["lastAccepted"]

    shown = json.loads(server.command("clients", "show", found["id"], "--json").stdout)
    assert shown["client"]["id"] == found["id"]
    assert shown["chain"] == [who.pem[who.pem.index("-----BEGIN"):]]
    text = server.command("clients", "show", found["id"]).stdout
    assert "CN=ledger-alice" in text and "2 let in, 0 refused" in text and "-----END CERTIFICATE-----" in text
    table = server.command("clients", "--search", "LEDGER-ALICE").stdout
    assert table.startswith("LAST SEEN") and found["id"] in table and "1 client. Clients are noted since" in table


def test_requests_of_kept_and_resumed_connections_are_counted(gateway, server, pki):
    who = pki.client("ledger-kept")
    using = context(who, "http/1.1", tls="1.2")
    get = f"GET /orders HTTP/1.1\r\nHost: {gateway.domain}\r\n".encode()
    requests = (get + b"\r\n") * 4 + get + b"Connection: close\r\n\r\n"
    first = connect(server, gateway.domain, using=using)
    assert exchange(first, requests).count(b"HTTP/1.1 200") == 5
    again = connect(server, gateway.domain, using=using, session=first.session)
    assert again.session_reused
    assert exchange(again, requests).count(b"HTTP/1.1 200") == 5
    assert gateway.curl("/orders", who, http="2").status == 200
    noted(server, "ledger-kept", accepted=11)


def test_each_domain_has_clients_of_its_own(gateway, other, server, pki):
    who = pki.client("ledger-both")
    assert gateway.curl("/orders", who).status == 200
    for _ in range(2):
        assert other.curl("/orders", who).status == 200
    here, there = noted(server, "ledger-both", gateway.domain, accepted=1), noted(server, "ledger-both", other.domain, accepted=2)
    assert here["chain"] == there["chain"] and here["id"] != there["id"]


def test_refused_clients_in_either_way(gateway, server, backend, pki):
    alerting = Gateway(server, backend, "alert.yourcompany.com", pki.ca().pem, {"countersign:rejection": "alert"}).create()
    stranger = pki.client("ledger-stranger", pki.ca("ledger-foreign"))
    assert_refused(gateway.curl("/orders", stranger))
    assert_alerted(alerting.curl("/orders", stranger, "--verbose"), "unknown ca")
    for domain in (gateway.domain, alerting.domain):
        found = noted(server, "ledger-stranger", domain, refused=1, accepted=0)
        assert found["state"] == "refused" and found["everAccepted"] is False
        assert found["refusal"] == "ClientCertUntrusted"
    subjects = {c["certificate"]["subject"] for c in clients(server, "--state", "refused", "--domain", alerting.domain)}
    assert subjects == {"C=US,O=Example,CN=ledger-stranger"}
    assert clients(server, "--state", "accepted", "--domain", alerting.domain) == []
    # Who shows no certificate is nobody's client.
    assert_refused(gateway.curl("/orders"))
    assert all(c["certificate"] for c in clients(server, "--domain", gateway.domain))


def test_certificates_that_end_soon_and_their_renewal(gateway, server, pki):
    ending = pki.dated("ledger-ending", -DAY, 10 * DAY)
    assert gateway.curl("/orders", ending).status == 200
    assert gateway.curl("/orders", pki.client("ledger-lasting", days=300)).status == 200
    noted(server, "ledger-lasting", accepted=1)

    def found(within):
        return {c["certificate"]["subject"]: c["renewedBy"] for c in clients(server, "--expiring", within, "--domain", gateway.domain)}

    assert found("30d").get("CN=ledger-ending", "none") is None
    assert "CN=ledger-ending" not in found("9d")
    assert not any("ledger-lasting" in subject for subject in found("30d"))
    ends = clients(server, "--expiring", "400d", "--domain", gateway.domain)
    ends = [c["certificate"]["notAfter"] for c in ends]
    assert ends == sorted(ends) and len(ends) >= 2

    pki.made["ledger-ending-old"] = pki.made.pop("ledger-ending")
    renewed = pki.dated("ledger-ending", -DAY, 365 * DAY)
    assert gateway.curl("/orders", renewed).status == 200
    eventually(lambda: found("30d")["CN=ledger-ending"], what="the renewal noted")
    assert "renewed" in server.command("clients", "--expiring", "30d", "--search", "ledger-ending").stdout


def test_the_list_can_be_searched_bounded_and_paged(gateway, server, pki):
    for number in range(3):
        assert gateway.curl("/orders", pki.client(f"ledger-page-{number}")).status == 200
        # Who comes within the same fraction of a second was seen at the same time.
        noted(server, f"ledger-page-{number}", accepted=1)
    everyone = clients(server, "--search", "ledger-page-")
    assert [c["certificate"]["subject"][-1] for c in everyone] == ["2", "1", "0"]
    bounded = json.loads(server.command("clients", "--search", "ledger-page-", "--max", 2, "--json").stdout)
    assert bounded["clients"] == everyone[:2] and bounded["truncated"] is True
    assert "there are more" in server.command("clients", "--search", "ledger-page-", "--max", 2).stdout

    pages, token = [], None
    while True:
        parameters = {"search": "ledger-page-", "maxResults": "1"} | ({"nextToken": token} if token else {})
        page = answered(server, "clients", parameters)
        pages += page["clients"]
        if (token := page["nextToken"]) is None:
            break
        assert len(page["clients"]) <= 1
    assert pages == everyone
    assert page["completeness"]["since"] and page["completeness"]["dropped"] is None


@pytest.mark.parametrize("parameters", [
    {"state": "unknown"}, {"days": "0"}, {"days": "x"}, {"expiring-days": "401"}, {"maxResults": "many"}, {"nextToken": "x"},
    {"shadow": "yes"},
])
def test_parameters_that_mean_nothing_are_named(server, parameters):
    answer = ask(server, "clients", parameters)
    assert answer.status_code == 400
    assert next(iter(parameters)) in json.loads(answer.content)["message"]


def test_nobody_asks_unsigned_or_for_what_is_not_there(server):
    assert ask(server, "clients", signed=False).status_code == 403
    for unknown in ("0" * 32, "x", "../clients"):
        assert ask(server, f"clients/{unknown.replace('/', '%2F')}").status_code == 404
    unknown = server.command("clients", "show", "0" * 32, check=False)
    assert unknown.returncode == 2 and "no client" in unknown.stderr


def test_a_restart_keeps_them_and_a_kill_what_was_noted(start_server, backend, pki):
    server = start_server()
    gateway = Gateway(server, backend, "api.yourcompany.com", pki.ca().pem).create()
    who = pki.client("ledger-restart")
    assert gateway.curl("/orders", who).status == 200
    # Not waited for: what is not on disk yet is written when the server drains.
    server.stop()
    server.start()
    assert client(server, "ledger-restart")["accepted"] == 1
    assert gateway.curl("/orders", who).status == 200
    noted(server, "ledger-restart", accepted=2)
    server.kill()
    server.start()
    assert client(server, "ledger-restart")["accepted"] == 2
    assert (server.data_dir / "ledger.redb").stat().st_mode & 0o777 == 0o600


def test_a_damaged_ledger_stops_nothing(start_server, backend, pki):
    server = start_server()
    gateway = Gateway(server, backend, "api.yourcompany.com", pki.ca().pem).create()
    assert gateway.curl("/orders", pki.client("ledger-before")).status == 200
    noted(server, "ledger-before", accepted=1)
    server.stop()
    ledger = server.data_dir / "ledger.redb"
    os.truncate(ledger, ledger.stat().st_size // 2)
    server.start()
    assert "the ledger of clients was damaged" in server.stderr() and "begins anew" in server.stderr()
    assert len(list(server.data_dir.glob("ledger.redb.damaged-*"))) == 1
    assert gateway.curl("/orders", pki.client("ledger-after")).status == 200
    noted(server, "ledger-after", accepted=1)
    assert client(server, "ledger-before") is None


def ask(server, path, parameters=None, signed=True):
    """A request of the own API, signed by botocore."""
    request = botocore.awsrequest.AWSRequest("GET", f"{server.control}/_countersign/api/v1/{path}", params=parameters)
    key = botocore.credentials.Credentials(server.env["AWS_ACCESS_KEY_ID"], server.env["AWS_SECRET_ACCESS_KEY"])
    if signed:
        botocore.auth.SigV4Auth(key, "countersign", server.env["AWS_DEFAULT_REGION"]).add_auth(request)
    return botocore.httpsession.URLLib3Session().send(request.prepare())


def answered(server, path, parameters):
    answer = ask(server, path, parameters)
    assert answer.status_code == 200, answer.content
    return json.loads(answer.content)


def test_clients_about_whom_the_shadow_differs(gateway, server, pki):
    other_ca = pki.ca("ledger-shadow-ca")
    candidate = gateway.s3.put_object(Bucket=gateway.bucket, Key="next.pem", Body=other_ca.pem)["VersionId"]
    assert gateway.curl("/orders", pki.client("ledger-unshadowed")).status == 200
    arn = f"arn:aws:apigateway:us-east-1::/domainnames/{gateway.domain}"
    gateway.api.tag_resource(ResourceArn=arn, Tags={
        "countersign:shadow-truststore": f"s3://{gateway.bucket}/next.pem", "countersign:shadow-truststore-version": candidate})
    server.settle()
    for who in ("ledger-shadowed", "ledger-shadowed-too"):
        assert gateway.curl("/orders", pki.client(who)).status == 200
    assert_refused(gateway.curl("/orders", pki.client("ledger-shadow-next", other_ca)))

    def differing():
        return {c["certificate"]["subject"]: c["shadow"] for c in clients(server, "--shadow-differs", "--domain", gateway.domain)}

    found = eventually(lambda: (d := differing()) if len(differing()) == 3 else None, what="three differences")
    shadow = found["C=US,O=Example,CN=ledger-shadowed"]
    assert shadow["differences"] == 1 and shadow["refusal"] == "ClientCertUntrusted"
    assert found["C=US,O=Example,CN=ledger-shadow-next"]["refusal"] is None
    gateway.api.untag_resource(ResourceArn=arn, TagKeys=["countersign:shadow-truststore", "countersign:shadow-truststore-version"])
    server.settle()
    assert differing() == {}, "it says nothing about what is there now"


def metrics(server):
    with urllib.request.urlopen(f"{server.control}/_countersign/metrics", timeout=20) as answer:
        return answer.read().decode()


def test_what_ends_soon_is_told_at_the_start_and_in_the_metrics(start_server, backend, pki, tmp_path):
    (tmp_path / "countersign.toml").write_text("[expiry]\ndays = 25\n")
    server = start_server("--config", tmp_path / "countersign.toml")
    short = pki.ca("ledger-short-ca", days=20)
    gateway = Gateway(server, backend, "api.yourcompany.com", pki.ca().pem + short.pem).create()
    for who in (pki.dated("ledger-5d", -90 * DAY, 5 * DAY), pki.dated("ledger-24d", -90 * DAY, 24 * DAY),
                pki.dated("ledger-29d", -90 * DAY, 29 * DAY), pki.dated("ledger-short-lived", -DAY, 2 * DAY)):
        assert gateway.curl("/orders", who).status == 200
    noted(server, "ledger-short-lived", accepted=1)
    assert "end within" not in server.stderr()
    server.stop()
    server.start()
    told = eventually(lambda: [line for line in server.stderr().splitlines() if "end within" in line][1:], what="two lines")
    lines = server.stderr()
    assert re.search(r"2 client certificates end within 25 days: CN=ledger-5d of api\.yourcompany\.com on \d{4}-\d\d-\d\d, CN=ledger-24d .*;"
                     r" countersign clients --expiring 25d lists them", lines), told
    assert "1 CA certificates of truststores end within 25 days: C=US,O=Example,CN=ledger-short-ca" in lines

    text = eventually(lambda: (m := metrics(server)) and 'within="7d"} 1.0' in m and m, what="the metrics counted")
    domain = 'domain="api.yourcompany.com"'
    assert f'countersign_client_certificates_expiring{{{domain},within="7d"}} 1.0' in text
    assert f'countersign_client_certificates_expiring{{{domain},within="30d"}} 3.0' in text
    ends = re.search(rf'^countersign_ca_certificate_not_after_seconds{{{domain},subject="C=US,O=Example,CN=ledger-short-ca"}} (\S+)$', text, re.M)
    assert abs(float(ends[1]) - time.time() - 20 * DAY) < 3600
    assert 'countersign_ledger_clients{kind="accepted"} 4.0' in text
    assert re.search(r"^countersign_ledger_dropped_total(\{\})? 0$", text, re.M)
