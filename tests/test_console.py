"""The console, in a real browser over a live gateway with traffic: what operators do with it, and what others must not."""

import json
import re
import urllib.error
import urllib.parse
import urllib.request

import botocore.config
import pytest
from cryptography.x509.oid import NameOID
from playwright.sync_api import expect

from browser import Console, chromium, url  # noqa: F401 (a fixture)
from gateway import Gateway
from iam import User, allow
from server import eventually, run_binary

PREFIX = "/_countersign/console"
PAGES = ["/", "/domains", "/clients", "/records", "/try", "/doctor", "/audit"]
# What would show that a stranger's text was taken for a page's own.
INJECTED = "<img src=x onerror=window.injected=1><script>window.injected=1</script>"


@pytest.fixture(scope="module")
def console(chromium, server):
    """Signed in as the administrator."""
    signed_in = Console(chromium, server)
    yield signed_in
    signed_in.close()


@pytest.fixture(scope="module")
def traffic(gateway, pki):
    """A domain at which three clients were let in and a stranger was not."""
    clients = [pki.client(name, section="client") for name in ("alice", "bob")]
    clients.append(pki.client("carol", pki.ca("other-ca")))
    for who in clients[:2]:
        assert gateway.curl("/orders", who).status == 200
    assert gateway.curl("/orders", clients[2]).status == 403
    assert gateway.curl("/orders").status == 403
    return gateway


def fetch(target, method="GET", cookie=None, headers=(), body=None):
    """A request of a client that is no browser; the answer, whatever its status."""
    request = urllib.request.Request(target, method=method, data=body, headers=dict(headers))
    if cookie:
        request.add_header("cookie", cookie)
    try:
        return urllib.request.urlopen(request, timeout=20)
    except urllib.error.HTTPError as answer:
        return answer


def sign_in(server, key=None):
    """The session's cookie, without a browser."""
    answer = fetch(url(server, key))
    assert answer.status == 200
    return answer.headers["set-cookie"].partition(";")[0]


def csrf_of(server, cookie):
    page = fetch(f"{server.control}{PREFIX}/", cookie=cookie).read().decode()
    return re.search(r'name="csrf" value="([^"]+)"', page)[1]


def test_a_url_signs_in_once(server):
    once = url(server)
    assert once.startswith(f"{server.control}{PREFIX}/sign-in?token=")
    answer = fetch(once)
    cookie = answer.headers["set-cookie"]
    for attribute in ("HttpOnly", "SameSite=Strict", f"Path={PREFIX}", "Max-Age=43200"):
        assert attribute in cookie, cookie
    again = fetch(once)
    assert again.status == 401 and "set-cookie" not in again.headers
    assert fetch(f"{server.control}{PREFIX}/", cookie=cookie.partition(";")[0]).status == 200


def test_nobody_sees_anything_without_signing_in(server, traffic):
    for path in [*PAGES, f"/domains/{traffic.domain}", "/live", "/tail", "/audit/export", "/audit/checkpoint"]:
        name = sign_in(server).partition("=")[0]
        for cookie in (None, f"{name}=", f"{name}=AAAA"):
            answer = fetch(f"{server.control}{PREFIX}{path}", cookie=cookie, headers={"accept": "application/json"})
            body = answer.read().decode()
            assert answer.status == 401 and traffic.domain not in body and "countersign console" in body, path


def test_every_answer_keeps_strangers_out(server):
    cookie = sign_in(server)
    for path, kept in [("/", "no-store"), ("/sign-in?token=x", "no-store"), ("/nowhere", "no-store")]:
        answer = fetch(f"{server.control}{PREFIX}{path}", cookie=cookie)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["cache-control"] == kept
    page = fetch(f"{server.control}{PREFIX}/", cookie=cookie).read().decode()
    assert "style=" not in page and not re.search(r"<script(?! defer src)", page) and " onclick" not in page
    assets = re.findall(rf'"({PREFIX}/assets/[^"]+)"', page)
    assert len(set(assets)) == 3
    for asset in assets:
        answer = fetch(f"{server.control}{asset}")
        assert answer.status == 200 and "immutable" in answer.headers["cache-control"]


