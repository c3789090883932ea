"""Certificates that are revoked: by lists in S3 and files, by lists and responders that certificates name."""

import concurrent.futures
import contextlib
import time
import urllib.request
import zlib

import botocore.exceptions
import pytest

from authority import Authority, DistributionPoint, Responder, free_port
from crowd import Crowd
from gateway import Gateway, assert_alerted, assert_refused
from raw import connect, context, read_to_end
from server import Server, error_code, error_message, eventually
from test_open_connections import ask


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The directory of `file:NAME`."""
    return tmp_path_factory.mktemp("files")


@pytest.fixture(scope="module")
def server(tmp_path_factory, files):
    base = tmp_path_factory.mktemp("server")
    config = base / "countersign.toml"
    config.write_text(f'[revocation]\nallow = ["127.0.0.1"]\ndirectory = "{files}"\n')
    started = Server(base, "--config", config).start()
    yield started
    started.stop()


@pytest.fixture
def unique(request):
    return f"revoked{zlib.crc32(request.node.name.encode())}"


@pytest.fixture
def ca(pki, unique):
    return Authority(pki, unique)


@pytest.fixture
def point():
    serving = DistributionPoint()
    yield serving
    serving.close()


@pytest.fixture
def domain(server, backend, ca, unique):
    return Domain(server, backend, f"{unique}.yourcompany.com", ca.pem).create()


class Domain(Gateway):
    """A gateway whose tags a test sets as it goes."""

    def put_crl(self, pem, key="crl.pem"):
        return self.s3.put_object(Bucket=self.bucket, Key=key, Body=pem)["VersionId"]

    @property
    def crl_uri(self):
        return f"s3://{self.bucket}/crl.pem"

    def tag(self, **tags):
        """`fetch="crl"` for `countersign:revocation-fetch`, and so on; `crl` and `crl_version` for those of the list."""
        names = {name: "revocation-" + name.replace("_", "-") for name in ("fetch", "scope", "on_missing", "on_stale")}
        tags = {"countersign:" + names.get(name, name.replace("_", "-")): value for name, value in tags.items()}
        self.api.tag_resource(ResourceArn=self.arn, Tags=tags)
        self.wait_available()

    @property
    def arn(self):
        return self.api.get_domain_name(DomainName=self.domain)["DomainNameArn"]

    def warnings(self):
        return self.api.get_domain_name(DomainName=self.domain)["MutualTlsAuthentication"].get("TruststoreWarnings", [])

    def reason(self, answer):
        """What `explain` says of a refused request."""
        return eventually(lambda: self.server.command("explain", answer.headers["apigw-requestid"], check=False).stdout)


def test_a_list_in_s3(domain, ca, backend):
    good, bad = ca.issue("good"), ca.issue("bad")
    ca.revoke(bad)
    domain.put_crl(ca.crl())
    assert domain.curl(identity=bad).status == 200, "nothing is checked before it is switched on"
    domain.tag(crl=domain.crl_uri)

    assert domain.curl(identity=good).status == 200
    backend.clear()
    answer = domain.curl(identity=bad)
    assert_refused(answer)
    assert backend.seen == []
    said = domain.reason(answer)
    assert "ClientCertCrlHit" in said and "keyCompromise" in said, said

    # Taken back: whoever is not on the newest list is let in again, at once.
    ca.reinstate(bad)
    domain.put_crl(ca.crl())
    assert domain.curl(identity=bad).status == 200


def test_an_older_list_takes_nothing_back(domain, ca):
    """Who may write the object only must not let a revoked client in again by putting yesterday's list there."""
    bad = ca.issue("bad")
    now = time.time()
    stamp = lambda seconds: time.strftime("%Y%m%d%H%M%SZ", time.gmtime(now + seconds))
    yesterday = ca.crl(last=(stamp(-86_400), stamp(86_400)))
    ca.revoke(bad)
    domain.put_crl(ca.crl())
    domain.tag(crl=domain.crl_uri)
    assert_refused(domain.curl(identity=bad))

    older = domain.put_crl(yesterday)
    assert_refused(domain.curl(identity=bad))
    assert any(older in warning and "older" in warning for warning in domain.warnings()), domain.warnings()
    eventually(lambda: f"was replaced by an older one: {domain.crl_uri}" in domain.server.stderr(), what="a line on stderr")

    domain.tag(crl=domain.crl_uri, crl_version=older)
    assert domain.curl(identity=bad).status == 200, "pinned, it is meant"


