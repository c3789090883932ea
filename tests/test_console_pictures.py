"""The pictures of the console in README and docs/: made of a gateway with traffic, when COUNTERSIGN_PICTURES names a directory."""

import os
import urllib.parse
from pathlib import Path

import pytest

from browser import Console, chromium  # noqa: F401 (a fixture)
from gateway import Gateway
from server import ROOT, eventually

PICTURES = ROOT / "docs/images"
# What each shows, by the file's name: README and docs/console.md have them.
NAMES = ["overview", "overview-dark", "domain", "preview", "request", "records"]


def test_the_pictures_of_the_docs_are_there():
    text = (ROOT / "docs/console.md").read_text() + (ROOT / "README.md").read_text()
    for name in NAMES:
        assert f"images/{name}.png" in text, name
        assert (PICTURES / f"{name}.png").read_bytes().startswith(b"\x89PNG"), name
    assert {path.stem for path in PICTURES.iterdir()} == set(NAMES)


@pytest.mark.skipif("COUNTERSIGN_PICTURES" not in os.environ, reason="the pictures that are there will do")
def test_pictures(chromium, server, backend, pki):  # noqa: F811
    directory = Path(os.environ["COUNTERSIGN_PICTURES"])
    clinic, lab = pki.ca("clinic-ca", subject="/O=Example Clinic/CN=Clinic Root CA"), pki.ca("lab-ca", subject="/O=Example Lab/CN=Lab Root CA")
    below = pki.client("apps-ca", clinic, section="ca", days=20, subject="/O=Example Clinic/CN=Clinic Apps CA")
    trust = clinic.pem + below.pem + lab.pem
    fhir = Gateway(server, backend, "fhir.example.org", trust).create()
    Gateway(server, backend, "billing.example.org", lab.pem).create().put_truststore(clinic.pem)
    clients = [
        pki.client(name, ca, section="client", subject=f"/O=Example {org}/CN={name}")
        for name, ca, org in [("scheduler", clinic, "Clinic"), ("portal", clinic, "Clinic"), ("analyzer-7", lab, "Lab"), ("analyzer-9", lab, "Lab")]
    ]
    stranger = pki.client("unknown-app", pki.ca("stranger-ca", subject="/CN=Some Other CA"), subject="/O=Somebody/CN=unknown-app")
    ended = pki.dated("forgotten-job", -86_400 * 400, -3_600, clinic)
    soon = pki.dated("nightly-export", -86_400 * 350, 86_400 * 12, clinic)
    paths = ["/Patient/4711", "/Observation?code=718-7", "/metadata", "/Appointment"]
    for number in range(60):
        who = [*clients, *clients, soon, stranger, ended, None][number % 12]
        fhir.curl(paths[number % 4], who)
    console = Console(chromium, server)
    # Some of it in the picture's last minutes.
    eventually(lambda: sum(console.json("/")["traffic"]["requests"]) > 20, what="traffic in the picture")
    refused = fhir.curl("/Patient/4711", stranger).headers["apigw-requestid"]
    only_clinic = fhir.put_truststore(clinic.pem + below.pem)

    def picture(console, name, path, height=900):
        console.page.set_viewport_size({"width": 1240, "height": height})
        assert console.open(path) == 200
        console.page.screenshot(path=directory / f"{name}.png")

    picture(console, "overview", "/", 960)
    picture(console, "domain", f"/domains/{fhir.domain}", 1000)
    picture(console, "preview", f"/domains/{fhir.domain}/change?version={only_clinic}", 900)
    picture(console, "records", f"/records?domain={fhir.domain}", 800)
    eventually(lambda: console.open(f"/requests/{urllib.parse.quote(refused, safe='')}") == 200)
    picture(console, "request", f"/requests/{urllib.parse.quote(refused, safe='')}", 1000)
    console.close()
    dark = Console(chromium, server, color_scheme="dark")
    picture(dark, "overview-dark", "/", 960)
    dark.close()
