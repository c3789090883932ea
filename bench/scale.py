"""What must not cost: many CAs, many domains, many APIs, a second core, an update under load. Ours alone but for the last."""

import json
import statistics
import time

import machine
from gateways import Countersign
from rows import TESTS, options, run_one

CAS = 1000
DOMAINS, QUICK_DOMAINS = 10_000, 1_000
APIS, QUICK_APIS, ROUTES = 1_000, 50, 300
UPDATES = 20
# The update: when the CA comes and goes, and when it is over, in seconds; how long an outcome may go on changing.
COMES_S, KEPT_S, GOES_S, OVER_S, SETTLED_S = 4, 6, 8, 12, 3.5
PROBE_MS = 5


def side_by_side(gateways, pki, tests, rounds, duration_s):
    """CPU per operation of the last gateway to that of the first, by test: medians of the rounds' ratios."""
    ratios = {test: [] for test in tests}
    for number in range(rounds):
        for test in tests:
            order = gateways if number % 2 == 0 else gateways[::-1]
            cost = {gateway: run_one(TESTS[test], gateway, pki, duration_s)["us_per_op"] for gateway in order}
            ratios[test].append(cost[gateways[-1]] / cost[gateways[0]])
    return {test: statistics.median(of) for test, of in ratios.items()}


def truststores(start, pki, rounds, duration_s):
    """A truststore of one CA, and one of a thousand."""
    one, many = start(Countersign), start(Countersign, truststore=pki.bundle(CAS))
    try:
        return side_by_side([one, many], pki, ["handshake", "first-seen"], rounds, duration_s)
    finally:
        one.stop()
        many.stop()


def domains(start, pki, quick):
    """Many domains, each with a truststore of its own: the start, the memory of each, and an update of one."""
    count = QUICK_DOMAINS if quick else DOMAINS
    gateway = start(Countersign)
    base = machine.memory_kib(gateway.pid)
    gateway.stop()
    gateway.fill("--truststores", pki.domains(count))
    ready_s = gateway.start()
    of_all = machine.memory_kib(gateway.pid) - base
    both = [pki.file("domains/d0.gw.test.pem").read_bytes(), pki.file("both.pem").read_bytes()]
    first = ["--cert", pki.file("first.pem"), "--key", pki.file("first.key")]
    second = ["--cert", pki.file("client2.pem"), "--key", pki.file("client2.key")]
    took = []
    try:
        asked(gateway, "d0.gw.test", first, "200")
        asked(gateway, f"d{count - 1}.gw.test", first, "403")
        for number in range(UPDATES):
            took.append(gateway.update(both[(number + 1) % 2], "d0.gw.test"))
            # Enforced when the call returns: who comes after it is judged by the new truststore.
            asked(gateway, "d0.gw.test", second, "200" if number % 2 == 0 else "403")
    finally:
        gateway.stop()
    return {"domains": count, "ready_s": ready_s, "kib": of_all / count, "update_ms": statistics.median(took)}


def asked(gateway, name, client, expected):
    """One request of one client, which has to be answered so."""
    load = machine.Load("probe", "--interval-ms", 1, "-d", 0.001, "--sni", name, "--connect", gateway.address, *client)
    outcome = load.result()["changes"][0]["outcome"]
    if outcome != f"status {expected}":
        raise RuntimeError(f"{name}: {outcome}, expected {expected}")


# What is asked of a full control API: reads that tools repeat while they wait, and writes of small and of large tables.
READS = ["/v2/apis/api{i07}", "/v2/domainnames/d{i}.gw.test", "/v2/apis?maxResults=5", "/v2/apis/api{i07}/routes?maxResults=5"]
WRITES = {
    "write an API": ("/v2/apis/api{i07}", '{"description": "{n}"}'),
    "write a domain": ("/v2/tags/arn%3Aaws%3Aapigateway%3Aus-east-1%3A%3A%2Fdomainnames%2Fd{i}.gw.test", '{"tags": {"n": "{n}"}}'),
}
CLIENTS = 16


def control(start, pki, quick, duration_s):
    """The management APIs with a thousand APIs and ten thousand domains, on one core: calls a second, CPU of each."""
    count, of_apis = (QUICK_DOMAINS, QUICK_APIS) if quick else (DOMAINS, APIS)
    gateway = start(Countersign)
    gateway.stop()
    gateway.fill("--truststores", pki.domains(count), "--apis", of_apis, "--routes", 10)
    gateway.start()
    try:
        # Every number that is asked for is an API's and a domain's.
        figures = {"domains": count, "apis": of_apis}
        figures["read"] = calls(gateway, duration_s, "GET", READS, of_apis)
        for name, (path, body) in WRITES.items():
            method = "PATCH" if "apis" in path else "POST"
            figures[name] = calls(gateway, duration_s, method, [path], of_apis if method == "PATCH" else count, body)
        one_by_one = calls(gateway, duration_s, "PATCH", [WRITES["write an API"][0]], of_apis, '{"description": "{n}"}', 1)
        figures["enforced_ms"] = {quantile: one_by_one["latency_us"][quantile] / 1000 for quantile in ("p50", "p99")}
        return figures
    finally:
        gateway.stop()