def test_a_new_version_ends_open_connections_within_a_second(domain, ca):
    staying, leaving = ca.issue("staying"), ca.issue("leaving")
    domain.put_crl(ca.crl())
    domain.tag(crl=domain.crl_uri)
    using = context(leaving, "http/1.1")
    with connect(domain.server, domain.domain, using=using, timeout_s=5) as gone, \
            connect(domain.server, domain.domain, staying) as stays:
        assert ask(gone, domain.domain) == 200 and ask(stays, domain.domain) == 200
        session = gone.session
        ca.revoke(leaving)
        crl = ca.crl()
        since = time.monotonic()
        domain.put_crl(crl)
        read_to_end(gone)
        took = time.monotonic() - since
        print(f"closed {took:.3f} s after the list was put")
        assert took < 1
        assert ask(stays, domain.domain) == 200
    with connect(domain.server, domain.domain, using=using, session=session) as resumed:
        assert resumed.session_reused
        assert ask(resumed, domain.domain) == 403


def test_200_connections_of_which_100_are_revoked(domain, ca, backend):
    leaving, staying = ca.issue("leaving"), ca.issue("staying")
    domain.put_crl(ca.crl())
    domain.tag(crl=domain.crl_uri)
    with contextlib.closing(Crowd(domain, leaving, staying)) as crowd:
        crowd.settle()
        ca.revoke(leaving)
        crl = ca.crl()
        since_asked, since_answered = crowd.change(lambda: domain.put_crl(crl))
        print(f"ended {min(since_asked):.3f} to {max(since_asked):.3f} s after the list was put")
        assert max(since_answered) < 1
        crowd.assert_staying_unharmed(backend)


def test_a_pinned_list_stays(domain, ca):
    client = ca.issue("client")
    version = domain.put_crl(ca.crl())
    domain.tag(crl=domain.crl_uri, crl_version=version)
    ca.revoke(client)
    newer = domain.put_crl(ca.crl())
    assert domain.curl(identity=client).status == 200
    domain.tag(crl_version=newer)
    assert_refused(domain.curl(identity=client))


def test_a_broken_version_changes_nothing_and_is_told(domain, ca):
    good, bad = ca.issue("good"), ca.issue("bad")
    ca.revoke(bad)
    domain.put_crl(ca.crl())
    domain.tag(crl=domain.crl_uri)
    broken = domain.put_crl("no list at all")
    assert domain.curl(identity=good).status == 200
    assert_refused(domain.curl(identity=bad))
    assert any(broken in warning and domain.crl_uri in warning for warning in domain.warnings()), domain.warnings()
    eventually(lambda: broken in domain.server.stderr(), what="a line on stderr")
    domain.put_crl(ca.crl())
    assert not any(domain.crl_uri in warning for warning in domain.warnings())


@pytest.mark.parametrize("content, said", [
    (None, "Unable to access revocation list URI"),
    ("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", "Invalid revocation list"),
    ("", "Invalid revocation list"),
])
def test_a_bad_list_is_a_clear_error(domain, content, said):
    if content is not None:
        domain.put_crl(content)
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        domain.tag(crl=domain.crl_uri)
    assert error_code(caught) == "BadRequestException"
    assert said in error_message(caught) and domain.crl_uri in error_message(caught), error_message(caught)


