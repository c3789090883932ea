"""What is scraped: real counts of what clients do, and labels that are bounded."""

import re
import subprocess
import time
import urllib.request

from gateway import Gateway
from server import eventually


def scrape(server):
    with urllib.request.urlopen(f"{server.control}/_countersign/metrics", timeout=10) as answer:
        text = answer.read().decode()
    assert text.endswith("# EOF\n")
    lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in lines}


def test_handshakes_ends_and_lag(server, backend, pki):
    gateway = Gateway(server, backend, "metrics.yourcompany.com", pki.ca().pem).create()
    alice = pki.client()
    host, _, port = server.https.rpartition(":")
    session = pki.base / "metrics.session"
    common = ["openssl", "s_client", "-connect", f"{host}:{port}", "-servername", gateway.domain, "-cert", alice.cert, "-key", alice.key]
    request = f"GET / HTTP/1.1\r\nhost: {gateway.domain}\r\nconnection: close\r\n\r\n".encode()
    for options in (["-sess_out", session], ["-sess_in", session]):
        subprocess.run([*common, "-ign_eof", *options], input=request, capture_output=True, timeout=20, check=True)
    told = scrape(server)
    counted = {kind: told.get(f'countersign_handshakes_total{{domain="{gateway.domain}",kind="{kind}"}}') for kind in ("full", "resumed")}
    assert counted == {"full": 1, "resumed": 1}
    assert told[f'countersign_requests_total{{domain="{gateway.domain}"}}'] == 2
    ends = told[f'countersign_server_certificate_not_after_seconds{{domain="{gateway.domain}"}}']
    assert 80 * 86400 < ends - time.time() < 91 * 86400, "the local CA's leaves live for 90 days"
    eventually(lambda: scrape(server)["countersign_records_lag_seconds{}"] == 0, what="all is on disk")
    assert told["countersign_records_waiting_bytes{}"] >= 0
    assert told['countersign_settings_changes_total{service="apigateway",outcome="allowed"}'] > 5
    labels = set(re.findall(r'service="([^"]*)"', " ".join(told)))
    assert labels <= {"acm", "apigateway", "countersign", "logs", "s3", "sts", "other"}
