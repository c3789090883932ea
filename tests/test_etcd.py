"""Many machines: nodes that have their settings in etcd, and what happens to etcd and to them."""

import json
import signal
import ssl
import threading
import time

import botocore.exceptions
import pytest

from authority import Authority
from etcd import Etcd, Nodes, health, nodes_of
from gateway import Gateway, assert_refused, curl
from server import Server, eventually, run_binary


@pytest.fixture(scope="module")
def cluster():
    """Three members, of which any two are an etcd."""
    members = Etcd(3).start()
    yield members
    members.close()


@pytest.fixture
def alone():
    """One member, for who stops it."""
    member = Etcd().start()
    yield member
    member.close()


@pytest.fixture
def nodes(cluster, tmp_path):
    made = Nodes(tmp_path / "nodes", cluster)
    yield made
    made.close()
    for member in cluster.members:
        if not member.process:
            member.start()
            eventually(member.is_ready, 30, what=f"{member.name} is ready")


def at(node, gateway, identity=None, path="/orders"):
    """A client of the domain, at this node."""
    return curl(node, f"https://{gateway.domain}{path}", identity)


def status(node, domain):
    found = node.client("apigatewayv2").get_domain_name(DomainName=domain)
    return found["DomainNameConfigurations"][0]["DomainNameStatus"]


def test_what_is_set_at_one_node_is_enforced_at_all(nodes, backend, pki):
    one, two = nodes.node("one").start(), nodes.node("two").start()
    ca = Authority(pki, "nodes-ca")
    client = ca.issue("revoked")
    gateway = Gateway(one, backend, "api.yourcompany.com", ca.identity.pem).create()
    for node in (one, two):
        assert at(node, gateway, client).status == 200
        assert_refused(at(node, gateway))
    revision = health(one)["revision"]
    assert nodes_of(one) == nodes_of(two) == {"one": revision, "two": revision}
    text = two.command("nodes").stdout
    assert "one " in text and f"The newest revision is {revision}." in text
    assert one.env["AWS_SECRET_ACCESS_KEY"] == two.env["AWS_SECRET_ACCESS_KEY"]
    assert open(one.ca_file).read() == open(two.ca_file).read()

    arn = f"arn:aws:apigateway:us-east-1::/domainnames/{gateway.domain}"
    one.client("s3").put_object(Bucket=gateway.bucket, Key="crl.pem", Body=ca.crl())
    two.client("apigatewayv2").tag_resource(ResourceArn=arn, Tags={"other": "node"})
    gateway.api.tag_resource(ResourceArn=arn, Tags={"countersign:crl": f"s3://{gateway.bucket}/crl.pem"})
    assert at(two, gateway, client).status == 200
    ca.revoke(client)
    one.client("s3").put_object(Bucket=gateway.bucket, Key="crl.pem", Body=ca.crl())
    answered = time.monotonic()
    for node in (one, two):
        eventually(lambda: at(node, gateway, client).status == 403, 1, what="refused within a second")
    print(f"refused at both {time.monotonic() - answered:.3f} s after the list was taken")
    two.client("apigatewayv2").delete_domain_name(DomainName=gateway.domain)
    eventually(lambda: at(one, gateway, client).status == 0, what="the domain is gone")
    two.stop()
    eventually(lambda: list(nodes_of(one)) == ["one"], 5, what="who stops says so")


def test_no_acknowledged_write_is_lost_with_a_member(nodes, cluster):
    node, other = nodes.node("one").start(), nodes.node("two").start()
    acknowledged, failed, enough = [], [], threading.Event()

    def write(of, writer):
        logs, number = of.client("logs"), 0
        while not enough.is_set():
            name, number = f"/{writer}/{number}", number + 1
            try:
                logs.create_log_group(logGroupName=name)
                acknowledged.append(name)
            except botocore.exceptions.ClientError as e:
                failed.append((name, str(e)))

    writers = [threading.Thread(target=write, args=(of, name)) for of, name in ((node, "a"), (other, "b"))]
    for writer in writers:
        writer.start()
    try:
        for _ in range(2):
            so_far = len(acknowledged)
            eventually(lambda: len(acknowledged) > so_far + 20, 60, what="writes")
            killed = eventually(lambda: cluster.leader, what="a leader")
            killed.kill()
            so_far = len(acknowledged)
            eventually(lambda: len(acknowledged) > so_far + 20, 60, what="writes after the leader was killed")
            killed.start()
            eventually(killed.is_ready, 30, what="the member is back")
    finally:
        enough.set()
        for writer in writers:
            writer.join()
    print(f"{len(acknowledged)} writes acknowledged, {len(failed)} failed")
    for of in (node, other):
        eventually(lambda: health(of)["revision"] == health(node)["revision"], what="both have seen all")
        pages = of.client("logs").get_paginator("describe_log_groups").paginate()
        there = [group["logGroupName"] for page in pages for group in page["logGroups"]]
        assert set(acknowledged) <= set(there)
        ours = {name for name in there if name.startswith(("/a/", "/b/"))}
        assert ours <= set(acknowledged) | {name for name, _ in failed}
    assert not [e for _, e in failed if "AlreadyExists" in e], "what was refused was made"


