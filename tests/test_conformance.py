"""Published suites of path validation, put to `countersign verify --batch --profile rfc5280`.

x509-limbo (C2SP, https://github.com/C2SP/x509-limbo): LIMBO_JSON names its limbo.json. bettertls (Netflix) in the same
form: BETTERTLS_JSON names bettertls.json or bettertls.json.xz. Neither is part of this project; .ci/run looks for them.
"""

import ipaddress
import json
import lzma
import os
import subprocess
from pathlib import Path

import pytest
from cryptography import x509

from server import BINARY

# Decided by comparing the peer's name with the one that was wanted, which is not the judge's business: there is no such
# name for a client. The test compares the names itself, and finds exactly these.
PEER_NAME = {
    "webpki::san::mismatch-apex-subdomain-san",
    "webpki::san::mismatch-domain-san",
    "webpki::san::mismatch-subdomain-apex-san",
    "webpki::san::mismatch-subdomain-san",
    "webpki::san::no-san",
    "webpki::san::wildcard-match-across-labels-san",
}

CN_COPY = "CA/Browser Forum 7.1.4.3: the common name of a public web server is a copy of an alternative name"
WILDCARD = "CA/Browser Forum: no wildcard for a public suffix; names of servers, and a list that changes weekly"
ROOT_AKI = "CA/Browser Forum 7.1.2.1.3; RFC 5280 section 4.2.1.1 allows issuer and serial number in it"
RSA_BY_8 = "CA/Browser Forum 6.1.5; RFC 5280 has no opinion on the length of RSA keys"
CA_AS_LEAF = "stricter: a CA is no client and no server. rustls-webpki has to accept the leaf as well, and does not"

# Where the verdict differs from the suite's, and why that is right.
DEVIATIONS = {
    "pathlen::validation-ignores-pathlen-in-leaf": CA_AS_LEAF,
    "rfc5280::ca-as-leaf": CA_AS_LEAF,
    # In form the same as the anchor "Root A" of cve::cve-2024-0567, with which the suite wants to see success.
    "rfc5280::aki::cross-signed-root-missing-aki": "what issued an anchor plays no part, so it need not say who did",
    # The suite says itself that this conflicts with rfc5280::nc::permitted-dns-match-noncritical.
    "webpki::nc::permitted-dns-match-noncritical": "stricter: RFC 5280 section 4.2.1.10 wants it critical",
    "webpki::aki::root-with-aki-all-fields": ROOT_AKI,
    "webpki::aki::root-with-aki-authoritycertissuer": ROOT_AKI,
    "webpki::aki::root-with-aki-authoritycertserialnumber": ROOT_AKI,
    "webpki::cn::case-mismatch": CN_COPY,
    "webpki::cn::ipv4-hex-mismatch": CN_COPY,
    "webpki::cn::ipv4-leading-zeros-mismatch": CN_COPY,
    "webpki::cn::ipv6-non-rfc5952-mismatch": CN_COPY,
    "webpki::cn::ipv6-uncompressed-mismatch": CN_COPY,
    "webpki::cn::ipv6-uppercase-mismatch": CN_COPY,
    "webpki::cn::not-in-san": CN_COPY,
    "webpki::cn::punycode-not-in-san": CN_COPY,
    "webpki::cn::utf8-vs-punycode-mismatch": CN_COPY,
    "webpki::eku::ee-anyeku": "CA/Browser Forum 7.1.2.7.10; RFC 5280 section 4.2.1.12 allows anyExtendedKeyUsage",
    "webpki::eku::ee-critical-eku": "CA/Browser Forum 7.1.2.7.6; RFC 5280 section 4.2.1.12 allows it to be critical",
    # The suite says the opposite in rfc5280::eku::ee-without-eku. Of clients, the profile does require it.
    "webpki::eku::ee-without-eku": "CA/Browser Forum 7.1.2.7.6; RFC 5280 section 4.2.1.12: absent means unrestricted",
    "webpki::eku::root-has-eku": "CA/Browser Forum 7.1.2.1.2; RFC 5280 does not forbid it",
    "webpki::forbidden-rsa-key-not-divisible-by-8-in-leaf": RSA_BY_8,
    "webpki::forbidden-rsa-not-divisible-by-8-in-root": RSA_BY_8,
    "webpki::san::public-suffix-multi-label-wildcard-san": WILDCARD,
    "webpki::san::public-suffix-private-namespace-wildcard-san": WILDCARD,
    "webpki::san::public-suffix-wildcard-san": WILDCARD,
    "webpki::san::san-critical-with-nonempty-subject": "CA/Browser Forum; RFC 5280 section 4.2.1.6 says SHOULD only",
}