def test_signing_out_ends_the_session(chromium, server):
    console = Console(chromium, server)
    cookie = "; ".join(f"{c['name']}={c['value']}" for c in console.context.cookies(f"{server.control}{PREFIX}/"))
    console.page.get_by_role("button", name="Sign out").click()
    expect(console.page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert fetch(f"{server.control}{PREFIX}/", cookie=cookie).status == 401
    console.close()


def test_forms_of_others_do_nothing(server, traffic):
    cookie = sign_in(server)
    target = f"{server.control}{PREFIX}/domains/{traffic.domain}/shadow"
    fields = {"uri": traffic.truststore_uri, "version": "x"}
    good = {"csrf": csrf_of(server, cookie)}
    for form, headers in [
        ({}, {}),
        ({"csrf": "AAAA"}, {}),
        ({"csrf": csrf_of(server, sign_in(server))}, {}),
        (good, {"origin": "http://evil.example"}),
        (good, {"origin": "null"}),
        (good, {"sec-fetch-site": "cross-site"}),
        (good, {"sec-fetch-site": "same-site"}),
        (good, {"sec-fetch-site": "none"}),
    ]:
        body = urllib.parse.urlencode(fields | form).encode()
        answer = fetch(target, "POST", cookie, headers, body)
        assert answer.status == 403, (form, headers)
    assert fetch(target, "PUT", cookie, (), b"").status == 405
    # Nor do they make it work, or count on it: a page elsewhere on this host gets nothing.
    for path in ("/", "/live", "/tail"):
        assert fetch(f"{server.control}{PREFIX}{path}", cookie=cookie, headers={"sec-fetch-site": "same-site"}).status == 403
    assert "countersign:shadow-truststore" not in traffic.api.get_domain_name(DomainName=traffic.domain).get("Tags", {})


def test_rights_are_those_of_the_key(chromium, server, traffic):
    reader = User(server, allow(["countersign:Get*", "countersign:List*", "apigateway:GET"]))
    key = (reader.keys["aws_access_key_id"], reader.keys["aws_secret_access_key"])
    console = Console(chromium, server, key)
    assert f"user/{reader.name}" in console.page.inner_text("header")
    for path in [*PAGES, f"/domains/{traffic.domain}", f"/domains/{traffic.domain}/change"]:
        assert console.open(path) == 200, path
    # It may look, and nothing else.
    cookie = "; ".join(f"{c['name']}={c['value']}" for c in console.context.cookies(f"{server.control}{PREFIX}/"))
    before = traffic.api.get_domain_name(DomainName=traffic.domain)["MutualTlsAuthentication"]
    for action in ("promote", "shadow", "unshadow", "upload", "change"):
        fields = {"csrf": csrf_of(server, cookie), "uri": traffic.truststore_uri, "version": "v", "pem": "x"}
        answer = fetch(f"{server.control}{PREFIX}/domains/{traffic.domain}/{action}", "POST", cookie, (), urllib.parse.urlencode(fields).encode())
        assert answer.status == 403 and "is not authorized to perform" in answer.read().decode(), action
    assert traffic.api.get_domain_name(DomainName=traffic.domain)["MutualTlsAuthentication"] == before
    # The doctor looks with the same rights.
    reader.may(allow(["countersign:Get*", "countersign:List*", "countersign:RunDoctor"]))
    fields = {"csrf": csrf_of(server, cookie), "domain": traffic.domain}
    answer = fetch(f"{server.control}{PREFIX}/doctor", "POST", cookie, {"accept": "application/json"}, urllib.parse.urlencode(fields).encode())
    assert answer.status == 200 and json.loads(answer.read())["run"]["diagnosis"]["settingsError"]
    # Without the right to open it there is no URL, and without the key no session.
    reader.may(allow("countersign:ListDomains"))
    assert console.open("/") == 403
    assert "countersign:GetOverview" in console.text()
    done = run_binary("console", env=reader.env, check=False)
    assert done.returncode == 2 and "countersign:GetConsoleUrl" in done.stderr
    reader.iam.update_access_key(UserName=reader.name, AccessKeyId=key[0], Status="Inactive")
    assert console.open("/domains") == 401
    console.close()


def test_the_overview_follows_the_traffic(chromium, server, traffic, pki):
    console = Console(chromium, server)
    requests = console.page.locator(".tile", has_text="Requests").locator(".sub")
    expect(requests).to_have_text(re.compile("since the start"))
    before = console.json("/")["traffic"]
    for _ in range(3):
        assert traffic.curl("/orders", pki.client("alice", section="client")).status == 200
        assert traffic.curl("/orders").status == 403
    expect(requests).to_have_text(f"{before['totalRequests'] + 3} since the start")
    expect(console.page.get_by_text("ClientCertMissing")).to_be_visible()
    after = console.json("/")
    missing = {r["code"]: r["count"] for r in after["traffic"]["totalReasons"]}["ClientCertMissing"]
    assert missing >= {r["code"]: r["count"] for r in before["totalReasons"]}.get("ClientCertMissing", 0) + 3
    assert after["settings"]["applied"] == after["settings"]["revision"]
    console.close()


def test_what_wants_a_look_is_on_the_overview(console, server, backend, pki):
    domain = Gateway(server, backend, "warned.yourcompany.com", pki.ca().pem).create()
    ends_soon = pki.dated("ends-soon", -86_400 * 300, 86_400 * 10)
    assert domain.curl("/orders", ends_soon).status == 200
    domain.put_truststore(pki.ca().pem + pki.ca("other-ca").pem)

    def attention():
        overview = console.json("/")
        concerns = [c["what"] for c in overview["attention"]["concerns"] if c["domain"] == domain.domain]
        clients = [c["subject"] for c in overview["attention"]["endingClients"]]
        return any("which is newer than the enforced" in what for what in concerns) and "CN=ends-soon" in clients

    eventually(attention, what="the newer version and the certificate that ends soon on the overview")
    console.open("/")
    assert domain.domain in console.text() and "in 9 days" in console.text()
    domain.api.delete_domain_name(DomainName=domain.domain)


def test_domains_and_their_truststores(console, server, backend, pki):
    root = pki.ca("tree-root")
    below = pki.intermediate("tree-below", root)
    old = pki.ca("tree-old", days=10)
    domain = Gateway(server, backend, "tree.yourcompany.com", old.pem + below.pem + root.pem).create()
    console.open("/domains?search=tree")
    assert [row["name"] for row in console.json("/domains?search=tree")["domains"]] == [domain.domain]
    console.page.get_by_role("link", name=domain.domain).click()
    rows = console.page.locator("table.tree tbody tr")
    expect(rows).to_have_count(3)
    told = [rows.nth(place).inner_text() for place in range(3)]
    assert "CN=tree-old" in told[0] and "ends soon" not in told[1], told
    assert "CN=tree-root" in told[1] and "CN=tree-below" in told[2] and "intermediate" in told[2], told
    # What the linter finds stands with the certificate that it is about.
    assert "ExpiresSoon" in told[0] or "expire" in told[0].lower() or "ends" in told[0].lower(), told
    data = console.json(f"/domains/{domain.domain}")
    assert [ca["depth"] for ca in data["truststore"]["certificates"]] == [0, 0, 1]
    assert data["certificate"]["domainName"] == domain.domain and data["mappings"][0]["apiId"] == domain.api_id
    # A newer version: told, compared.
    newer = domain.put_truststore(root.pem + below.pem)
    console.open(f"/domains/{domain.domain}")
    assert "which is newer than the enforced version" in console.text()
    row = console.page.locator("tr", has_text=newer[:12])
    assert "newest" in row.inner_text()
    row.get_by_role("link", name="Diff").click()
    assert "Clients of C=US,O=Example,CN=tree-old lose their issuer and will be refused." in console.text()
    domain.api.delete_domain_name(DomainName=domain.domain)


def test_a_truststore_is_changed_safely(chromium, server, backend, pki, tmp_path):
    """From a file on the operator's disk to what is enforced, and back."""
    ours, theirs = pki.ca(), pki.ca("partner-ca")
    domain = Gateway(server, backend, "change.yourcompany.com", ours.pem + theirs.pem).create()
    keeps, loses = pki.client("keeps", ours, section="client"), pki.client("loses", theirs, section="client")
    for who in (keeps, loses):
        assert domain.curl("/orders", who).status == 200
    console = Console(chromium, server)
    page = console.page
    console.open(f"/domains/{domain.domain}")
    page.get_by_role("link", name="Change the truststore safely").click()

    # A file that is none is told, and nothing happens.
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate\n")
    page.get_by_label("PEM file").set_input_files(broken)
    expect(page.locator("#pem")).to_have_value("no certificate\n")
    page.get_by_role("button", name="See who would be refused").last.click()
    expect(page.get_by_text("cannot be used")).to_be_visible()

    # The file that is meant: who would be refused, and why.
    only_ours = tmp_path / "ours.pem"
    only_ours.write_text(ours.pem)
    page.get_by_label("PEM file").set_input_files(only_ours)
    expect(page.locator("#pem")).to_have_value(ours.pem)
    page.get_by_role("button", name="See who would be refused").last.click()
    expect(page.get_by_role("status")).to_have_text("1 of 2 clients seen in the last 30 days would be refused")
    told = console.text()
    assert "CN=loses" in told and "CN=keeps" not in told and "ClientCertUntrusted" in told
    assert "Clients of C=US,O=Example,CN=partner-ca lose their issuer and will be refused." in told

    # It becomes a version, which decides nothing yet.
    page.get_by_role("button", name=re.compile("^Upload it")).click()
    expect(page.get_by_text("It is a version of the object now.")).to_be_visible()
    assert page.locator("p.summary").inner_text() == "1 of 2 clients seen in the last 30 days would be refused"
    assert domain.curl("/orders", loses).status == 200
    versions = domain.s3.list_object_versions(Bucket=domain.bucket)["Versions"]
    assert len(versions) == 2
    body = domain.s3.get_object(Bucket=domain.bucket, Key="ca.pem")["Body"].read().decode()
    assert body.strip() == ours.pem.strip()

    # In the shadow it is seen whom it would refuse, and nobody is.
    page.get_by_role("button", name="Shadow it").click()
    expect(page.get_by_text("The truststore is judged beside the enforced one from now on.")).to_be_visible()
    expect(page.get_by_text("Nowhere, for whoever came since it is judged.")).to_be_visible()
    server.settle()
    for who in (keeps, loses):
        assert domain.curl("/orders", who).status == 200

    def differs():
        page.reload()
        return "CN=loses" in console.text()

    eventually(differs, what="the difference on the page of the shadow truststore")
    assert "CN=keeps" not in console.text() and "ClientCertUntrusted" in console.text()

    # Promoted, it refuses.
    page.get_by_role("button", name="Promote it").click()
    expect(page.get_by_text("The truststore is enforced")).to_be_visible()
    server.settle()
    assert domain.curl("/orders", keeps).status == 200
    assert domain.curl("/orders", loses).status == 403

    # And back.
    page.get_by_role("link", name="Roll back").click()
    expect(page.locator("p.summary")).to_contain_text("none of 1 client seen in the last 30 days would be refused")
    page.get_by_role("button", name="Roll back to it").click()
    expect(page.get_by_text("The truststore is enforced")).to_be_visible()
    server.settle()
    assert domain.curl("/orders", loses).status == 200

    # All of it is recorded under the name of whoever did it.
    changes = console.json("/audit")["changes"]
    done = [c.get("operation") for c in changes if c["outcome"] == "allowed" and domain.domain in json.dumps(c) or c.get("operation") == "PutObject"]
    for operation in ("UpdateDomainName", "TagResource", "PutObject"):
        assert operation in done, done
    console.close()
    domain.api.delete_domain_name(DomainName=domain.domain)


def test_clients_are_found_and_told(console, traffic, pki):
    alice = pki.client("alice", section="client")
    eventually(lambda: any("CN=alice" in c["certificate"]["subject"] for c in console.json("/clients?search=alice")["clients"]))
    console.open("/clients")
    console.page.keyboard.press("/")
    console.page.keyboard.type("CN=alice")
    console.page.keyboard.press("Enter")
    console.page.get_by_role("link", name="C=US,O=Example,CN=alice").first.click()
    told = console.text()
    fingerprint = pki.openssl("x509", "-in", alice.cert, "-noout", "-fingerprint", "-sha256").partition("=")[2].strip().replace(":", "").lower()
    assert fingerprint in told and traffic.domain in told and "GET /orders" in told
    assert fingerprint in [c["certificate"]["fingerprint"] for c in console.json(f"/clients?search={fingerprint}")["clients"]]
    refused = console.json("/clients?state=refused")["clients"]
    assert refused and all(c["state"] == "refused" for c in refused)
    assert console.open("/clients/00000000000000000000000000000000") == 404


def test_requests_appear_as_they_come_and_are_explained(chromium, server, traffic, pki):
    console = Console(chromium, server)
    page = console.page
    console.open(f"/records?domain={traffic.domain}&kind=access")
    expect(page.locator("[data-tail-state]")).to_have_text("New ones appear on top.")
    answer = traffic.curl("/live-tail", pki.client("carol", pki.ca("other-ca")))
    assert answer.status == 403
    row = page.locator("tbody tr", has_text="/live-tail")
    expect(row).to_have_count(1)
    assert "ClientCertUntrusted" in row.inner_text()
    # In the reader's zone, with UTC to be seen.
    time = row.locator("time")
    assert time.get_attribute("title").endswith(" UTC") and "UTC" not in time.inner_text()
    row.get_by_role("link").click()
    told = console.text()
    assert answer.headers["apigw-requestid"] in told
    for part in ("Why it was refused", "The nearest miss", "What to do", "How it was judged", "cat issuer.pem >> truststore.pem"):
        assert part in told, told
    assert page.locator(".judged li.failed").count() >= 1
    page.get_by_role("button", name="Copy").first.click()
    console.close()


def test_a_stream_can_be_paused(chromium, server, traffic, pki):
    console = Console(chromium, server)
    page = console.page
    console.open(f"/records?domain={traffic.domain}&kind=access")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("[data-tail-state]")).to_have_text("Paused.")
    assert traffic.curl("/while-paused", pki.client("alice", section="client")).status == 200
    page.get_by_role("button", name="Go on").click()
    expect(page.locator("tbody tr", has_text="/while-paused")).to_have_count(1)
    console.close()