def calls(gateway, duration_s, method, paths, of, body="", clients=CLIENTS):
    """One kind of call from several clients at once."""
    keys = json.loads((gateway.data / "credentials.json").read_text())
    options = [option for path in paths for option in ("--path", path)]
    load = machine.Load(
        "control", "--connect", f"127.0.0.1:{gateway.admin_port}", "--access-key", keys["access_key_id"], "--secret-key",
        keys["secret_access_key"], "--method", method, "--data", body, "--of", of, "-c", clients,
        "--warmup", machine.WARM_UP_S, "-d", duration_s, *options,
    )
    told = machine.measured(gateway.pid, load, duration_s)
    if set(told["statuses"]) - {"200", "201", "204"} or told["errors"]:
        raise RuntimeError(f"{method} {paths}: {told['statuses']} {told['errors']}")
    return told


def apis(start, pki, quick, rounds, duration_s):
    """One API of 300 routes, and a thousand of them."""
    count = QUICK_APIS if quick else APIS
    one, many = start(Countersign), start(Countersign)
    ready_s = []
    try:
        for gateway, more in ((one, 0), (many, count - 1)):
            gateway.stop()
            gateway.fill("--apis", more, "--routes", ROUTES)
            ready_s.append(gateway.start())
        ratios = side_by_side([one, many], pki, ["handshake", "resumed", "http1", "http2"], rounds, duration_s)
        return ratios | {"apis": count, "ready_s": ready_s[1]}
    finally:
        one.stop()
        many.stop()


def cores(start, pki, rounds, duration_s):
    """One runtime on one core, and two on two; the load on both cores each time.

    On a machine of two cores the load needs as much as the server, so requests a second say nothing of the server. What
    would keep two runtimes from doing twice the work of one is what they share: it shows as more CPU time for each
    operation. Two cores give 2 × (CPU per operation of one) / (CPU per operation of two).
    """
    both = f"{machine.SERVER_CPU},{machine.LOAD_CPU}"
    one, two = start(Countersign), start(Countersign, cpus=both)
    gains = {test: [] for test in ("handshake", "http1")}
    try:
        for number in range(rounds):
            for test, found in gains.items():
                cost = {}
                for gateway in (one, two) if number % 2 == 0 else (two, one):
                    load = machine.Load(
                        *options(TESTS[test], pki), "--threads", 2, "--connect", gateway.address, "--warmup",
                        machine.WARM_UP_S, "-d", duration_s, cpus=both,
                    )
                    cost[gateway] = machine.measured(gateway.pid, load, duration_s)["us_per_op"]
                found.append(2 * cost[one] / cost[two])
    finally:
        one.stop()
        two.stop()
    return {test: statistics.median(found) for test, found in gains.items()}


def update(start, gateway_type, pki):
    """A CA comes and goes while 2,000 requests a second of somebody else's client are served."""
    gateway = start(gateway_type)
    try:
        calm = under_load(gateway, pki, changes=False)
        changed = under_load(gateway, pki, changes=True)
    finally:
        gateway.stop()
    return changed | {"p99_ratio": changed["p99"] / calm["p99"]}


def under_load(gateway, pki, changes):
    to = ["--connect", gateway.address]
    client = ["--cert", pki.file("client.pem"), "--key", pki.file("client.key")]
    second = ["--cert", pki.file("client2.pem"), "--key", pki.file("client2.key")]
    began = time.monotonic()
    steady = machine.Load(
        "http", "-c", 32, "--rate", 2000, "-d", OVER_S, "--warmup", 0.5, "--timeout", 3, *to, *client
    )
    probe = ["probe", "--interval-ms", PROBE_MS, "-d", OVER_S, *to, *second]
    fresh, resuming = machine.Load(*probe), machine.Load(*probe, "--resume")
    comes = goes = None
    if changes:
        comes = at(began + COMES_S, lambda: gateway.update(pki.file("both.pem").read_bytes()))
        kept = at(began + KEPT_S, lambda: machine.Load(
            "http", "-c", 1, "--rate", 100, "-d", OVER_S - KEPT_S - 1, "--warmup", 0, "--timeout", 3, *to, *second
        ), result=True)
        goes = at(began + GOES_S, lambda: gateway.update(pki.file("ca.pem").read_bytes()))
    steady, fresh, resuming = steady.result(), fresh.result(), resuming.result()
    figures = {"p99": steady["latency_us"]["p99"], "closed": steady["closed_by_server"] + sum(steady["errors"].values())}
    if changes:
        served = kept.result()["statuses"].get("200", 0)
        figures |= {
            "comes_ms": settled(fresh, comes, good=True), "goes_ms": settled(fresh, goes, good=False),
            "resumed_goes_ms": settled(resuming, goes, good=False),
            # Once to good, once back.
            "alternations": turns(fresh) - 2,
            # What the removed CA's client got on the connection that it had open, after the change.
            "served_after": max(0, served - round((GOES_S - KEPT_S) * 100)),
        }
    return figures


def turns(probe):
    """How often good became bad, or bad good; by whichever words."""
    good = [one["outcome"].startswith("status 200") for one in probe["changes"]]
    return sum(before != after for before, after in zip(good, good[1:]))


def at(moment, act, result=False):
    """Acts at a moment; answers with the wall clock then, or with what the act gave."""
    while (left := moment - time.monotonic()) > 0:
        time.sleep(left)
    clock = time.time()
    done = act()
    return done if result else clock


def settled(probe, since, good):
    """Milliseconds until the last change of outcome that followed: old and new may answer in turn for a while. None: the
    outcome never became what it should."""
    after = [one for one in probe["changes"] if since - 0.02 <= one["unix_s"] < since + SETTLED_S]
    if not after or after[-1]["outcome"].startswith("status 200") != good:
        return None
    return max(0.0, (after[-1]["unix_s"] - since) * 1000)
