"""Holds what collectors of the crates and Python registries decode against the truth of the crafted cases.

In: sixtap, the folder of the tools. Out: for each collector the flows it showed, and for each element how many were right, wrong or
not shown. The records come from an IPFIX file, which all of these read; each case has its addresses and start, which tell flows apart.
"""
import collections
import csv
import datetime
import ipaddress
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
# Collector: heading, and how its version is asked for.
PYTHON = {"netflow": "netflow (Python)", "ipfix": "ipfix (Python)"}
CRATES = {"netflow_parser": "netflow_parser (crate)", "netgauze": "netgauze-flow-pkt (crate)"}


def tools(folder):
    """Builds and installs what is missing; returns the command of each collector that can be had, and its version."""
    found = {}
    venv = folder / "venv"
    packages = {"netflow": "netflow==0.12.2", "ipfix": "ipfix==0.9.7"}
    python = venv / "bin" / "python"
    done = subprocess.run([python, "-c", "import netflow, ipfix"], capture_output=True) if python.exists() else None
    if done is None or done.returncode:
        subprocess.run([sys.executable, "-m", "venv", venv], check=False)
        subprocess.run([python, "-m", "pip", "--quiet", "install", *packages.values()], check=False)
    for name, package in packages.items():
        if subprocess.run([python, "-c", f"import {name}"], capture_output=True).returncode == 0:
            found[name] = ([python, ROOT / "scripts/collectors/registry-python", name], package.split("==")[1])
        else:
            print(f"interoperability: not run: {PYTHON[name]}: it cannot be installed", file=sys.stderr)
    environment = dict(os.environ, CARGO_TARGET_DIR=str(folder / "collectors"))
    manifest = ROOT / "scripts/collectors/Cargo.toml"
    built = subprocess.run(["cargo", "build", "--quiet", "--locked", "--manifest-path", manifest], env=environment)
    program = folder / "collectors/debug/registry-collectors"
    pinned = dict(re.findall(r'^(\S+) = "=(\S+)"', manifest.read_text(), re.M))
    for name, package in (("netflow_parser", "netflow_parser"), ("netgauze", "netgauze-flow-pkt")):
        if built.returncode == 0:
            found[name] = ([program, name], pinned[package])
        else:
            print(f"interoperability: not run: {CRATES[name]}: it cannot be built", file=sys.stderr)
    return found