def test_a_certificate_is_tried(console, server, traffic, pki):
    page = console.page

    def judge(pem):
        console.open(f"/try?domain={traffic.domain}")
        page.locator("#pem").fill(pem)
        page.get_by_role("button", name="Judge it").click()
        return page.locator("#outcome").inner_text()

    good = judge(pki.client("alice", section="client").pem)
    assert "It would be accepted." in good and "CN=ca" in good
    bad = judge(pki.client("carol", pki.ca("other-ca")).pem)
    assert "It would be refused: ClientCertUntrusted" in bad and "What to do" in bad
    assert "cannot be judged" in judge("nonsense")
    secret = judge(pki.client("alice", section="client").key.read_text())
    assert "There is a private key among the certificates" in secret
    assert "PRIVATE KEY" not in json.dumps(console.json("/records?kind=settings"))


def test_the_doctor_looks_and_remembers(console, server, traffic):
    page = console.page
    console.open(f"/doctor?domain={traffic.domain}")
    page.get_by_role("button", name="Have it looked at").click()
    page.wait_for_url("**/console/doctor/*")
    run = console.json(page.url.partition("/console")[2])["run"]
    assert run["domain"] == traffic.domain and run["by"].endswith("user/admin")
    by_command = server.command(
        "doctor", f"https://{traffic.domain}:{server.https_port}/", "--connect", server.https, "--ca-file", server.ca_file,
        "--endpoint", server.control, "--format", "json", "--fail-on", "never")
    found = lambda diagnosis: {finding["id"] for finding in diagnosis["findings"]}
    assert found(run["diagnosis"]) == found(json.loads(by_command.stdout))
    console.open("/doctor")
    assert run["id"] in page.inner_html("main") and traffic.domain in console.text()
    page.get_by_role("link").filter(has=page.locator("time")).first.click()
    expect(page.get_by_role("button", name="Look again")).to_be_visible()


