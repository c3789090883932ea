"""The Helm chart and the plain manifests: Helm renders and lints them, Kubernetes' schemas take them, the program its configuration."""

import platform
import re
import ssl
import tomllib
import urllib.request

import kubernetes_validate
import pytest
import yaml

from etcd import Etcd
from server import ROOT, eventually, run_binary

if platform.machine() != "x86_64":
    pytest.skip("helm-python-sdk is there for x86_64 only", allow_module_level=True)

import helm_python

from charts import CHART, DIST, PLAIN, plain, rendered, resources

ETCD = {"replicas": 3, "sealingKeySecret": "key", "etcd": {"endpoints": ["https://a:2379", "https://b:2379"], "secret": "etcd"}}
CONTROL = {"control": {"tlsSecret": "control-tls", "names": ["gate.example.com"]}}
EVERYTHING = ETCD | CONTROL | {
    "image": {"repository": "registry.example.com/countersign", "tag": "v1"},
    "imagePullSecrets": [{"name": "pull"}],
    "config": 'region = "eu-west-1"\n[limits]\nconnections = 10\n',
    "drain": {"delaySeconds": 20, "timeoutSeconds": 600},
    "proxyProtocol": {"from": ["10.0.0.0/8", "fd00::/8"]},
    "etcd": ETCD["etcd"] | {"clientCertificate": True, "user": "countersign", "prefix": "/gates"},
    "service": {"type": "NodePort", "nodePort": 30443, "externalTrafficPolicy": "Cluster", "annotations": {"a": "b"}},
    "persistence": {"storageClass": "fast", "size": "100Gi"},
    "networkPolicy": {"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "controlFrom": [{"podSelector": {}}]},
    "podAnnotations": {"c": "d"}, "nodeSelector": {"e": "f"}, "tolerations": [{"key": "g", "operator": "Exists"}],
    "affinity": {"podAntiAffinity": {}},
}
VARIANTS = {"defaults": {}, "etcd": ETCD, "control": CONTROL, "everything": EVERYTHING}
# The first with an `unhealthyPodEvictionPolicy`, and the newest that the schemas are there for.
KUBERNETES = ["1.27", kubernetes_validate.latest_version()]


def of(values, kind, name="countersign"):
    return resources(rendered(values))[kind, name]


def pod(values):
    return of(values, "StatefulSet")["spec"]["template"]["spec"]


def config(values):
    return of(values, "ConfigMap")["data"]["countersign.toml"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_helm_finds_nothing_wrong(variant):
    report = helm_python.lint(CHART, VARIANTS[variant], strict=True)
    assert report["errors"] == [] and report["total_charts_linted"] == 1
    assert [m for m in report["messages"] if m["severity"] > 1] == []


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_kubernetes_takes_what_is_rendered(variant, version):
    made = resources(rendered(VARIANTS[variant]))
    assert len(made) == {"defaults": 5, "etcd": 6, "control": 6, "everything": 7}[variant]
    for resource in made.values():
        kubernetes_validate.validate(resource, version, strict=True)


@pytest.mark.parametrize("file", PLAIN)
def test_the_plain_manifests_are_those_of_the_chart(file):
    text = (DIST / "kubernetes" / file).read_text()
    assert text == plain(file), "make them anew: python tests/charts.py"
    for resource in yaml.safe_load_all(text):
        kubernetes_validate.validate(resource, KUBERNETES[-1], strict=True)
    assert sorted(p.name for p in (DIST / "kubernetes").iterdir()) == sorted(PLAIN)


@pytest.mark.parametrize("values, said", [
    ({"replicas": 2}, "several replicas need etcd.endpoints"),
    ({"etcd": ETCD["etcd"]}, "set sealingKeySecret"),
    ({"sealingKeySecret": "key", "etcd": {"endpoints": ["http://a:2379"], "user": "u"}}, "need etcd.secret"),
    ({"replica": 2}, "replica"),
    ({"service": {"type": "ExternalName"}}, "type"),
    ({"etcd": {"endpoints": ['http://a"\nx = 1']}}, "endpoints"),
    ({"drain": {"delaySeconds": -1}}, "delaySeconds"),
])
def test_values_that_make_no_gateway_are_refused(values, said):
    with pytest.raises(helm_python.HelmError, match=re.escape(said)):
        with helm_python.Chart.load(CHART) as chart:
            chart.validate_schema(values)
        rendered(values)


@pytest.mark.parametrize("variant", ["defaults", "control"])
def test_the_program_takes_the_configuration(variant, pki, tmp_path, start_server):
    """As it is rendered, with a certificate where the secret would be."""
    identity = pki.server("control", "countersign-control.countersign.svc")
    (tmp_path / "tls.crt").write_bytes(identity.cert.read_bytes())
    (tmp_path / "tls.key").write_bytes(identity.key.read_bytes())
    text = config(VARIANTS[variant] | {"config": EVERYTHING["config"], "proxyProtocol": EVERYTHING["proxyProtocol"]})
    file = tmp_path / "countersign.toml"
    file.write_text(text.replace("/etc/countersign/control", str(tmp_path)))
    server = start_server("--config", file)
    assert server.control.startswith("https:" if variant == "control" else "http:")
    if variant == "control":
        # As the kubelet asks: by address, whatever the certificate says.
        probe = pod(CONTROL)["containers"][0]["readinessProbe"]["httpGet"]
        with urllib.request.urlopen(server.control + probe["path"], timeout=20, context=ssl._create_unverified_context()) as answer:
            assert answer.status == 200
    words = pod({})["containers"][0]["args"]
    assert words[0] == "up" and {word.partition("=")[0] for word in words[1:]} <= known_options()


def test_the_program_takes_the_configuration_of_many_nodes(tmp_path, start_server):
    etcd, nodes = Etcd().start(), []
    try:
        text = config(ETCD | {"etcd": {"endpoints": [etcd.members[0].endpoint], "secret": ""}})
        (tmp_path / "sealing.key").write_bytes(bytes(range(32)))
        (tmp_path / "countersign.toml").write_text(text.replace("/etc/countersign/sealing", str(tmp_path)))
        for number in range(2):
            nodes.append(start_server("--config", tmp_path / "countersign.toml", name=f"node-{number}-"))
        nodes[0].client("logs").create_log_group(logGroupName="/of/all")
        eventually(lambda: nodes[1].client("logs").describe_log_groups(logGroupNamePrefix="/of/all")["logGroups"], what="at the other node")
    finally:
        for node in nodes:
            node.stop()
        etcd.close()


def known_options():
    return set(re.findall(r"--[a-z-]+", run_binary("up", "--help").stdout))


def test_what_is_configured_is_what_was_said():
    assert tomllib.loads(config({})) == {"drain_delay_seconds": 10, "drain_timeout_seconds": 30}
    told = tomllib.loads(config(EVERYTHING))
    service = "countersign-control"
    assert told == {
        "drain_delay_seconds": 20, "drain_timeout_seconds": 600, "region": "eu-west-1", "limits": {"connections": 10},
        "proxy_protocol": {"from": ["10.0.0.0/8", "fd00::/8"]},
        "control_addr": "0.0.0.0:4566",
        "control": {
            "certificate": "/etc/countersign/control/tls.crt", "key": "/etc/countersign/control/tls.key",
            "names": [service, f"{service}.countersign", f"{service}.countersign.svc", f"{service}.countersign.svc.cluster.local", "gate.example.com"],
        },
        "sealing_key": {"file": "/etc/countersign/sealing/sealing.key"},
        "store": {
            "kind": "etcd", "endpoints": ["https://a:2379", "https://b:2379"], "prefix": "/gates", "ca": "/etc/countersign/etcd/ca.crt",
            "certificate": "/etc/countersign/etcd/tls.crt", "key": "/etc/countersign/etcd/tls.key",
            "user": "countersign", "password_file": "/etc/countersign/etcd/password",
        },
    }


def test_every_file_that_is_named_is_mounted():
    named = set(re.findall(r'"/etc/countersign/([^"]+)"', config(EVERYTHING))) | {"countersign.toml"}
    (volume,) = [v["projected"] for v in pod(EVERYTHING)["volumes"] if v["name"] == "config"]
    mounted = {item["path"] for source in volume["sources"] if "secret" in source for item in source["secret"]["items"]}
    assert mounted | {"countersign.toml"} == named


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_pod_may_do_nothing_but_serve(variant):
    spec = pod(VARIANTS[variant])
    (container,) = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"] and spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    assert spec["automountServiceAccountToken"] is False and "hostNetwork" not in spec
    assert container["resources"]["limits"]["memory"] and "cpu" not in container["resources"]["limits"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_pod_has_as_long_as_it_drains(variant):
    times = tomllib.loads(config(VARIANTS[variant]))
    grace = pod(VARIANTS[variant])["terminationGracePeriodSeconds"]
    assert grace > times["drain_delay_seconds"] + times["drain_timeout_seconds"]


def test_the_control_address_is_on_loopback_unless_it_has_a_certificate():
    (container,) = pod({})["containers"]
    assert [port["name"] for port in container["ports"]] == ["https"] and "control_addr" not in config({})
    assert container["readinessProbe"]["tcpSocket"] == {"port": "https"}
    (container,) = pod(CONTROL)["containers"]
    probe = container["readinessProbe"]["httpGet"]
    assert probe == {"path": "/_countersign/health", "port": "control", "scheme": "HTTPS"}
    assert f"GET {probe['path']}" in (ROOT / "docs/reference.md").read_text()
    ports = lambda values: [rule["ports"][0]["port"] for rule in of(values, "NetworkPolicy")["spec"]["ingress"]]
    assert ports(CONTROL) == ["https"], "the kubelet comes in all the same, and nobody else"
    assert ports(EVERYTHING) == ["https", "control"]


def test_another_configuration_is_a_rollout():
    checksum = lambda values: of(values, "StatefulSet")["spec"]["template"]["metadata"]["annotations"]["checksum/config"]
    assert checksum({}) != checksum({"drain": {"delaySeconds": 11}})
    assert checksum({}) == checksum({"persistence": {"size": "1Gi"}})


def test_the_image_is_of_who_is_not_root():
    """What can be seen without building it: the file's form, and that it fits the unit's and the chart's words."""
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if line and not line.startswith("#")]
    stages = [line for line in lines if line.startswith("FROM ")]
    assert stages[-1] == "FROM gcr.io/distroless/cc-debian12:nonroot" and stages[0].endswith("-bookworm AS build"), "of one C library"
    final = lines[lines.index(stages[-1]):]
    user = str(pod({})["securityContext"]["runAsUser"])
    assert f"USER {user}:{user}" in final and not any(line.startswith("RUN") for line in final), "there is no shell"
    rust = re.search(r'^rust-version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.M)[1]
    assert stages[0] == f"FROM rust:{rust}-slim-bookworm AS build"
    command = yaml.safe_load(next(line for line in final if line.startswith("CMD ")).removeprefix("CMD "))
    assert {word for word in command if word.startswith("--")} <= known_options()
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {".git", "target", ".venv"} <= set(ignored)