def test_a_node_that_was_away_for_long(nodes, cluster, backend, pki):
    """Its lease ends, history is compacted, and it goes on where it was."""
    one, two = nodes.node("one").start(), nodes.node("two").start()
    gateway = Gateway(one, backend, "away.yourcompany.com", pki.ca().pem).create()
    two.process.send_signal(signal.SIGSTOP)
    try:
        version = gateway.put_truststore(pki.ca("other-ca").pem)
        gateway.api.update_domain_name(
            DomainName=gateway.domain, DomainNameConfigurations=[gateway.configuration()],
            MutualTlsAuthentication={"TruststoreUri": gateway.truststore_uri, "TruststoreVersion": version})
        assert status(one, gateway.domain) == "UPDATING"
        assert nodes_of(one)["two"] < health(one)["revision"]
        cluster.forget_history()
        eventually(lambda: status(one, gateway.domain) == "AVAILABLE", 20, what="AVAILABLE after the lease")
        assert list(nodes_of(one)) == ["one"]
        for number in range(30):
            gateway.api.update_stage(ApiId=gateway.api_id, StageName="prod", Description=str(number))
        cluster.forget_history()
    finally:
        two.process.send_signal(signal.SIGCONT)
    revision = health(one)["revision"]
    eventually(lambda: nodes_of(one) == {"one": revision, "two": revision}, 20, what="it is there again")
    assert_refused(at(two, gateway, pki.client()))
    other = pki.client("other", pki.ca("other-ca"))
    assert at(two, gateway, other).status == 200
    gateway.api.update_stage(ApiId=gateway.api_id, StageName="prod", Description="last")
    assert nodes_of(two) == {"one": revision + 1, "two": revision + 1}


def test_a_node_that_was_killed_is_waited_for_until_its_lease_ends(nodes, backend, pki):
    one, two = nodes.node("one").start(), nodes.node("two").start()
    gateway = Gateway(one, backend, "killed.yourcompany.com", pki.ca().pem).create()
    two.kill()
    gateway.api.update_domain_name(
        DomainName=gateway.domain, DomainNameConfigurations=[gateway.configuration() | {"SecurityPolicy": "TLS_1_2"}],
        MutualTlsAuthentication={"TruststoreVersion": gateway.put_truststore(pki.ca("other-ca").pem)})
    assert status(one, gateway.domain) == "UPDATING"
    assert one.command("nodes", check=False).returncode == 1
    eventually(lambda: status(one, gateway.domain) == "AVAILABLE", 20, what="AVAILABLE after the lease")
    again = two.start()
    eventually(lambda: len(nodes_of(one)) == 2, what="it is there again")
    assert_refused(at(again, gateway, pki.client()))


def test_a_node_serves_what_it_has_while_etcd_is_away(alone, tmp_path, backend, pki):
    nodes = Nodes(tmp_path / "nodes", alone)
    try:
        node = nodes.node("one").start()
        gateway = Gateway(node, backend, "alone.yourcompany.com", pki.ca().pem).create()
        alone.members[0].kill()
        eventually(lambda: "store" in health(node)["faults"], 30, what="health says so")
        assert health(node)["store_lost_since"] > 1_700_000_000_000
        assert "storeLostSince" in node.command("nodes", "--json", check=False).stdout
        assert at(node, gateway, pki.client()).status == 200
        with pytest.raises(botocore.exceptions.ClientError, match="etcd"):
            node.client("logs").create_log_group(logGroupName="/nobody/there")
        node.kill()
        again = node.start()
        assert "is enforced until it can be asked" in again.stderr()
        assert "store" in health(again)["faults"]
        assert at(again, gateway, pki.client()).status == 200
        assert_refused(at(again, gateway))
        alone.members[0].start()
        eventually(lambda: "store" not in health(again)["faults"], 30, what="etcd is there again")
        again.client("logs").create_log_group(logGroupName="/somebody/there")
        eventually(lambda: len(nodes_of(again)) == 1, what="it says that it is there")
        assert at(again, gateway, pki.client()).status == 200
        again.stop()
    finally:
        nodes.close()