def test_the_audit_is_verified_and_exported(console, server, traffic, tmp_path):
    page = console.page
    console.open("/audit")
    page.get_by_role("button", name="Verify all records").click()
    expect(page.get_by_role("status")).to_contain_text("records are what they were")
    with page.expect_download() as saved:
        page.get_by_role("link", name="Save a checkpoint").click()
    checkpoint = tmp_path / "held.checkpoint"
    saved.value.save_as(checkpoint)
    assert server.command("audit", "verify", "--against", checkpoint).returncode == 0
    with page.expect_download() as saved:
        page.get_by_role("link", name="Export changes").click()
    changes = tmp_path / "changes.ndjson"
    saved.value.save_as(changes)
    exported = [json.loads(line) for line in changes.read_text().splitlines()]
    assert {"CreateDomainName"} <= {record.get("operation") for record in exported}
    # Signing in is a record, too.
    assert "countersign" in {record.get("service") for record in exported}


def test_what_strangers_send_is_shown_and_never_run(chromium, server, traffic, pki):
    """By the subject and names of certificates, the path, headers, and the server name."""
    names = [(NameOID.COMMON_NAME, INJECTED[:60]), (NameOID.ORGANIZATION_NAME, '"><svg onload=window.injected=1>')]
    hostile = pki.built("hostile", names)
    path = "/" + urllib.parse.quote(INJECTED, safe="")
    assert traffic.curl(path, hostile, "--user-agent", INJECTED).status == 200
    unknown = pki.built("hostile-unknown", names, pki.ca("other-ca"))
    answer = traffic.curl(path, unknown, "--user-agent", INJECTED)
    assert answer.status == 403
    ca = pki.ca("hostile-ca", subject="/O=<img src=x onerror=window.injected=1>/CN=hostile-ca")
    other = Gateway(server, traffic.backend, "hostile.yourcompany.com", traffic.truststore + ca.pem).create()
    console = Console(chromium, server)
    eventually(lambda: console.json("/clients?search=svg")["clients"], what="the hostile client in the ledger")
    client = console.json("/clients?search=svg")["clients"][0]["id"]
    request = urllib.parse.quote(answer.headers["apigw-requestid"], safe="")
    visited = ["/", "/clients?search=svg", f"/clients/{client}", "/records", f"/requests/{request}", f"/domains/{other.domain}",
               f"/records?client={urllib.parse.quote(INJECTED)}&domain={urllib.parse.quote(INJECTED)}",
               f"/clients?search={urllib.parse.quote(INJECTED)}", f"/domains?search={urllib.parse.quote(INJECTED)}",
               f"/domains/{urllib.parse.quote(INJECTED, safe='')}", f"/try?domain={urllib.parse.quote(INJECTED)}",
               f"/doctor?domain={urllib.parse.quote(INJECTED)}", f"/?done={urllib.parse.quote(INJECTED)}"]
    for page in visited:
        console.open(page)
        assert console.page.evaluate("window.injected") is None, page
        assert console.page.locator("main img, main svg[onload], main script").count() == 0, page
    console.open(f"/requests/{request}")
    assert "onload=window.injected=1" in console.text(), "it is shown as the text that it is"
    # As it comes in, too.
    console.open(f"/records?domain={traffic.domain}&kind=access")
    expect(console.page.locator("[data-tail-state]")).to_have_text("New ones appear on top.")
    traffic.curl(path + "-live", unknown)
    expect(console.page.locator("tbody tr", has_text="-live")).to_have_count(1)
    assert console.page.evaluate("window.injected") is None
    console.close()
    other.api.delete_domain_name(DomainName=other.domain)


