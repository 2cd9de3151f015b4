#!/usr/bin/env python3
"""Run Kubernetes' own conformance tests against Lightship and write what passes into docs/conformance.md.

    python -m tools.run_conformance                      all of oracle/conformance.txt, on three process nodes
    python -m tools.run_conformance --focus ResourceQuota --keep report.json
    python -m tools.run_conformance --agents 0 --focus 'FlowSchema'    without nodes
    python -m tools.run_conformance --nodes 3            all of oracle/conformance-emulated.txt, on three emulated nodes

Needs kubectl, agnhost, e2e.test and ginkgo from `oracle/build`. The platform is started with a name and a folder of its own; controllers
that it lacks run from the kube-controller-manager beside it (`--theirs`).
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tools import conformance_page

from oracle import images, programs

NAMES = conformance_page.ROOT / "oracle" / "conformance.txt"
EMULATED = conformance_page.ROOT / "oracle" / "conformance-emulated.txt"
"""Tests that need nodes and pods that run, but nothing that runs in them."""
THEIRS = ""
MINUTES = 120


def parsed(words: list[str] | None = None) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", type=Path, help="file with one full test name per line")
    parser.add_argument("--focus", help="only names that this regular expression finds")
    parser.add_argument("--agents", type=int, default=3, help="process nodes (default: 3; 0: none)")
    parser.add_argument("--nodes", type=int, default=0, help="emulated nodes, and no process nodes")
    parser.add_argument("--procs", type=int, default=4, help="tests side by side (default: 4)")
    parser.add_argument("--keep", type=Path, help="keep ginkgo's report in this file")
    parser.add_argument("--theirs", default=THEIRS, help="controllers that the kube-controller-manager runs")
    args = parser.parse_args(words)
    args.names = args.names or (EMULATED if args.nodes else NAMES)
    return args


def main() -> int:
    args = parsed()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))  # whoever ends this ends all that it has started
    absent = programs.missing("kubectl", "e2e.test", "ginkgo", *(["kube-controller-manager"] if args.theirs else []))
    if absent:
        print(f"not in {programs.folder()}: {', '.join(absent)}; `oracle/build` makes them", file=sys.stderr)
        return 2
    names = [name for name in args.names.read_text().splitlines() if name and (not args.focus or re.search(args.focus, name))]
    began = time.monotonic()
    specs = run(names, args)
    passed = report(names, specs)
    took = time.monotonic() - began
    print(f"{passed} of {len(names)} passed in {took:.0f} s")
    if args.names in (NAMES, EMULATED) and not args.focus:
        part = conformance_page.EMULATED if args.nodes else conformance_page.PROCESSES
        conformance_page.write(part, names, specs, args.theirs, "lightship " + " ".join(up(args)))
    return 0 if passed == len(names) else 1


def up(args: argparse.Namespace) -> list[str]:
    """What the platform is started with."""
    if args.nodes:
        return ["up", "--no-node", "--nodes", str(args.nodes)]
    return ["up", "--agents", str(args.agents), "--allow-host-path"] if args.agents else ["up", "--no-node"]


def run(names: list[str], args: argparse.Namespace) -> conformance_page.Specs:
    """Ginkgo's verdicts by full test name."""
    with programs.workplace() as directory:
        environment = {**os.environ, "LIGHTSHIP_HOME": str(directory / "home")}
        kubeconfig = start_platform(environment, args)
        images.write(kubeconfig.parent)
        try:
            with beside(kubeconfig, directory, args):
                test(names, args, kubeconfig, directory)
            text = (directory / "report.json").read_text()
            if args.keep:
                args.keep.write_text(text)
                args.keep.with_suffix(".platform.log").write_bytes((kubeconfig.parent / "lightship.log").read_bytes())
        finally:
            subprocess.run([sys.executable, "-m", "lightship", "down"], env=environment, check=False, stdout=subprocess.DEVNULL)
    specs = [spec for suite in json.loads(text) for spec in suite["SpecReports"] or [] if spec["State"] != "skipped"]
    for spec in specs:
        if spec["LeafNodeType"] == "SynchronizedBeforeSuite" and spec["State"] != "passed" and spec.get("Failure"):
            print(f"before the first test: {spec['Failure']['Message'][:2000]}", file=sys.stderr)
    return {full_name(spec): spec for spec in specs if spec["LeafNodeType"] == "It"}


@contextmanager
def beside(kubeconfig: Path, directory: Path, args: argparse.Namespace) -> Iterator[None]:
    """The controllers of upstream's that are asked for, for the length of a block."""
    if not args.theirs:
        yield
        return
    arguments = programs.controller_manager(kubeconfig, directory, port=programs.free_port(), controllers=args.theirs)
    with programs.running("kube-controller-manager", arguments, directory) as manager:
        yield
        if manager.ended is not None:
            print(f"kube-controller-manager ended; its log:\n{manager.end_of_log()}", file=sys.stderr)
        if args.keep:
            args.keep.with_suffix(".kcm.log").write_text(manager.log.read_text())


def start_platform(environment: dict[str, str], args: argparse.Namespace) -> Path:
    # The address of a server that only this machine reaches stands in no Endpoints, and one test wants them.
    command = [sys.executable, "-m", "lightship", *up(args), "--bind-address", "0.0.0.0", "-o", "json"]
    started = subprocess.run(command, env=environment, check=True, capture_output=True)
    return Path(json.loads(started.stdout)["kubeconfig"])


def test(names: list[str], args: argparse.Namespace, kubeconfig: Path, directory: Path) -> None:
    """One run of the unmodified binary; its output is kept in the directory."""
    focus = "(" + "|".join(re.escape(name) for name in names) + ")$"
    folder = programs.folder()
    command = [
        *(str(folder / "ginkgo"), "run", f"--procs={args.procs}", f"--timeout={MINUTES}m", "--silence-skips", "--no-color"),
        *("--json-report=report.json", f"--output-dir={directory}", f"--focus={focus}", str(folder / "e2e.test"), "--"),
        *("--kubeconfig", str(kubeconfig), "--kubectl-path", str(folder / "kubectl")),
        *("--provider", "skeleton", "--num-nodes", str(args.nodes or args.agents)),
        *("--disable-log-dump", "--dump-logs-on-failure=false"),
    ]
    with (directory / "ginkgo.log").open("wb") as output:
        child = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True, cwd=directory)
        try:
            child.wait(MINUTES * 60 + 60)
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
    if not (directory / "report.json").exists():
        raise RuntimeError((directory / "ginkgo.log").read_text()[-4000:])


def full_name(spec: dict[str, Any]) -> str:
    return " ".join([*(spec["ContainerHierarchyTexts"] or []), spec["LeafNodeText"]])


def report(names: list[str], specs: conformance_page.Specs) -> int:
    passed = 0
    for name in names:
        spec = specs.get(name)
        if spec and spec["State"] == "passed":
            passed += 1
            continue
        print(f"- {name}: {spec['State'] if spec else 'did not run'}")
        if spec and spec.get("Failure"):
            print("    " + spec["Failure"]["Message"][:1500].replace("\n", "\n    "))
    return passed


if __name__ == "__main__":
    sys.exit(main())