@pytest.mark.parametrize("on_stale, status", [("deny", 403), ("allow", 200)])
def test_a_list_that_is_out_of_date(domain, ca, on_stale, status):
    good, bad = ca.issue("good"), ca.issue("bad")
    ca.revoke(bad)
    domain.put_crl(ca.stale_crl())
    domain.tag(crl=domain.crl_uri, on_stale=on_stale)
    assert domain.curl(identity=good).status == status
    assert_refused(domain.curl(identity=bad))
    assert any("out of date" in warning for warning in domain.warnings()), domain.warnings()


@pytest.mark.parametrize("on_missing, status", [("deny", 403), ("allow", 200)])
def test_no_list_of_the_issuer(domain, pki, ca, unique, on_missing, status):
    other = Authority(pki, f"{unique}-other")
    domain.put_crl(other.crl())
    domain.tag(crl=domain.crl_uri, on_missing=on_missing)
    answer = domain.curl(identity=ca.issue("client"))
    assert answer.status == status
    warned = any("will be refused" in warning and ca.name in warning for warning in domain.warnings())
    assert warned == (on_missing == "deny"), domain.warnings()
    if status == 403:
        assert "ClientCertCrlProcessingError" in domain.reason(answer)


@pytest.mark.parametrize("scope, status", [("chain", 403), ("leaf", 200)])
def test_a_revoked_intermediate(server, backend, ca, unique, scope, status):
    below = ca.intermediate("below")
    client = below.issue("client")
    domain = Domain(server, backend, f"{unique}.yourcompany.com", ca.pem + below.pem).create()
    ca.revoke(below.identity)
    domain.put_crl(ca.crl() + below.crl())
    domain.tag(crl=domain.crl_uri, scope=scope)
    assert domain.curl(identity=client).status == status


def test_an_alert_says_so(domain, ca):
    good, bad = ca.issue("good"), ca.issue("bad")
    ca.revoke(bad)
    domain.put_crl(ca.crl())
    domain.tag(crl=domain.crl_uri, rejection="alert")
    assert domain.curl(identity=good).status == 200
    assert_alerted(domain.curl("/orders", bad, "--verbose"), "certificate revoked")


def test_a_list_in_a_file(domain, ca, files):
    client = ca.issue("client")
    name = f"{ca.name}.crl"
    (files / name).write_text(ca.crl())
    domain.tag(crl=f"file:{name}")
    assert domain.curl(identity=client).status == 200
    ca.revoke(client)
    with connect(domain.server, domain.domain, client, timeout_s=5) as connection:
        assert ask(connection, domain.domain) == 200
        (files / name).write_text(ca.crl())
        read_to_end(connection)
    assert_refused(domain.curl(identity=client))


@pytest.mark.parametrize("uri", ["file:../secret", "file:/etc/passwd", "file:absent.crl", "file:."])
def test_files_of_one_directory_only(domain, uri):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        domain.tag(crl=uri)
    assert error_code(caught) == "BadRequestException"


def test_lists_that_certificates_name(domain, ca, point, backend):
    ca.name_in_clients(f"crlDistributionPoints = URI:{point.url('/ca.crl')}")
    good, bad = ca.issue("good"), ca.issue("bad")
    ca.revoke(bad)
    point.put("/ca.crl", ca.crl())
    domain.tag(fetch="crl")
    assert domain.curl(identity=good).status == 200
    answer = domain.curl(identity=bad)
    assert_refused(answer)
    assert "ClientCertCrlHit" in domain.reason(answer)
    assert point.asked == ["/ca.crl"], "fetched once, whoever asks"


def test_a_fetched_list_is_refreshed_and_ends_open_connections(domain, ca, point):
    ca.name_in_clients(f"crlDistributionPoints = URI:{point.url('/ca.crl')}")
    staying, leaving = ca.issue("staying"), ca.issue("leaving")
    point.put("/ca.crl", ca.crl(seconds=6))
    domain.tag(fetch="crl")
    with connect(domain.server, domain.domain, leaving, timeout_s=20) as gone, connect(domain.server, domain.domain, staying) as stays:
        assert ask(gone, domain.domain) == 200 and ask(stays, domain.domain) == 200
        ca.revoke(leaving)
        point.put("/ca.crl", ca.crl())
        read_to_end(gone)
        assert ask(stays, domain.domain) == 200