def test_objects_run_nothing_in_a_browser(chromium, server, traffic):
    """They share their origin with the console, and are whatever somebody put."""
    script = "window.injected = 1; fetch('/_countersign/console/audit')"
    put = lambda key, body, kind: traffic.s3.put_object(Bucket=traffic.bucket, Key=key, Body=body, ContentType=kind)
    put("x.js", script, "text/javascript")
    put("x.html", f"<h1>mine</h1><script>{script}</script><script src=x.js></script>", "text/html")
    s3 = server.client("s3", config=botocore.config.Config(signature_version="s3v4", s3={"addressing_style": "path"}))
    presigned = s3.generate_presigned_url("get_object", Params={"Bucket": traffic.bucket, "Key": "x.html"})
    console = Console(chromium, server)
    # The page before has its stream of events, which may be answered at any time.
    console.page.goto("about:blank")
    asked = []
    console.page.on("response", lambda response: asked.append(response.url))
    assert "mine" in console.page.goto(presigned, wait_until="load").text()
    # Nothing that its script or its tags ask for is answered, as it does not leave the browser.
    assert not [one for one in asked if "_countersign" in one or one.endswith("x.js")], asked
    answer = fetch(presigned)
    assert answer.headers["content-security-policy"].startswith("sandbox") and answer.headers["x-content-type-options"] == "nosniff"
    # What the browser's own console says of it is what is wanted.
    console.errors.clear()
    console.close()


