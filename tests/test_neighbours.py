"""What goes wrong with one domain, or with the configuration file, is nobody else's affair: requests and connections of others go on."""

import signal
import threading

import botocore.exceptions
import pytest

from gateway import Gateway
from server import error_code, eventually
from test_drain import Load


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "countersign.toml"
    path.write_text("")
    return path


@pytest.fixture
def gateway(start_server, backend, pki, config):
    server = start_server("--config", config)
    return Gateway(server, backend, "good.yourcompany.com", pki.ca().pem).create()


@pytest.fixture
def load(gateway, pki):
    """Clients of the good domain, each on one connection that nothing may end."""
    stop = threading.Event()
    clients = [Load(gateway, pki.client(), stop) for _ in range(3)]
    for client in clients:
        client.start()
    eventually(lambda: all(client.answered for client in clients))
    yield clients
    stop.set()
    for client in clients:
        client.join(20)
    assert [client.failures for client in clients] == [[]] * len(clients)
    assert all(client.connections == 1 for client in clients)


def goes_on(load):
    """Each of them is answered after this."""
    before = [client.answered for client in load]
    eventually(lambda: all(client.answered > was or client.failures for client, was in zip(load, before)))


def test_a_broken_domain_hurts_no_other(gateway, load, pki, backend):
    bad = Gateway(gateway.server, backend, "bad.yourcompany.com", pki.ca().pem).create()

    def update(**changes):
        bad.api.update_domain_name(
            DomainName=bad.domain, DomainNameConfigurations=[bad.configuration()],
            MutualTlsAuthentication={"TruststoreUri": bad.truststore_uri} | changes)

    for garbage in (b"garbage", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        version = bad.put_truststore(garbage)
        with pytest.raises(botocore.exceptions.ClientError) as refused:
            update(TruststoreVersion=version)
        assert error_code(refused) == "BadRequestException"
        goes_on(load)
    # A truststore that trusts none of its clients, tags that mean nothing, a list that is none.
    update(TruststoreVersion=bad.put_truststore(pki.ca("nobodys-ca").pem))
    arn = f"arn:aws:apigateway:us-east-1::/domainnames/{bad.domain}"
    bad.s3.put_object(Bucket=bad.bucket, Key="list.crl", Body=b"garbage")
    for tags in ({"countersign:nonsense": "1"}, {"countersign:crl": f"s3://{bad.bucket}/list.crl"},
                 {"countersign:crl": "s3://no-such-bucket/list.crl"}):
        with pytest.raises(botocore.exceptions.ClientError):
            bad.api.tag_resource(ResourceArn=arn, Tags=tags)
    goes_on(load)
    # What it was made of goes, version by version; then what it leads to, and the domain itself.
    for version in bad.s3.list_object_versions(Bucket=bad.bucket)["Versions"]:
        bad.s3.delete_object(Bucket=bad.bucket, Key=version["Key"], VersionId=version["VersionId"])
    bad.s3.delete_bucket(Bucket=bad.bucket)
    assert bad.curl("/orders", pki.client()).status == 403
    goes_on(load)
    for integration in bad.api.get_integrations(ApiId=bad.api_id)["Items"]:
        bad.api.update_integration(
            ApiId=bad.api_id, IntegrationId=integration["IntegrationId"], IntegrationUri="http://127.0.0.1:1/{proxy}")
    goes_on(load)
    for mapping in bad.api.get_api_mappings(DomainName=bad.domain)["Items"]:
        bad.api.delete_api_mapping(DomainName=bad.domain, ApiMappingId=mapping["ApiMappingId"])
    bad.api.delete_api(ApiId=bad.api_id)
    bad.api.delete_domain_name(DomainName=bad.domain)
    goes_on(load)


def test_a_configuration_that_is_read_again_ends_no_connection(gateway, load, config):
    server = gateway.server
    for text, said in (
        ("rejektion = 1\n", "unknown field `rejektion`"),
        ("[limits]\nconnections = 0\n", "it has to be 1 at least"),
        ("rejection = \"alert\"\ndrain_delay_seconds = 1\n[limits]\nidle_timeout_seconds = 30\n", "configuration read again"),
        ("region = \"eu-west-1\"\n", "waits for a restart: region"),
        ("drain_delay_seconds = 0\n", "configuration read again"),
    ):
        known = server.stderr().count(said)
        config.write_text(text)
        server.process.send_signal(signal.SIGHUP)
        eventually(lambda: server.stderr().count(said) > known, what=said)
        goes_on(load)
    # What could not be read has changed nothing.
    assert server.stderr().count("the configuration stays as it was") == 2
