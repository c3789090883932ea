"""A truststore's whole life: built, compared, tried on the clients that came, shadowed, promoted, and taken back."""

import contextlib
import json
import ssl
import threading
import urllib.request
from socketserver import BaseRequestHandler, ThreadingTCPServer

import pytest

from gateway import Gateway, assert_refused
from server import eventually, run_binary


@pytest.fixture
def make_gateway(server, backend):
    made = []

    def make(truststore, **options):
        name = f"life{len(made)}-{id(made)}.yourcompany.com"
        made.append(Gateway(server, backend, name, truststore, **options).create())
        return made[-1]

    yield make
    for gateway in made:
        gateway.api.delete_domain_name(DomainName=gateway.domain)


def write(path, *identities):
    path.write_text("".join(identity.pem for identity in identities))
    return path


@contextlib.contextmanager
def tls_endpoint(chain, key, client_ca=None):
    """A TLS server that shows a chain, and asks clients for a certificate of `client_ca` if there is one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    if client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_ca)

    class Handler(BaseRequestHandler):
        def handle(self):
            with contextlib.suppress(OSError), context.wrap_socket(self.request, server_side=True) as tls:
                tls.recv(1)

    with ThreadingTCPServer(("127.0.0.1", 0), Handler) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{listening.server_address[1]}"
        listening.shutdown()


# Files

def test_diff_says_who_loses_an_issuer(pki, tmp_path):
    one, two, three = pki.ca("diff-1"), pki.ca("diff-2"), pki.ca("diff-3")
    before, after = write(tmp_path / "a.pem", one, two), write(tmp_path / "b.pem", three, one)
    done = run_binary("truststore", "diff", before, after, check=False)
    assert done.returncode == 1
    assert "Clients of C=US,O=Example,CN=diff-2 lose their issuer and will be refused." in done.stdout
    assert "Clients of C=US,O=Example,CN=diff-3 will be accepted." in done.stdout
    answer = json.loads(run_binary("truststore", "diff", before, after, "--json", check=False).stdout)
    assert (len(answer["added"]), len(answer["removed"]), answer["renewed"]) == (1, 1, [])
    reordered = write(tmp_path / "c.pem", two, one, two)
    assert run_binary("truststore", "diff", before, reordered).stdout == "the same certificates\n"
    assert run_binary("truststore", "diff", before, tmp_path / "none.pem", check=False).returncode == 2
    assert run_binary("truststore", "diff", before, check=False).returncode == 2


@pytest.mark.parametrize("asks", [False, True], ids=["open", "mutual"])
def test_build_from_files_directories_and_an_endpoint(pki, tmp_path, asks):
    root = pki.ca("build-root")
    below = pki.intermediate("build-below", root)
    server = pki.server("build-server", "ldap.example.com", below)
    chain = write(tmp_path / "chain.pem", server, below, root)
    directory = tmp_path / "partners"
    directory.mkdir()
    partner = pki.ca("build-partner")
    write(directory / "partner.crt", partner)
    pki.openssl("x509", "-in", root.cert, "-outform", "DER", "-out", directory / "root.der")
    (directory / "notes.txt").write_text("not taken")
    out = tmp_path / "truststore.pem"
    with tls_endpoint(chain, server.key, root.cert if asks else None) as endpoint:
        done = run_binary("truststore", "build", "-o", out, directory, partner.cert, "--endpoint", endpoint)
    assert f"{endpoint}: left out: CN=ldap.example.com: It is the server's own certificate" in done.stdout
    assert "2 duplicates left out" in done.stdout, "the partner's and the root"
    assert "3 usable certificates, 0 findings" in done.stdout
    comments = [line for line in out.read_text().splitlines() if line.startswith("#")]
    assert [c.split(",expires")[0].rpartition("CN=")[2].split(",")[0] for c in comments] == ["build-partner", "build-root", "build-below"]
    assert run_binary("truststore", "lint", out).returncode == 0
    client = pki.client("build-client", below, section="client")
    assert run_binary("verify", "--truststore", out, "--chain", client.cert).returncode == 0


def test_build_refuses_what_does_not_belong(pki, tmp_path):
    ca, out = pki.ca("careful"), tmp_path / "out.pem"
    with_key = tmp_path / "with-key.pem"
    with_key.write_text(ca.pem + ca.key.read_text())
    done = run_binary("truststore", "build", "-o", out, with_key, check=False)
    assert done.returncode == 2 and "private key" in done.stderr and not out.exists()
    server = pki.server("leaf-only", "leaf.example.com", ca)
    with tls_endpoint(server.cert, server.key) as endpoint:
        done = run_binary("truststore", "build", "-o", out, "--endpoint", endpoint, check=False)
    assert done.returncode == 2 and "the issuer is C=US,O=Example,CN=careful" in done.stderr and not out.exists()
    below = pki.intermediate("rootless", ca)
    done = run_binary("truststore", "build", "-o", out, below.cert, check=False)
    assert done.returncode == 1 and "issuer-missing" in done.stdout and out.exists(), "lint's answer"


# A domain

def metrics(server):
    with urllib.request.urlopen(f"{server.control}/_countersign/metrics", timeout=10) as answer:
        assert answer.headers["content-type"].startswith("application/openmetrics-text")
        text = answer.read().decode()
    assert text.endswith("# EOF\n")
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in text.splitlines() if not line.startswith("#")}


def arn(gateway):
    return f"arn:aws:apigateway:us-east-1::/domainnames/{gateway.domain}"


def preview(server, gateway, *args):
    done = server.command("truststore", "preview", "--domain", gateway.domain, *args, "--json", check=False)
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, json.loads(done.stdout)


def test_preview_names_the_clients_that_would_be_refused(make_gateway, server, pki, tmp_path):
    kept, dropped = pki.ca("preview-kept"), pki.ca("preview-dropped")
    gateway = make_gateway(kept.pem + dropped.pem)
    for name, ca in [("stays-1", kept), ("stays-2", kept), ("loses", dropped)]:
        assert gateway.curl("/orders", pki.client(name, ca)).status == 200
    candidate = write(tmp_path / "next.pem", kept)
    eventually(lambda: preview(server, gateway, "--truststore", candidate)[1]["comparison"]["accepted"] == 3)

    code, answer = preview(server, gateway, "--truststore", candidate)
    assert code == 1
    assert answer["summary"] == "1 of 3 clients seen in the last 30 days would be refused"
    lost = answer["comparison"]["wouldBeRefused"]["clients"][0]
    assert (lost["subject"], lost["requests"], lost["code"]) == ("C=US,O=Example,CN=loses", 1, "ClientCertUntrusted")
    text = server.command("truststore", "preview", "--domain", gateway.domain, "--truststore", candidate, check=False).stdout
    assert text.startswith("1 of 3 clients seen in the last 30 days would be refused\nwould be refused:\n- C=US,O=Example,CN=loses, ")

    version = gateway.put_truststore(kept.pem + dropped.pem + pki.ca("preview-more").pem)
    code, answer = preview(server, gateway, "--version", version, "--days", 7)
    assert (code, answer["summary"]) == (0, "none of 3 clients seen in the last 7 days would be refused")
    code, answer = preview(server, gateway, "--profile", "rfc5280")
    assert code == 1 and answer["comparison"]["wouldBeRefused"]["count"] == 3, "the clients are X.509 v1"
    nowhere = server.command("truststore", "preview", "--domain", "nowhere.example.com", "--eku", "any", check=False)
    assert nowhere.returncode == 2
    assert gateway.curl("/orders", pki.client("loses")).status == 200, "nothing has changed"


def test_a_revocation_list_is_previewed(make_gateway, server, tmp_path):
    run = lambda *args: run_binary("ca", *args, "--dir", tmp_path)  # noqa: E731
    run("init", "Preview CA")
    run("issue", "good")
    run("issue", "bad")
    gateway = make_gateway((tmp_path / "ca.pem").read_text())
    for name in ["good", "bad"]:
        assert gateway.curl("/orders", None, "--cert", tmp_path / f"{name}.pem", "--key", tmp_path / f"{name}.key").status == 200
    run("revoke", tmp_path / "bad.pem")
    run("crl")
    crl = tmp_path / "ca.crl"
    eventually(lambda: preview(server, gateway, "--crl", crl)[1]["comparison"]["accepted"] == 2)
    code, answer = preview(server, gateway, "--crl", crl)
    assert (code, answer["summary"]) == (1, "1 of 2 clients seen in the last 30 days would be refused")
    assert answer["comparison"]["wouldBeRefused"]["clients"][0]["code"] == "ClientCertCrlHit"
    gateway.s3.put_object(Bucket=gateway.bucket, Key="ca.crl", Body=crl.read_bytes())
    uri = f"s3://{gateway.bucket}/ca.crl"
    assert preview(server, gateway, "--crl", uri)[1]["summary"] == answer["summary"]
    # Once it is set, both sides judge by it.
    gateway.api.tag_resource(ResourceArn=arn(gateway), Tags={"countersign:crl": uri})
    code, answer = preview(server, gateway, "--eku", "any")
    assert (code, answer["comparison"]["accepted"], answer["comparison"]["refused"]) == (0, 1, 1)


def test_shadow_then_promote_then_roll_back_without_s3(make_gateway, server, pki):
    old, new = pki.ca("shadow-old"), pki.ca("shadow-new")
    gateway = make_gateway(old.pem)
    first = gateway.api.get_domain_name(DomainName=gateway.domain)["MutualTlsAuthentication"]["TruststoreVersion"]
    gateway.s3.put_object(Bucket=gateway.bucket, Key="next.pem", Body=old.pem)
    shadow_uri = f"s3://{gateway.bucket}/next.pem"
    gateway.api.tag_resource(ResourceArn=arn(gateway), Tags={"countersign:shadow-truststore": shadow_uri})
    gateway.wait_available()
    of_old, of_new = pki.client("of-old", old), pki.client("of-new", new)
    assert gateway.curl("/orders", of_old).status == 200
    difference = f'countersign_shadow_differences_total{{domain="{gateway.domain}",would="%s"}}'
    assert difference % "refuse" not in metrics(server), "both truststores say the same"

    # The shadow follows its object; the enforced truststore does not.
    second = gateway.s3.put_object(Bucket=gateway.bucket, Key="next.pem", Body=new.pem)["VersionId"]
    server.settle()
    answer = gateway.curl("/orders", of_old)
    assert answer.status == 200
    refused = gateway.curl("/orders", of_new)
    assert_refused(refused)
    counted = metrics(server)
    assert counted[difference % "refuse"] == 1 and counted[difference % "accept"] == 1
    told = eventually(lambda: [line for line in server.stderr().splitlines() if f"shadow truststore {shadow_uri} version {second}" in line and gateway.domain in line][1:])
    assert "would accept a client that is refused" in told[0] or "would refuse a client that is accepted" in told[0]
    explained = json.loads(server.command("explain", answer.headers["apigw-requestid"], "--json").stdout)
    assert explained["record"]["shadow"]["refusal"] == "ClientCertUntrusted"
    differing = eventually(lambda: clients_that_differ(server, gateway))
    assert sorted(differing) == ["C=US,O=Example,CN=of-new", "C=US,O=Example,CN=of-old"]

    # Promote: one update.
    gateway.api.update_domain_name(
        DomainName=gateway.domain, DomainNameConfigurations=[gateway.configuration()],
        MutualTlsAuthentication={"TruststoreUri": shadow_uri, "TruststoreVersion": second},
    )
    gateway.wait_available()
    assert gateway.curl("/orders", of_new).status == 200
    assert_refused(gateway.curl("/orders", of_old))
    gateway.api.untag_resource(ResourceArn=arn(gateway), TagKeys=["countersign:shadow-truststore"])

    # S3 loses everything; every version that the domain had is there.
    for listed in gateway.s3.list_object_versions(Bucket=gateway.bucket)["Versions"]:
        gateway.s3.delete_object(Bucket=gateway.bucket, Key=listed["Key"], VersionId=listed["VersionId"])
    gateway.s3.delete_bucket(Bucket=gateway.bucket)
    history = json.loads(server.command("truststore", "history", "--domain", gateway.domain, "--json").stdout)
    assert [(item["version"], item["until"] is None) for item in history["items"]] == [(second, True), (first, False)]
    gateway.update_truststore(first)
    assert gateway.curl("/orders", of_old).status == 200
    assert_refused(gateway.curl("/orders", of_new))
    diff = server.command("truststore", "diff", "--domain", gateway.domain, "--from", second, check=False)
    assert diff.returncode == 1
    assert "Clients of C=US,O=Example,CN=shadow-new lose their issuer and will be refused." in diff.stdout
    text = server.command("truststore", "history", "--domain", gateway.domain).stdout
    assert f"s3://{gateway.bucket}/ca.pem version {first}: since " in text and ", enforced" in text


def clients_that_differ(server, gateway):
    """Subjects of the clients about whom the shadow differs, once there are two."""
    done = server.command("clients", "--domain", gateway.domain, "--shadow-differs", "--json")
    subjects = [client["certificate"]["subject"] for client in json.loads(done.stdout)["clients"]]
    return subjects if len(subjects) == 2 else None


def test_a_shadow_that_cannot_be_read_is_refused(make_gateway, pki):
    gateway = make_gateway(pki.ca().pem)
    gateway.s3.put_object(Bucket=gateway.bucket, Key="text", Body=b"no certificate")
    for uri, said in [
        (f"s3://{gateway.bucket}/nothing.pem", "Unable to access"),
        (f"s3://{gateway.bucket}/text", "Invalid truststore"),
        ("https://example.com/ca.pem", "Expected: s3://bucket/key"),
    ]:
        with pytest.raises(gateway.api.exceptions.BadRequestException, match=said):
            gateway.api.tag_resource(ResourceArn=arn(gateway), Tags={"countersign:shadow-truststore": uri})
    assert gateway.curl("/orders", pki.client()).status == 200


def test_drift_has_a_warning_a_metric_and_one_line(make_gateway, server, pki):
    gateway = make_gateway(pki.ca().pem)
    drift = f'countersign_truststore_drift{{domain="{gateway.domain}"}}'
    assert metrics(server)[drift] == 0
    newer = gateway.put_truststore(pki.ca().pem + pki.ca("drift").pem)
    warnings = gateway.api.get_domain_name(DomainName=gateway.domain)["MutualTlsAuthentication"]["TruststoreWarnings"]
    assert any(newer in warning for warning in warnings)
    assert metrics(server)[drift] == 1
    lines = lambda: [line for line in server.stderr().splitlines() if f"truststore of {gateway.domain} has a newer version" in line and newer in line]  # noqa: E731
    eventually(lines)
    gateway.curl("/orders", pki.client())
    gateway.api.tag_resource(ResourceArn=arn(gateway), Tags={"team": "edge"})
    assert len(lines()) == 1, "once per version"
    gateway.update_truststore(newer)
    assert metrics(server)[drift] == 0
    # A pinned shadow drifts, too.
    pinned = gateway.s3.put_object(Bucket=gateway.bucket, Key="next.pem", Body=pki.ca().pem)["VersionId"]
    uri = f"s3://{gateway.bucket}/next.pem"
    gateway.api.tag_resource(ResourceArn=arn(gateway), Tags={
        "countersign:shadow-truststore": uri, "countersign:shadow-truststore-version": pinned})
    gateway.s3.put_object(Bucket=gateway.bucket, Key="next.pem", Body=pki.ca("drift").pem)
    warnings = gateway.api.get_domain_name(DomainName=gateway.domain)["MutualTlsAuthentication"]["TruststoreWarnings"]
    assert any(uri in w and "is pinned by countersign:shadow-truststore-version" in w for w in warnings), warnings
    assert metrics(server)[f'countersign_shadow_truststore_drift{{domain="{gateway.domain}",uri="{uri}"}}'] == 1


def test_metrics_count_requests_and_refusals(make_gateway, server, pki):
    gateway = make_gateway(pki.ca().pem)
    assert gateway.curl("/orders", pki.client()).status == 200
    assert_refused(gateway.curl("/orders"))
    told = eventually(lambda: (m := metrics(server)).get(f'countersign_refusals_total{{domain="{gateway.domain}",reason="ClientCertMissing"}}') and m)
    assert told[f'countersign_refusals_total{{domain="{gateway.domain}",reason="ClientCertMissing"}}'] == 1
    assert told[f'countersign_requests_total{{domain="{gateway.domain}"}}'] == 1
    assert told["countersign_settings_revision{}"] >= 1