def registry():
    """Element names without regard of case and underscores, and protocol numbers by name."""
    with open(ROOT / "ie-registry/iana.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    names = {row["name"].lower(): row["name"] for row in rows}
    types = {row["name"]: row["type"] for row in rows}
    numbers = {row["name"]: int(row["id"]) for row in rows}
    with open(ROOT / "ie-registry/protocol-numbers.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["value"].isdigit()]
    protocols = {re.sub(r"[^a-z0-9]", "", row["name"].lower()): int(row["value"]) for row in rows}
    return names, types, numbers, protocols


NAMES, TYPES, NUMBERS, PROTOCOLS = registry()
# flowEndReason by name, from 0.
END_REASONS = ["reserved", "idletimeout", "activetimeout", "endofflow", "forcedend", "lackofresources"]
FLAGS = {"fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16, "urg": 32, "ece": 64, "cwr": 128, "ns": 256,
         "dont_fragment": 0x40, "more_fragments": 0x20}


def bare(value):
    """The value within `{"DataNumber": {"U16": 4242}}`."""
    while isinstance(value, dict) and len(value) == 1:
        (value,) = value.values()
    return value


def plain(name, value):
    """The value in the truth's words: numbers, addresses as text, times in milliseconds; as it is if it cannot be."""
    kind, value = TYPES[name], bare(value)
    try:
        if kind.startswith("dateTime"):
            if isinstance(value, (int, float)):
                return int(value)
            if isinstance(value, dict):
                return value["secs"] * 1000 + value["nanos"] // 1_000_000
            text = value.replace("Z", "+00:00").replace(" UTC", "+00:00")
            return round(datetime.datetime.fromisoformat(text).timestamp() * 1000)
        if kind in ("ipv4Address", "ipv6Address"):
            return str(ipaddress.ip_address(value))
        if kind == "boolean":
            return {1: True, 2: False}.get(value, value) if not isinstance(value, bool) else value
        if kind.startswith("unsigned"):
            return number(name, value)
        return str(value)
    except (ValueError, TypeError, KeyError, AttributeError):
        return value


def bit_of(word):
    """The value of a flag of TCP or of a fragment by its name."""
    return FLAGS.get(word.lower())


def number(name, value):
    if isinstance(value, bool) or isinstance(value, int):
        return int(value)
    if isinstance(value, dict) and set(map(bit_of, value)) != {None}:
        return sum(bit_of(word) or 0 for word, is_set in value.items() if is_set)
    if isinstance(value, list) and all(isinstance(octet, int) for octet in value):
        return int.from_bytes(bytes(value), "big")
    if isinstance(value, str):
        if re.fullmatch(r"0x[0-9a-fA-F]+|\d+", value):
            return int(value, 0)
        word = re.sub(r"[^a-z0-9]", "", value.lower())
        if name == "protocolIdentifier":
            return PROTOCOLS[word]
        if name == "flowEndReason":
            return END_REASONS.index(word.replace("endofflowdetected", "endofflow"))
    return value


def truth_of(document):
    flows = []
    for case in document["cases"]:
        for flow in case["flows"]:
            known = {name: value for name, value in flow.items() if name in TYPES}
            flows.append({name: plain(name, value) for name, value in known.items()})
    return flows


KEY = ["sourceIPv6Address", "destinationIPv6Address", "sourceIPv4Address", "destinationIPv4Address", "protocolIdentifier",
       "sourceTransportPort", "destinationTransportPort", "flowStartMilliseconds"]


def key(record):
    return tuple(str(record.get(name)) for name in KEY)


def measure(name, command, file, flows):
    done = subprocess.run([*command, file], capture_output=True, text=True)
    records = {}
    for line in done.stdout.splitlines():
        record = {}
        for given, value in json.loads(line).items():
            known = NAMES.get(given.lower().replace("_", ""))
            if known:
                record[known] = plain(known, value)
        records[key(record)] = record
    tallies = collections.defaultdict(lambda: {"right": 0, "wrong": 0, "absent": 0, "sample": None})
    seen = 0
    for flow in flows:
        record = records.get(key(flow))
        if record is None:
            continue
        seen += 1
        for element, value in flow.items():
            tally = tallies[element]
            if element not in record:
                tally["absent"] += 1
            elif record[element] == value:
                tally["right"] += 1
            else:
                tally["wrong"] += 1
                tally["sample"] = tally["sample"] or f"saw {record[element]}, truth {value}"
    said = collections.Counter(done.stderr.splitlines())
    return {"collector": name, "seen": seen, "flows": len(flows), "elements": tallies, "said": said.most_common(3)}


def all_of(sixtap, folder):
    """One result a collector, with its version."""
    collectors = tools(folder)
    with tempfile.TemporaryDirectory() as work:
        capture, truth, file = (os.path.join(work, name) for name in ("cases.pcap", "truth.json", "flows.ipfix"))
        subprocess.run([sixtap, "craft", "--only", "all", "-w", capture, "--truth", truth], check=True, capture_output=True)
        probe = [sixtap, "probe", "--quiet", "--stats", "none", "-r", capture, "-c", f"file:{file}"]
        subprocess.run(probe, check=True, capture_output=True)
        with open(truth) as document:
            flows = truth_of(json.load(document))
        return [dict(measure(name, command, file, flows), version=version) for name, (command, version) in collectors.items()]


HEADING = "## Collectors of the Python and crates registries"


def section(results, date):
    """The part of the page about these collectors."""
    heads = {**PYTHON, **CRATES}
    lines = [
        HEADING, "",
        f"Measured on {date} by `scripts/collectors`: the crafted cases only, from an IPFIX file. A flow that is not shown is one whose message or record the collector gave up. A figure",
        "is the number of flows whose value was right.", "",
        "| element | " + " | ".join(f"{heads[r['collector']]} {r['version']}" for r in results) + " |",
        "|---|" + "---|" * len(results),
        "| flows shown | " + " | ".join(f"{r['seen']} of {r['flows']}" for r in results) + " |",
    ]
    elements = sorted({name for r in results for name, tally in r["elements"].items() if tally["right"] + tally["wrong"]}, key=NUMBERS.get)
    for name in elements:
        cells = []
        for result in results:
            tally = result["elements"].get(name)
            if not tally or not tally["right"] + tally["wrong"]:
                cells.append("–")
            elif tally["wrong"]:
                cells.append(f"**{tally['wrong']} wrong**, {tally['right']} right")
            else:
                cells.append(str(tally["right"]))
        lines.append(f"| {name} ({NUMBERS[name]}) | " + " | ".join(cells) + " |")
    lines += ["", "What they say, and the first value of each element that differs:", ""]
    for result in results:
        head = heads[result["collector"]]
        for words, count in result["said"]:
            lines.append(f"- {head}: {count} times `{words[:160]}`")
        for name, tally in result["elements"].items():
            if tally["sample"]:
                lines.append(f"- {head}, {name}: {tally['sample']}")
    return lines