def test_a_list_of_half_a_million(domain, ca):
    good, bad = ca.issue("good"), ca.issue("bad")
    ca.revoke(bad)
    domain.put_crl(ca.crl())
    domain.tag(crl=domain.crl_uri)
    before = domain.server.memory_kib()
    large = ca.large_crl(500_000)
    since = time.monotonic()
    domain.put_crl(large)
    domain.wait_available()
    print(f"a list of {len(large)} bytes is enforced {time.monotonic() - since:.2f} s after it was put; "
          f"memory grew by {domain.server.memory_kib() - before} KiB")
    assert domain.curl(identity=good).status == 200
    assert_refused(domain.curl(identity=bad))


def test_many_wait_for_one_fetch(domain, ca, point):
    ca.name_in_clients(f"crlDistributionPoints = URI:{point.url('/ca.crl')}")
    clients = [ca.issue(f"client{n}") for n in range(10)]
    point.put("/ca.crl", ca.crl())
    point.gate.clear()
    domain.tag(fetch="crl")
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        answers = [pool.submit(domain.curl, identity=client) for client in clients]
        eventually(lambda: point.asked)
        point.gate.set()
        assert [answer.result().status for answer in answers] == [200] * 10
    assert point.asked == ["/ca.crl"]


def test_nobody_is_asked_for_strangers(domain, pki, point, unique):
    """A certificate of a CA that is not trusted makes nobody fetch anything."""
    stranger = Authority(pki, f"{unique}-stranger", named=f"crlDistributionPoints = URI:{point.url('/x.crl')}").issue("client")
    domain.tag(fetch="ocsp+crl")
    assert_refused(domain.curl(identity=stranger))
    assert point.asked == []


def test_addresses_that_are_not_listed(domain, ca):
    near = DistributionPoint("127.0.0.2")
    ca.name_in_clients(f"crlDistributionPoints = URI:{near.url('/ca.crl')}")
    client = ca.issue("client")
    near.put("/ca.crl", ca.crl())
    domain.tag(fetch="crl")
    answer = domain.curl(identity=client)
    assert_refused(answer)
    assert "127.0.0.2, which is not a public address" in domain.reason(answer)
    assert near.asked == []
    near.close()


def test_a_redirect_to_an_address_that_is_not_listed(domain, ca, point):
    near = DistributionPoint("127.0.0.2")
    ca.name_in_clients(f"crlDistributionPoints = URI:{point.url('/ca.crl')}")
    client = ca.issue("client")
    near.put("/ca.crl", ca.crl())
    point.redirects["/ca.crl"] = near.url("/ca.crl")
    domain.tag(fetch="crl")
    assert_refused(domain.curl(identity=client))
    assert point.asked == ["/ca.crl"] and near.asked == []
    near.close()


@pytest.mark.parametrize("on_missing, status", [("deny", 403), ("allow", 200)])
def test_a_distribution_point_that_does_not_answer(domain, ca, point, on_missing, status):
    ca.name_in_clients(f"crlDistributionPoints = URI:{point.url('/ca.crl')}")
    client = ca.issue("client")
    point.put("/ca.crl", ca.crl())
    point.gate.clear()
    domain.tag(fetch="crl", on_missing=on_missing)
    since = time.monotonic()
    assert domain.curl(identity=client).status == status
    took = time.monotonic() - since
    assert 1.5 < took < 4, took
    point.gate.set()
    eventually(lambda: domain.curl(identity=client).status == 200)