def test_settings_move_to_etcd_and_back(alone, tmp_path, backend, pki):
    single = Server(tmp_path / "single").start()
    gateway = Gateway(single, backend, "moved.yourcompany.com", pki.ca().pem).create()
    nodes = Nodes(tmp_path / "nodes", alone)
    config = nodes.config("one", key=False)
    to_etcd = ["store", "copy", "--from", single.data_dir, "--to", config, "--json"]
    refused = run_binary(*to_etcd, check=False)
    assert refused.returncode == 2 and "another countersign" in refused.stderr, "it runs"
    before = settings(single, gateway)
    single.stop()
    home = {"XDG_DATA_HOME": str(tmp_path / "share"), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    copied = json.loads(run_binary(*to_etcd, env=home).stdout)
    assert copied["blobs"] == 1 and copied["settings"] > 5
    again = run_binary(*to_etcd, check=False, env=home)
    assert again.returncode == 2 and "--force" in again.stderr
    assert json.loads(run_binary(*to_etcd, "--force", env=home).stdout) == copied
    foreign = tmp_path / "foreign.toml"
    foreign.write_text(nodes.config("foreign").read_text())
    other_key = run_binary("store", "copy", "--from", single.data_dir, "--to", foreign, "--force", check=False, env=home)
    assert other_key.returncode == 2 and "sealing key" in other_key.stderr

    try:
        node = nodes.node("one", key=False, data_dir=tmp_path / "share/countersign").start()
        assert settings(node, gateway) == before
        assert at(node, gateway, pki.client()).status == 200
        assert_refused(at(node, gateway))
        node.stop()
        stranger = nodes.node("two", key=False)
        stranger.launch()
        assert stranger.process.wait(30) == 2
        assert "sealing.key is gone" in stranger.stderr() and "another node" in stranger.stderr()
        stranger = nodes.node("two")
        stranger.launch()
        assert stranger.process.wait(30) == 2
        assert "sealed by another key" in stranger.stderr()
    finally:
        nodes.close()

    back = tmp_path / "back"
    returned = json.loads(run_binary("store", "copy", "--from", config, "--to", back, "--json", env=home).stdout)
    assert (returned["blobs"], returned["revision"] >= copied["revision"]) == (1, True)
    restored = Server(tmp_path / "restored", data_dir=back).start()
    assert settings(restored, gateway) == before
    assert at(restored, gateway, pki.client()).status == 200
    restored.stop()


def settings(server, gateway):
    """What a client of AWS's APIs sees of it."""
    api = server.client("apigatewayv2")
    domain = api.get_domain_name(DomainName=gateway.domain)
    del domain["ResponseMetadata"]
    keys = server.client("iam").list_access_keys()["AccessKeyMetadata"]
    apis = [{name: value for name, value in one.items() if name != "ApiEndpoint"} for one in api.get_apis()["Items"]]
    return domain, apis, api.get_stages(ApiId=gateway.api_id)["Items"], keys


def test_certificates_and_passwords_for_etcd(tmp_path, pki):
    both = pki.base / "etcd.cnf"
    both.write_text("[etcd]\nsubjectAltName = IP:127.0.0.1\nextendedKeyUsage = serverAuth, clientAuth\n")
    ca = pki.ca("etcd-ca")
    server = pki.client("etcd-server", ca, subject="/O=etcd", extra=("-extfile", both, "-extensions", "etcd"))
    # With users, etcd's gateway takes no certificate that has a common name.
    client = pki.client("etcd-client", ca, section="client", subject="/O=Gateways")
    named = pki.client("etcd-named", ca, section="client")
    etcd = Etcd(tls={"ca": ca, "server": server}).start()
    password = tmp_path / "password"
    password.write_text("right\n")

    context = ssl.create_default_context(cafile=ca.cert)
    context.load_cert_chain(client.cert, client.key)
    member = etcd.members[0]
    member.context = context
    eventually(member.is_ready, 30, what="etcd is ready")
    member.ask("/v3/auth/user/add", name="root", password="right")
    member.ask("/v3/auth/role/add", name="root")
    member.ask("/v3/auth/user/grant", user="root", role="root")
    member.ask("/v3/auth/enable")
    identity = f'certificate = "{client.cert}"\nkey = "{client.key}"\n'
    user = f'user = "root"\npassword_file = "{password}"\n'

    def fails(extra):
        node = Nodes(tmp_path / "nodes", etcd, "/tls", extra).node("fails")
        node.launch()
        assert node.process.wait(60) == 2
        return node.stderr()

    try:
        assert "need the CA" in fails("")
        assert "UnknownIssuer" in fails(f'ca = "{pki.ca("another-ca").cert}"\n{identity}{user}')
        assert "etcd" in fails(f'ca = "{ca.cert}"\n{user}'), "no certificate is shown"
        assert "refuses" in fails(f'ca = "{ca.cert}"\n{identity}')
        assert "CommonName" in fails(f'ca = "{ca.cert}"\ncertificate = "{named.cert}"\nkey = "{named.key}"\n{user}')
        nodes = Nodes(tmp_path / "nodes", etcd, "/tls", f'ca = "{ca.cert}"\n{identity}{user}')
        node = nodes.node("one").start()
        node.client("logs").create_log_group(logGroupName="/over/tls")
        assert nodes_of(node) == {"one": health(node)["revision"]}
        node.stop()
    finally:
        etcd.close()