def test_sessions_of_two_servers_on_one_host(chromium, server, start_server):
    other = start_server()
    console = Console(chromium, server)
    console.page.goto(url(other))
    console.page.wait_for_url(f"{other.control}{PREFIX}/")
    assert console.open("/domains") == 200, "the other's cookie takes nothing away"
    console.close()


def test_who_connects_again_misses_and_repeats_nothing(server, traffic, pki):
    cookie = sign_in(server)
    alice = pki.client("alice", section="client")

    def events(stream):
        """Numbers of the first three records that it brings, and where it would go on."""
        numbers = []
        for line in stream:
            line = line.decode()
            if line.startswith("id: "):
                at = int(line[4:])
            if match := re.search(r'data-number="(\d+)"', line):
                numbers.append(int(match[1]))
            if line == "\n" and len(numbers) >= 3:
                return numbers, at
        raise AssertionError("it ended")

    target = f"{server.control}{PREFIX}/tail?kind=access&domain={traffic.domain}&after={json_end(server)}"
    stream = fetch(target, cookie=cookie)
    for number in range(3):
        assert traffic.curl(f"/tail-{number}", alice).status == 200
    first, at = events(stream)
    stream.close()
    for number in range(3):
        assert traffic.curl(f"/tail-again-{number}", alice).status == 200
    second, _ = events(fetch(target, cookie=cookie, headers={"last-event-id": str(at)}))
    assert len(first) == len(second) == 3 and min(second) > max(first)


