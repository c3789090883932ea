"""The figures in docs/benchmarks.md, and docs/benchmarks.svg, from what was measured."""

import re
from html import escape

from rows import BEST, ROWS, median, ratio

COLOURS = {  # light, dark
    "countersign": ("#0a7d5a", "#3ddc9f"), "envoy": ("#7a5cc8", "#ab93ee"), "nginx": ("#4a7fb5", "#7db4ea"),
    "haproxy": ("#b5794a", "#e0a878"), "caddy": ("#8b8b8b", "#a8a8a8"),
}
TITLES = {"countersign": "Countersign", "envoy": "Envoy", "nginx": "nginx", "haproxy": "HAProxy", "caddy": "Caddy"}
# Targets that are no ratios to peers.
IDLE_KIB, BASE_MIB, READY_S, DOMAIN_KIB, UPDATE_MS, TWO_CORES, GROWTH = 18, 20, 2, 4, 5, 1.8, 1.03
# Of the management APIs, on one core.
CALLS, ENFORCED_MS = {"read": 5_000, "write an API": 500, "write a domain": 500}, 10
# On two cores that are never idle p99 wanders by about this much between two runs that are the same.
P99_MOVED = 1.15

# What stands between these in docs/benchmarks.md is the report's.
BEGIN, END = "<!-- figures: written by bench/run -->", "<!-- end of figures -->"

HEAD = """## Figures

{machine} {versions} Medians of {rounds} rounds; lower is better.

![CPU time of each gateway by operation](benchmarks.svg)
"""


def hit(good):
    return "hit" if good else "**missed**"


def number(value):
    if value is None:
        return "–"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def written_into(page, results):
    """The page with these figures in the place of those before."""
    figures = f"{BEGIN}\n{markdown(results)}\n{END}"
    return re.sub(f"{re.escape(BEGIN)}.*{re.escape(END)}", lambda _: figures, page, flags=re.DOTALL)


def markdown(results):
    parts = [HEAD.format(**results["about"]), beside_peers(results), absolute(results)]
    if results.get("update"):
        parts.append(updates(results["update"]))
    if results["missing"]:
        parts.append(f"Not there, and so not measured: {', '.join(results['missing'])}.\n")
    for name, why in results.get("failed", {}).items():
        parts.append(f"**`{name}` failed**: {why}\n")
    if results["about"]["quick"]:
        parts.append("**Of a quick run: it shows that everything works, and no figures to rely on.**\n")
    return "\n".join(parts)


def beside_peers(results):
    names = results["names"]
    lines = [
        "### Beside the peers\n",
        f"| work | target | measured | | {' | '.join(TITLES[name] for name in names)} |",
        f"|---|---|---|---|{'---|' * len(names)}",
    ]
    for row in ROWS:
        rounds = results["rounds"].get(row.test)
        if not rounds:
            continue
        against = BEST if row.against == BEST else TITLES[row.against]
        found = ratio(row, rounds)
        measured = ("–", "not measured") if found is None else (f"{found:.2f} ×", hit(found <= row.target))
        figures = " | ".join(f"{number(median(row, rounds, name))} {row.unit}" for name in names)
        lines.append(f"| {row.work} | ≤ {row.target:.2f} × {against} | {measured[0]} | {measured[1]} | {figures} |")
    for key, what, limit, unit in (
        ("kib", "an idle connection", IDLE_KIB, "KiB"), ("base_mib", "a gateway that has just started", BASE_MIB, "MiB"),
    ):
        if idle := results.get("idle"):
            ours = idle["countersign"][key]
            figures = " | ".join(f"{number(idle[name][key])} {unit}" if name in idle else "–" for name in names)
            lines.append(
                f"| memory of {what} | ≤ {limit} {unit} | {number(ours)} {unit} | {hit(ours <= limit)} | {figures} |"
            )
    return "\n".join(lines) + "\n"


