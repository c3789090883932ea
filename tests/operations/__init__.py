"""The operations of AWS that are served, by service: `crates/aws/operations.txt`."""

from server import ROOT


def served_operations():
    """Of each service: name of the operation → `full` or `stored`."""
    services = {}
    for line in (ROOT / "crates/aws/operations.txt").read_text().splitlines():
        line = line.partition("#")[0].strip()
        if line.startswith("["):
            service = services.setdefault(line.strip("[]"), {})
        elif line:
            name, _, level = line.partition(" ")
            service[name] = level or "full"
    return services