def suite(variable, required):
    """The cases of the file that the environment names."""
    path = os.environ.get(variable)
    if not path:
        reason = f"{variable} is not set: it names a file of https://github.com/C2SP/x509-limbo, which is not part of this project"
        (pytest.fail if required and "CI" in os.environ else pytest.skip)(reason)
    raw = Path(path).read_bytes()
    return json.loads(lzma.decompress(raw) if path.endswith(".xz") else raw)["testcases"]


def question(case):
    depth = case["max_chain_depth"]
    return {
        "id": case["id"],
        "truststore": case["trusted_certs"],
        "chain": [case["peer_certificate"]],
        "intermediates": case["untrusted_intermediates"],
        "crls": case["crls"],
        "at": case["validation_time"],
        "purpose": case["validation_kind"].lower(),
        # The suite counts intermediates; we count the root as well.
        "max_depth": None if depth is None else depth + 1,
    }


def ask(cases):
    """The answers of the real binary, by case."""
    lines = "".join(json.dumps(question(case)) + "\n" for case in cases)
    command = [str(BINARY), "verify", "--batch", "--profile", "rfc5280"]
    done = subprocess.run(command, input=lines, capture_output=True, text=True, timeout=170, check=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["id"] for answer in answers] == [case["id"] for case in cases]
    return answers


def accepted(answer):
    # A truststore without a usable certificate accepts nobody either.
    return answer.get("verdict") == "accepted"


def names_the_peer(case):
    """Whether the certificate's alternative names hold the name that was wanted (RFC 9525 section 6); true where none was."""
    wanted = case["expected_peer_name"]
    if wanted is None or wanted["kind"] == "RFC822":
        return True
    leaf = x509.load_pem_x509_certificate(case["peer_certificate"].encode())
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    if wanted["kind"] == "IP":
        return ipaddress.ip_address(wanted["value"]) in names.get_values_for_type(x509.IPAddress)
    name = wanted["value"].lower()
    with_wildcard = "*." + name.partition(".")[2]
    return any(known.lower() in (name, with_wildcard) for known in names.get_values_for_type(x509.DNSName))


def test_limbo():
    cases = suite("LIMBO_JSON", required=True)
    assert len(cases) >= 208
    differing, by_name = {}, set()
    for case, answer in zip(cases, ask(cases)):
        expected = case["expected_result"] == "SUCCESS"
        if accepted(answer) == expected:
            continue
        assert case["validation_kind"] != "CLIENT", f"every client case must be right: {answer}"
        if accepted(answer) and not names_the_peer(case):
            by_name.add(case["id"])
        else:
            differing[case["id"]] = answer.get("reason") or answer.get("error") or "accepted"
    assert by_name == PEER_NAME
    fresh = {id: reason for id, reason in differing.items() if id not in DEVIATIONS}
    assert (fresh, DEVIATIONS.keys() - differing.keys()) == ({}, set()), "new deviations, and what is none any more"


def test_bettertls():
    cases = suite("BETTERTLS_JSON", required=False)
    assert len(cases) >= 9_572
    wrong = [
        (case["id"], answer)
        for case, answer in zip(cases, ask(cases))
        if (accepted(answer) and names_the_peer(case)) != (case["expected_result"] == "SUCCESS")
    ]
    assert not wrong, f"{len(wrong)} wrong, e.g. {wrong[:5]}"