def json_end(server):
    """Where new records will follow."""
    cookie = sign_in(server)
    page = fetch(f"{server.control}{PREFIX}/records?kind=access&limit=1", cookie=cookie, headers={"accept": "application/json"})
    return json.loads(page.read())["end"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_use_it(chromium, server, traffic, scheme):
    console = Console(chromium, server, color_scheme=scheme)
    refused = console.json("/records?kind=access&refused=true")["records"][0]["request_id"]
    client = eventually(lambda: console.json("/clients")["clients"])[0]["id"]
    paths = [*PAGES, f"/domains/{traffic.domain}", f"/domains/{traffic.domain}/change", f"/domains/{traffic.domain}/shadow",
             f"/clients/{client}", f"/requests/{urllib.parse.quote(refused, safe='')}", "/nowhere"]
    for path in paths:
        console.open(path)
        assert console.violations() == [], path
        assert console.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{path} is wider than its window"
    console.page.set_viewport_size({"width": 380, "height": 800})
    for path in paths:
        console.open(path)
        assert console.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{path} is wider than a phone"
    console.close()


def test_it_works_by_keyboard_and_without_scripts(chromium, server, traffic):
    console = Console(chromium, server)
    page = console.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    for _ in range(3):
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Domains"
    page.keyboard.press("Enter")
    page.wait_for_url("**/domains")
    console.close()
    plain = Console(chromium, server, java_script_enabled=False)
    plain.open(f"/try?domain={traffic.domain}")
    plain.page.locator("#pem").fill(traffic.truststore)
    plain.page.get_by_role("button", name="Judge it").click()
    assert "At api.yourcompany.com" in plain.text()
    plain.open("/records")
    assert "UTC" in plain.page.locator("time").first.inner_text()
    plain.close()


def test_every_page_is_json_as_well(console, traffic):
    for path in [*PAGES, f"/domains/{traffic.domain}", f"/domains/{traffic.domain}/change", f"/domains/{traffic.domain}/shadow"]:
        assert isinstance(console.json(path), dict), path
        console.open(path)
        link = console.page.get_by_role("link", name="This page as JSON").get_attribute("href")
        answer = console.context.request.get(f"{console.server.control}{link}")
        assert isinstance(answer.json(), dict), link
    assert console.json("/domains/none.example.com")["code"] == "NotFoundException"


def test_a_page_is_small(server, traffic):
    cookie = sign_in(server)
    page = fetch(f"{server.control}{PREFIX}/", cookie=cookie).read()
    assets = set(re.findall(rf'"({PREFIX}/assets/[^"]+)"', page.decode()))
    total = len(page) + sum(len(fetch(f"{server.control}{asset}").read()) for asset in assets)
    assert total < 60 * 1024, total


def test_it_can_be_switched_off(start_server, tmp_path):
    config = tmp_path / "countersign.toml"
    config.write_text('[control]\nconsole = "off"\n')
    server = start_server("--config", config)
    done = server.command("console", check=False)
    assert done.returncode == 2 and "control.console" in done.stderr
    assert fetch(f"{server.control}{PREFIX}/").status == 403