def absolute(results):
    lines = ["### What must not cost\n", "| what | target | measured | |", "|---|---|---|---|"]

    def line(what, target, measured, good):
        lines.append(f"| {what} | {target} | {measured} | {hit(good)} |")

    if cas := results.get("truststores"):
        for test, what in (("handshake", "a known client"), ("first-seen", "a client never seen before")):
            line(f"1,000 CAs in the truststore instead of one, {what}", "within 3 %, no handshake fails",
                 f"{cas[test]:.3f} ×", cas[test] <= GROWTH)
    if domains := results.get("domains"):
        many = f"{domains['domains']:,} domains, each with its own truststore: "
        line(many + "ready", f"≤ {READY_S} s", f"{domains['ready_s']:.2f} s", domains["ready_s"] <= READY_S)
        line(many + "memory of each", f"≤ {DOMAIN_KIB} KiB", f"{domains['kib']:.1f} KiB", domains["kib"] <= DOMAIN_KIB)
        line(many + "`update-domain-name`, from call to answer; enforced when it answers", f"≤ {UPDATE_MS} ms",
             f"{domains['update_ms']:.1f} ms", domains["update_ms"] <= UPDATE_MS)
    if apis := results.get("apis"):
        for test in ("handshake", "resumed", "http1", "http2"):
            work = next(row.work for row in ROWS if row.key == test)
            line(f"{apis['apis']:,} APIs of 300 routes instead of one: {work}", "within 3 %", f"{apis[test]:.3f} ×",
                 apis[test] <= GROWTH)
    if control := results.get("control"):
        full = f"management APIs with {control['apis']:,} APIs and {control['domains']:,} domains, "
        for call, least in CALLS.items():
            told = control[call]
            line(f"{full}{call}", f"≥ {least:,} a second", f"{told['per_s']:,.0f} a second, {told['us_per_op']:.0f} µs of CPU each",
                 told["per_s"] >= least)
        enforced = control["enforced_ms"]
        line(f"{full}from a write to its answer, when it is enforced, p50 and p99", f"≤ {ENFORCED_MS} ms",
             f"{enforced['p50']:.1f} and {enforced['p99']:.1f} ms", enforced["p99"] <= ENFORCED_MS)
    if cores := results.get("cores"):
        for test, what in (("handshake", "handshakes"), ("http1", "HTTP/1.1 requests")):
            line(f"two cores, {what}", f"≥ {TWO_CORES} × one", f"{cores[test]:.2f} ×", cores[test] >= TWO_CORES)
    return "\n".join(lines) + "\n" if len(lines) > 3 else ""


def updates(of):
    lines = [
        "### A truststore's update under load\n",
        "A CA comes and goes while 32 connections of another client's bear 2,000 requests a second. Enforced: milliseconds until",
        "the last change of what a new connection of the CA's client gets, seen every 5 ms. Targets: nothing of others closed, no",
        f"alternation of old and new, p99 unmoved (within {P99_MOVED - 1:.0%} of the same load without a change).\n",
        "| gateway | added | removed | removed, resuming | alternations | others' connections closed | p99 | served after removal, on an open connection | |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, figures in of.items():
        good = figures["closed"] == 0 and figures["alternations"] == 0 and figures["p99_ratio"] <= P99_MOVED
        times = " | ".join(
            f"{figures[key]:.0f} ms" if figures[key] is not None else "never"
            for key in ("comes_ms", "goes_ms", "resumed_goes_ms")
        )
        verdict = hit(good) if name == "countersign" else ""
        lines.append(
            f"| {TITLES[name]} | {times} | {figures['alternations']} | {figures['closed']} | {figures['p99_ratio']:.2f} × | "
            f"{figures['served_after']} requests | {verdict} |"
        )
    return "\n".join(lines) + "\n"


BAR, GAP, GROUP_GAP, LEFT, WIDTH, TOP, LONGEST = 13, 2, 18, 330, 960, 60, 5.0


def chart(results):
    """Bars by work: a gateway's cost as a multiple of ours."""
    names, body, y = results["names"], [], TOP
    scale = (WIDTH - LEFT - 120) / LONGEST
    for row in ROWS:
        rounds = results["rounds"].get(row.test)
        ours = rounds and median(row, rounds, "countersign")
        if not ours:
            continue
        top = y
        for name in names:
            value = median(row, rounds, name)
            if value is None:
                continue
            times = value / ours
            length = min(times, LONGEST) * scale
            more = " →" if times > LONGEST else ""
            label = f"{number(value)} {row.unit}" + ("" if name == "countersign" else f" · {times:.1f} ×") + more
            body.append(f'<rect class="{name}" x="{LEFT}" y="{y}" width="{length:.1f}" height="{BAR}" rx="2"/>')
            body.append(f'<text class="value" x="{LEFT + length + 6:.1f}" y="{y + BAR - 3}">{escape(label)}</text>')
            y += BAR + GAP
        middle = (top + y) / 2
        body.append(f'<text class="work" x="{LEFT - 12}" y="{middle:.1f}" text-anchor="end">{escape(row.work)}</text>')
        y += GROUP_GAP
    legend, x = [], LEFT
    for name in names:
        legend.append(f'<rect class="{name}" x="{x}" y="32" width="12" height="12" rx="2"/>')
        legend.append(f'<text class="value" x="{x + 17}" y="42">{TITLES[name]}</text>')
        x += 105
    style = "".join(f".{name}{{fill:{light}}}" for name, (light, _) in COLOURS.items())
    dark = "".join(f".{name}{{fill:{dark}}}" for name, (_, dark) in COLOURS.items())
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" role="img" '
        f'aria-label="CPU time of each gateway by operation">\n<style>text{{font:12px system-ui,sans-serif;fill:#24292f}}'
        f'.title{{font-size:15px;font-weight:600}}.value{{font-size:11px}}{style}'
        f'@media (prefers-color-scheme:dark){{text{{fill:#d6dbe1}}{dark}}}</style>\n'
        f'<text class="title" x="12" y="22">Server CPU time by operation, and latency (less is better)</text>\n'
        + "\n".join(legend + body) + "\n</svg>\n"
    )


