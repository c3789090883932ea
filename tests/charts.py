"""The Helm chart, rendered and linted by Helm's own code, and the plain manifests that are made of it: `python tests/charts.py` writes
those anew."""

from pathlib import Path

import helm_python
import yaml

DIST = Path(__file__).resolve().parent.parent / "dist"
CHART = DIST / "helm/countersign"
# The values of each manifest in dist/kubernetes.
PLAIN = {
    "one-node.yaml": {},
    "many-nodes.yaml": {
        "replicas": 3,
        "sealingKeySecret": "countersign-sealing-key",
        "etcd": {"endpoints": [f"https://etcd-{number}.etcd:2379" for number in range(3)], "secret": "countersign-etcd", "clientCertificate": True},
    },
}
HEAD = """\
# {summary} Made of the chart in dist/helm by tests/charts.py, for who has no Helm.
"""
SUMMARIES = {
    "one-node.yaml": "One node with its settings in a volume.",
    "many-nodes.yaml": "Three nodes that share their settings in etcd; two secrets are to be there: docs/operations.md.",
}


def rendered(values=None, name="countersign", namespace="countersign"):
    """The chart's manifests, as text, by file."""
    with helm_python.Chart.load(CHART) as chart:
        texts = chart.render(values or {}, name=name, namespace=namespace)
    return {Path(path).name: text for path, text in sorted(texts.items()) if text.strip()}


def resources(texts):
    """{(kind, name): resource} of manifests."""
    documents = [one for file, text in texts.items() if file.endswith(".yaml") for one in yaml.safe_load_all(text) if one]
    return {(one["kind"], one["metadata"]["name"]): one for one in documents}


def plain(file):
    """What dist/kubernetes/FILE has to be."""
    texts = rendered(PLAIN[file])
    parts = [text.strip().removeprefix("---").strip() for name, text in texts.items() if name.endswith(".yaml")]
    return HEAD.format(summary=SUMMARIES[file]) + "\n---\n".join(parts) + "\n"


if __name__ == "__main__":
    for file in PLAIN:
        (DIST / "kubernetes" / file).write_text(plain(file))
