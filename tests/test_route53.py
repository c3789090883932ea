"""Route 53 by its clients, and the DNS responder by dig and curl."""

import json
import subprocess
import uuid

import botocore.exceptions
import pytest

from gateway import Gateway
from server import Server, error_code, error_message, eventually

ROUTE_53_ZONE_OF_DOMAINS = "Z1UJRXOUMOOFQ8"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server with a responder on a free port."""
    base = tmp_path_factory.mktemp("dns")
    (base / "countersign.toml").write_text('[dns]\nlisten = "127.0.0.1:0"\naddresses = ["127.0.0.1", "::1"]\n')
    started = Server(base, "--config", base / "countersign.toml").start()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def route53(server):
    return server.client("route53")


@pytest.fixture
def zone(route53):
    """The id of a hosted zone of a name of its own, and the name."""
    name = f"{uuid.uuid4().hex[:12]}.example"
    made = route53.create_hosted_zone(Name=name, CallerReference=name)
    return made["HostedZone"]["Id"], name


def record(action, name, kind, *values, ttl=300):
    values = [{"Value": value} for value in values]
    return {"Action": action, "ResourceRecordSet": {"Name": name, "Type": kind, "TTL": ttl, "ResourceRecords": values}}


def change(route53, zone_id, *changes, **more):
    return route53.change_resource_record_sets(HostedZoneId=zone_id, ChangeBatch={"Changes": list(changes), **more})["ChangeInfo"]


def refused(call, **input):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**input)
    return error_code(caught), error_message(caught)


def dig(server, *args):
    """What dig prints of the responder."""
    run = json.loads((server.data_dir / "run.json").read_text())
    host, _, port = run["dns"].rpartition(":")
    command = ["dig", f"@{host}", "-p", port, "+tries=3", "+time=5", *args]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def short(server, *args):
    return sorted(dig(server, "+short", *args).splitlines())


def test_a_zone_from_its_making_to_its_end(route53):
    reference = str(uuid.uuid4())
    made = route53.create_hosted_zone(Name="Life.Example", CallerReference=reference, HostedZoneConfig={"Comment": "a & b"})
    zone_id = made["HostedZone"]["Id"]
    assert zone_id.startswith("/hostedzone/Z") and made["HostedZone"]["Name"] == "life.example."
    assert made["Location"].endswith(zone_id.removeprefix("/hostedzone")) and made["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert len(made["DelegationSet"]["NameServers"]) == 4
    again = refused(route53.create_hosted_zone, Name="other.example", CallerReference=reference)
    assert again == ("HostedZoneAlreadyExists", "A hosted zone has already been created with the specified caller reference.")

    got = route53.get_hosted_zone(Id=zone_id)
    assert got["HostedZone"] == made["HostedZone"] and got["HostedZone"]["ResourceRecordSetCount"] == 2
    assert got["HostedZone"]["Config"] == {"Comment": "a & b", "PrivateZone": False}
    assert route53.update_hosted_zone_comment(Id=zone_id, Comment="new")["HostedZone"]["Config"]["Comment"] == "new"
    assert "Comment" not in route53.update_hosted_zone_comment(Id=zone_id)["HostedZone"]["Config"]

    change(route53, zone_id, record("CREATE", "a.life.example", "A", "192.0.2.1"))
    code, message = refused(route53.delete_hosted_zone, Id=zone_id)
    assert code == "HostedZoneNotEmpty" and "non-required resource record sets" in message
    change(route53, zone_id, record("DELETE", "a.life.example.", "A", "192.0.2.1"))
    info = route53.delete_hosted_zone(Id=zone_id)["ChangeInfo"]
    assert route53.get_change(Id=info["Id"])["ChangeInfo"]["Id"] == info["Id"]
    assert refused(route53.get_hosted_zone, Id=zone_id)[0] == "NoSuchHostedZone"


def test_changes_are_all_or_nothing(route53, zone):
    zone_id, name = zone
    code, message = refused(
        route53.change_resource_record_sets, HostedZoneId=zone_id,
        ChangeBatch={"Changes": [record("CREATE", f"a.{name}", "A", "192.0.2.1"), record("CREATE", f"b.{name}", "A", "no")]})
    assert code == "InvalidChangeBatch" and message.startswith("[Invalid Resource Record: 'FATAL problem: ARRDATAIllegalIPv4Address")
    assert len(route53.list_resource_record_sets(HostedZoneId=zone_id)["ResourceRecordSets"]) == 2
    info = change(route53, zone_id, record("UPSERT", f"a.{name}", "A", "192.0.2.1"), Comment="why")
    assert info["Comment"] == "why" and info["Status"] in ("PENDING", "INSYNC")
    route53.get_waiter("resource_record_sets_changed").wait(Id=info["Id"], WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    code, message = refused(
        route53.change_resource_record_sets, HostedZoneId=zone_id,
        ChangeBatch={"Changes": [record("CREATE", f"a.{name}", "A", "192.0.2.1")]})
    assert message == f"[Tried to create resource record set [name='a.{name}.', type='A'] but it already exists]"


def test_lists_have_order_and_pages(route53, zone):
    zone_id, name = zone
    names = [f"{host}.{name}" for host in ("z", "a", "b.a", "*")]
    change(route53, zone_id, *[record("CREATE", one, "A", "192.0.2.1") for one in names])
    pages = route53.get_paginator("list_resource_record_sets").paginate(HostedZoneId=zone_id, PaginationConfig={"PageSize": 2})
    listed = [(r["Name"], r["Type"]) for page in pages for r in page["ResourceRecordSets"]]
    assert listed == [(f"{name}.", "NS"), (f"{name}.", "SOA"), (f"\\052.{name}.", "A"), (f"a.{name}.", "A"), (f"b.a.{name}.", "A"), (f"z.{name}.", "A")]
    one = route53.list_resource_record_sets(HostedZoneId=zone_id, StartRecordName=f"b.a.{name}", StartRecordType="A", MaxItems="1")
    assert one["ResourceRecordSets"][0]["Name"] == f"b.a.{name}." and one["NextRecordName"] == f"z.{name}."
    zones = route53.get_paginator("list_hosted_zones").paginate(PaginationConfig={"PageSize": 1})
    ids = [z["Id"] for page in zones for z in page["HostedZones"]]
    assert zone_id in ids and len(ids) == len(set(ids)) == route53.get_hosted_zone_count()["HostedZoneCount"]
    by_name = route53.list_hosted_zones_by_name(DNSName=name, MaxItems="1")
    assert by_name["HostedZones"][0]["Id"] == zone_id and by_name["DNSName"] == name


def test_tags(route53, zone):
    zone_id = zone[0].removeprefix("/hostedzone/")
    route53.change_tags_for_resource(
        ResourceType="hostedzone", ResourceId=zone_id, AddTags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    route53.change_tags_for_resource(ResourceType="hostedzone", ResourceId=zone_id, RemoveTagKeys=["a"])
    tags = route53.list_tags_for_resource(ResourceType="hostedzone", ResourceId=zone_id)["ResourceTagSet"]
    assert tags == {"ResourceType": "hostedzone", "ResourceId": zone_id, "Tags": [{"Key": "b", "Value": "2"}]}
    both = route53.list_tags_for_resources(ResourceType="hostedzone", ResourceIds=[zone_id])["ResourceTagSets"]
    assert both == [tags]
    assert refused(route53.list_tags_for_resource, ResourceType="healthcheck", ResourceId="x")[0] == "NoSuchHealthCheck"


def test_what_is_not_here_is_refused(route53, zone):
    zone_id, name = zone
    weighted = record("CREATE", name, "A", "192.0.2.1")
    weighted["ResourceRecordSet"] |= {"Weight": 1, "SetIdentifier": "x"}
    code, message = refused(route53.change_resource_record_sets, HostedZoneId=zone_id, ChangeBatch={"Changes": [weighted]})
    assert code == "InvalidInput" and "simple routing only" in message
    vpc = {"VPCRegion": "us-east-1", "VPCId": "vpc-1"}
    assert refused(route53.create_hosted_zone, Name=name, CallerReference="vpc", VPC=vpc)[0] == "InvalidVPCId"
    assert refused(route53.list_health_checks)[0] == "UnknownOperation"
    assert route53.get_dnssec(HostedZoneId=zone_id)["Status"]["ServeSignature"] == "NOT_SIGNING"


def test_as_terraform_does_it(route53):
    """The calls of aws_route53_zone and aws_route53_record, in their order and with what they send (terraform-provider-aws 6)."""
    zone = route53.create_hosted_zone(
        Name="tf.example", CallerReference="terraform-20261130", HostedZoneConfig={"Comment": "Managed by Terraform"})
    zone_id = zone["HostedZone"]["Id"].removeprefix("/hostedzone/")
    eventually(lambda: route53.get_change(Id=zone["ChangeInfo"]["Id"].removeprefix("/change/"))["ChangeInfo"]["Status"] == "INSYNC")
    route53.change_tags_for_resource(ResourceType="hostedzone", ResourceId=zone_id, AddTags=[{"Key": "Name", "Value": "tf"}])
    got = route53.get_hosted_zone(Id=zone_id)
    assert got["HostedZone"]["Name"] == "tf.example." and len(got["DelegationSet"]["NameServers"]) == 4
    soa = route53.list_resource_record_sets(HostedZoneId=zone_id, StartRecordName="tf.example.", StartRecordType="NS", MaxItems="1")
    assert soa["ResourceRecordSets"][0]["Type"] == "NS"
    for action in ("CREATE", "UPSERT"):
        info = change(route53, zone_id, record(action, "_x.tf.example", "TXT", '"v=spf1 -all"', ttl=60), Comment="Managed by Terraform")
        eventually(lambda: route53.get_change(Id=info["Id"])["ChangeInfo"]["Status"] == "INSYNC")
    read = route53.list_resource_record_sets(HostedZoneId=zone_id, StartRecordName="_x.tf.example.", StartRecordType="TXT", MaxItems="1")
    assert read["ResourceRecordSets"][0]["ResourceRecords"] == [{"Value": '"v=spf1 -all"'}]
    # force_destroy
    assert route53.get_dnssec(HostedZoneId=zone_id)["KeySigningKeys"] == []
    change(route53, zone_id, record("DELETE", "_x.tf.example.", "TXT", '"v=spf1 -all"', ttl=60))
    route53.delete_hosted_zone(Id=zone_id)


def test_through_the_cli(aws):
    name = f"cli-{uuid.uuid4().hex[:8]}.example"
    made = aws("route53", "create-hosted-zone", "--name", name, "--caller-reference", name)
    zone_id = made["HostedZone"]["Id"]
    batch = json.dumps({"Changes": [record("CREATE", f"www.{name}", "CNAME", name)]})
    info = aws("route53", "change-resource-record-sets", "--hosted-zone-id", zone_id, "--change-batch", batch)["ChangeInfo"]
    aws("route53", "wait", "resource-record-sets-changed", "--id", info["Id"])
    listed = aws("route53", "list-resource-record-sets", "--hosted-zone-id", zone_id)["ResourceRecordSets"]
    assert [r["Type"] for r in listed] == ["NS", "SOA", "CNAME"]
    again = aws("route53", "change-resource-record-sets", "--hosted-zone-id", zone_id, "--change-batch", batch, check=False)
    assert "InvalidChangeBatch" in again.stderr and "but it already exists" in again.stderr


def test_the_responder_answers_for_the_zones(server, route53, zone):
    zone_id, name = zone
    info = change(
        route53, zone_id,
        record("CREATE", f"www.{name}", "CNAME", f"web.{name}."),
        record("CREATE", f"web.{name}", "A", "192.0.2.1", "192.0.2.2"),
        record("CREATE", f"web.{name}", "AAAA", "2001:db8::1"),
        record("CREATE", f"*.wild.{name}", "TXT", '"any \\"thing\\""'),
        record("CREATE", name, "MX", "10 mail.example.", "20 mail2.example."),
        record("CREATE", name, "CAA", '0 issue "ca.example"'),
        record("CREATE", f"_https._tcp.{name}", "SRV", f"1 2 443 web.{name}"),
        record("CREATE", f"svc.{name}", "HTTPS", '1 . alpn="h2"'))
    assert route53.get_change(Id=info["Id"])["ChangeInfo"]["Status"] == "INSYNC"
    assert short(server, f"www.{name}", "A") == ["192.0.2.1", "192.0.2.2", f"web.{name}."]
    assert short(server, f"WEB.{name}", "AAAA") == ["2001:db8::1"]
    assert short(server, f"x.y.wild.{name}", "TXT") == ['"any \\"thing\\""']
    assert short(server, name, "MX") == ["10 mail.example.", "20 mail2.example."]
    assert short(server, name, "CAA") == ['0 issue "ca.example"']
    assert short(server, f"_https._tcp.{name}", "SRV") == [f"1 2 443 web.{name}."]
    assert short(server, f"svc.{name}", "TYPE65")
    assert len(short(server, name, "NS")) == 4
    assert short(server, f"web.{name}", "A", "+tcp") == ["192.0.2.1", "192.0.2.2"]
    for question, flags in [
        ((f"no.{name}", "A"), "status: NXDOMAIN"),
        ((f"web.{name}", "TXT"), "status: NOERROR"),
        (("elsewhere.example.net", "A"), "status: REFUSED"),
        ((name, "AXFR"), "Transfer failed"),
        (("version.bind", "TXT", "CH"), "status: REFUSED"),
    ]:
        assert flags in dig(server, *question), question
    nothing = dig(server, f"no.{name}", "A")
    assert "SOA" in nothing and " aa " in nothing.replace(";", " ; ")


def test_long_answers_come_by_tcp(server, route53, zone):
    zone_id, name = zone
    change(route53, zone_id, record("CREATE", f"many.{name}", "A", *[f"192.0.2.{n}" for n in range(200)]))
    assert " tc" in dig(server, "+ignore", f"many.{name}", "A")
    assert len(short(server, f"many.{name}", "A")) == 200


def test_the_answer_that_route_53_would_give(route53, zone):
    zone_id, name = zone
    change(route53, zone_id, record("CREATE", f"a.{name}", "A", "192.0.2.1"))
    answer = route53.test_dns_answer(HostedZoneId=zone_id.removeprefix("/hostedzone/"), RecordName=f"a.{name}", RecordType="A")
    assert (answer["ResponseCode"], answer["RecordData"], answer["RecordName"]) == ("NOERROR", ["192.0.2.1"], f"a.{name}.")
    answer = route53.test_dns_answer(HostedZoneId=zone_id.removeprefix("/hostedzone/"), RecordName=f"b.{name}", RecordType="A")
    assert (answer["ResponseCode"], answer["RecordData"]) == ("NXDOMAIN", [])


def test_an_alias_leads_to_the_gateway(server, route53, backend, pki):
    """From the domain's own answer to a request that is let in, by what dig says and no hosts file."""
    name = f"api.{uuid.uuid4().hex[:8]}.example"
    gateway = Gateway(server, backend, name, pki.ca().pem).create()
    shown = server.client("apigatewayv2").get_domain_name(DomainName=name)["DomainNameConfigurations"][0]
    assert shown["HostedZoneId"] == ROUTE_53_ZONE_OF_DOMAINS
    zone_id = route53.create_hosted_zone(Name=name, CallerReference=name)["HostedZone"]["Id"]
    target = {"HostedZoneId": shown["HostedZoneId"], "DNSName": shown["ApiGatewayDomainName"], "EvaluateTargetHealth": False}
    change(route53, zone_id, *[
        {"Action": "CREATE", "ResourceRecordSet": {"Name": name, "Type": kind, "AliasTarget": target}} for kind in ("A", "AAAA")])
    assert short(server, name, "A") == ["127.0.0.1"] and short(server, name, "AAAA") == ["::1"]
    listed = route53.list_resource_record_sets(HostedZoneId=zone_id)["ResourceRecordSets"]
    assert [r.get("AliasTarget", {}).get("DNSName") for r in listed][0] == shown["ApiGatewayDomainName"] + "."
    client, port = pki.client("alias-client"), server.https_port
    command = ["curl", "--silent", "--show-error", "--resolve", f"{name}:{port}:{short(server, name, 'A')[0]}", "--cacert", server.ca_file]
    command += ["--cert", client.cert, "--key", client.key, f"https://{name}:{port}/orders"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=30)
    assert done.returncode == 0 and [r["path"] for r in [gateway.record(status="200")]], done.stderr


def test_zones_survive_a_restart(start_server, tmp_path):
    (tmp_path / "c.toml").write_text('[dns]\nlisten = "127.0.0.1:0"\n')
    server = start_server("--config", tmp_path / "c.toml")
    route53 = server.client("route53")
    zone_id = route53.create_hosted_zone(Name="kept.example", CallerReference="kept")["HostedZone"]["Id"]
    change(route53, zone_id, record("CREATE", "a.kept.example", "A", "192.0.2.1"))
    server.kill()
    server.start()
    assert short(server, "a.kept.example", "A") == ["192.0.2.1"]