@pytest.mark.parametrize("rejection", ["respond", "alert"])
def test_a_responder(domain, ca, rejection):
    port = free_port()
    ca.name_in_clients(f"authorityInfoAccess = OCSP;URI:http://127.0.0.1:{port}/")
    good, bad = ca.issue("good"), ca.issue("bad")
    ca.revoke(bad)
    with contextlib.closing(Responder(ca, port)):
        domain.tag(fetch="ocsp", rejection=rejection)
        assert domain.curl(identity=good).status == 200
        answer = domain.curl(identity=bad)
        if rejection == "respond":
            assert_refused(answer)
            said = domain.reason(answer)
            assert "ClientCertCrlHit" in said, said
        else:
            assert answer.status == 0 and "HTTP" not in answer.body, "closed without HTTP"


def test_the_list_where_the_responder_is_down(domain, ca, point):
    ca.name_in_clients(f"authorityInfoAccess = OCSP;URI:http://127.0.0.1:{free_port()}/\n"
                       f"crlDistributionPoints = URI:{point.url('/ca.crl')}")
    good, bad = ca.issue("good"), ca.issue("bad")
    ca.revoke(bad)
    point.put("/ca.crl", ca.crl())
    domain.tag(fetch="ocsp+crl")
    assert domain.curl(identity=good).status == 200
    assert_refused(domain.curl(identity=bad))


def test_a_restart_needs_no_distribution_point(start_server, backend, ca, unique, point, tmp_path):
    ca.name_in_clients(f"crlDistributionPoints = URI:{point.url('/ca.crl')}")
    good, bad = ca.issue("good"), ca.issue("bad")
    ca.revoke(bad)
    point.put("/ca.crl", ca.crl())
    config = tmp_path / "countersign.toml"
    config.write_text('[revocation]\nallow = ["127.0.0.1"]\n')
    first = start_server("--config", config)
    domain = Domain(first, backend, f"{unique}.yourcompany.com", ca.pem).create()
    domain.tag(fetch="crl")
    assert domain.curl(identity=good).status == 200
    kept = list((first.data_dir / "revocation").iterdir())
    assert len(kept) == 1 and kept[0].stat().st_mode & 0o777 == 0o600
    first.stop()
    point.files.clear()
    point.asked.clear()
    domain.server = start_server("--config", config, data_dir=first.data_dir)
    for _ in range(2):
        assert domain.curl(identity=good).status == 200
        assert_refused(domain.curl(identity=bad))
        # What was kept may be old: it is asked for again at once, and nobody waits for that.
        eventually(lambda: point.asked, what="the list asked for again")


def test_what_is_kept_is_checked_again(start_server, backend, ca, pki, unique, point, tmp_path):
    """Whoever can write into the directory takes something away, and adds nothing."""
    ca.name_in_clients(f"crlDistributionPoints = URI:{point.url('/ca.crl')}")
    client = ca.issue("client")
    ca.revoke(client)
    point.put("/ca.crl", ca.crl())
    config = tmp_path / "countersign.toml"
    config.write_text('[revocation]\nallow = ["127.0.0.1"]\n')
    first = start_server("--config", config)
    domain = Domain(first, backend, f"{unique}.yourcompany.com", ca.pem).create()
    domain.tag(fetch="crl")
    assert_refused(domain.curl(identity=client))
    first.stop()
    [kept] = (first.data_dir / "revocation").iterdir()
    kept.write_text(Authority(pki, f"{unique}-forger").crl())
    domain.server = start_server("--config", config, data_dir=first.data_dir)
    point.asked.clear()
    assert_refused(domain.curl(identity=client))
    assert point.asked == ["/ca.crl"]


def test_metrics(domain, ca):
    domain.put_crl(ca.crl(seconds=1000))
    domain.tag(crl=domain.crl_uri)
    with urllib.request.urlopen(f"{domain.server.control}/_countersign/metrics", timeout=10) as answer:
        lines = [line for line in answer.read().decode().splitlines() if f'domain="{domain.domain}"' in line]
    age = next(line for line in lines if line.startswith("countersign_crl_age_seconds"))
    ends = next(line for line in lines if line.startswith("countersign_crl_next_update_seconds"))
    assert 0 <= float(age.split()[-1]) < 100 and 900 < float(ends.split()[-1]) <= 1000
