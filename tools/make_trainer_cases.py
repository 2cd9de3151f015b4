"""Write tests/train/cases/*.jsonl: what upstream's own tests of Trainer put in, and what came out of upstream's own code.

    python tools/make_trainer_cases.py $(go list -m -f '{{.Dir}}' github.com/kubeflow/trainer/v2) [SUITE ...]

Suites: `webhooks` and `controller` are its integration tests, run on a copy of the module against etcd and kube-apiserver out of
.oracle/bin, with every request of the tests and its answer noted; a line is one spec, as steps. `reports` are specs of ours
(recording/trainer_reports.yaml) that its controllers and its status server are put through with the gate TrainJobStatus on. `tables` are
the tables of its unit tests, a line a case. Run again, it writes the same: what is drawn or of that day is written as what stands for it.
One thing is left to chance: three of `controller` write an object back that upstream is changing at that moment, and read it before
(`suspend`, or the condition Suspended) or after.
Needs Go, and the network once, for what the module's tests require. Definitions of JobSet and coscheduling come from Go's module cache.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
CASES = ROOT / "tests" / "train" / "cases"
NOTES = Path(__file__).resolve().parent / "recording"
PACKAGES = (
    *("pkg/runtime/core", "pkg/runtime/framework/core", "pkg/webhooks"),
    *(
        f"pkg/runtime/framework/plugins/{p}"
        for p in ("coscheduling", "flux", "jax", "jobset", "mpi", "plainml", "torch", "volcano", "xgboost")
    ),
)
SERVERS_OWN = (
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "uid",
)
"""Metadata that a server makes up."""
LONG = 1000
"""Characters, from which on a text of one letter is written as the letter and a number."""
ANYTHING = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_SAME = ("-args", "-ginkgo.seed=1")
"""Specs in the same order every time."""
_NEW_RUNTIMES = "runtimecore.New(ctx, mgr.GetClient(), mgr.GetFieldIndexer(), reporting(cfg))"
_DRAWN_LISTS = ("env", "volumes", "volumeMounts")
_DEFAULTED = "tc.wantTime(tc.newObj.Spec.RuntimePatches)"
"""Where a test expects by function: the case is told again, as it came out."""
NAMESPACE, MOMENT, UID = "space", "2026-01-01T00:00:00Z", "00000000-0000-0000-0000-000000000000"
"""What stands for names that are drawn, for times of the day of recording, and for uids."""
_DRAWN = re.compile(r"^(\s*(?:uid|resourceVersion|creationTimestamp|time)): .*$", re.MULTILINE)
_LOOP = re.compile(r"for (\w+), (\w+) := range (\w+) \{\n\t\tt\.Run\(\w+, func\(t \*testing\.T\) \{\n")
_TELL = r"for \1, \2 := range \3 {\n\t\ttell(t, \1, \2)\n\t}\n\t\g<0>"
"""All cases before any of them runs: some share what they are given, and change it."""
_RECENT = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
_UID = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
_STARTED = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
_PATH = re.compile(r"^/apis?(/[^/]+\.[^/]+)?/v[^/]+/")


def main() -> int:
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    module, chosen = Path(sys.argv[1]), sys.argv[2:] or ["webhooks", "controller", "reports", "tables"]
    CASES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for name in chosen:
            work = Path(folder) / name / "trainer"
            shutil.copytree(module, work)
            for path in (work, *work.rglob("*")):
                path.chmod(0o755)
            rows = list(tables(work) if name == "tables" else specs(work, name))
            target = CASES / f"{name}.jsonl"
            target.write_text("".join(json.dumps(row, sort_keys=True, separators=(",", ":")) + "\n" for row in rows))
            print(f"{name}: {len(rows)} cases, {target.stat().st_size} bytes")
    return 0


def tables(work: Path) -> Iterator[dict[str, Any]]:
    """The cases of the unit tests, told as the test of their table begins."""
    writer = (NOTES / "trainer_tables.go.txt").read_text()
    for package in PACKAGES:
        for file in (work / package).glob("*_test.go"):
            text = file.read_text()
            told = _LOOP.sub(_TELL, text)
            file.write_text(told.replace(_DEFAULTED, f"{_DEFAULTED}\ntell(t, name, tc)"))
            named = re.search(r"^package (\w+)", text, re.MULTILINE)
        (work / package / "zz_tell_test.go").write_text(writer.replace("PACKAGE", named[1] if named else ""))
    noted = _test(work, "-vet=off", *(f"./{package}" for package in PACKAGES))
    rows = [{**row, "given": _tidy(row["given"])} for row in noted if row["given"]]
    yield from sorted(rows, key=lambda row: (row["package"], row["test"], row["case"]))


def specs(work: Path, suite: str) -> Iterator[dict[str, Any]]:
    """The specs of an integration test, each beginning with its namespace."""
    framework = work / "test" / "integration" / "framework"
    shutil.copy(NOTES / "trainer_requests.go.txt", framework / "zz_requests.go")
    _edit(framework / "framework.go", "client.New(cfg,", "client.New(noted(cfg),")
    _definitions(work)
    if suite == "reports":
        _reporting(work, framework)
    environment = {"CASES": str(work.parent / "reports.json"), "TOKEN_FILE": str(work.parent / "token")}
    found = _specs([row for row in _test(work, f"./test/integration/{suite}", *_SAME, **environment) if _PATH.match(row["path"])])
    yield from map(_by_name, found) if suite == "reports" else found


def _reporting(work: Path, framework: Path) -> None:
    """The gate is on, the status server runs beside the controllers, and our specs are there. Its issuer is told by a file."""
    shutil.copy(NOTES / "trainer_reporting.go.txt", framework / "zz_reporting.go")
    tests = work / "test" / "integration" / "reports"
    tests.mkdir(exist_ok=True)
    shutil.copy(NOTES / "trainer_reports.go.txt", tests / "reports_test.go")
    (work.parent / "reports.json").write_text(json.dumps(yaml.safe_load((NOTES / "trainer_reports.yaml").read_text())))
    _edit(framework / "framework.go", "cfg, err := f.testEnv.Start()", "reachable(f.testEnv)\n\tcfg, err := f.testEnv.Start()")
    _edit(framework / "framework.go", "runtimecore.New(ctx, mgr.GetClient(), mgr.GetFieldIndexer(), nil)", _NEW_RUNTIMES)
    _edit(framework / "framework.go", "go func() {\n\t\tdefer ginkgo", "serve(mgr, webhookInstallOpts)\n\tgo func() {\n\t\tdefer ginkgo")
    _edit(work / "pkg" / "statusserver" / "server.go", "<-serverShutdown", "_ = serverShutdown")  # nobody closes it: 2.3 never ends
    _edit(work / "pkg" / "statusserver" / "auth.go", '"/var/run/secrets/kubernetes.io/serviceaccount/token"', 'os.Getenv("TOKEN_FILE")')


def _edit(file: Path, old: str, new: str) -> None:
    """Raises `ValueError` where upstream has changed."""
    text = file.read_text()
    if old not in text:
        raise ValueError(f"{file} has no {old!r} any more: look how this version does it")
    file.write_text(text.replace(old, new))


def _specs(noted: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Each spec with its namespace. Objects that outlive namespaces are made again where an earlier spec had left them."""
    made: dict[str, dict[str, Any]] = {}
    for row in noted:
        if row["method"] == "POST":
            key = f"{row['path']}/{row['sent'].get('metadata', {}).get('name')}"
            row.update(made.get(key, {}) if row["code"] == 409 else {})
            made[key] = {name: row.get(name) for name in ("sent", "answer", "code")}
    starts = [i for i, row in enumerate(noted) if row["method"] == "POST" and row["path"] == "/api/v1/namespaces"]
    for start, end in zip(starts, [*starts[1:], len(noted)], strict=True):
        namespace = noted[start]["answer"]["metadata"]["name"]
        # A spec that looks into another one's namespace finds what nobody has cleared away there.
        own = [row for row in noted[start + 1 : end] if f"/namespaces/{namespace}/" in row["path"] or "/namespaces/" not in row["path"]]
        case = {"spec": noted[start]["spec"], "namespace": namespace, "steps": _steps(own)}
        yield json.loads(json.dumps(case).replace(namespace, NAMESPACE))


def _steps(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Writes as they were; of reads between two writes, what was seen last of each object: that is what the spec waited for."""
    steps: list[dict[str, Any]] = []
    seen: dict[str, dict[str, Any]] = {}
    for row in map(_silent, rows):
        if row["code"] == 409 and row["method"] == "PUT":
            continue  # a race that the spec runs again
        if row["method"] == "GET":
            seen.pop(row["path"], None)
            seen[row["path"]] = _step(row)
        else:
            steps += [*seen.values(), _step(row)]
            seen = {}
    return [*steps, *seen.values()]


def _by_name(value: Any) -> Any:
    """Mounts and variables in the order of their names: upstream's plugins take turns in one that is drawn."""
    if isinstance(value, list):
        return [_by_name(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {key: _by_name(item) for key, item in value.items()}
    return {key: sorted(item, key=json.dumps) if key in _DRAWN_LISTS else item for key, item in kept.items()}


def _silent(row: dict[str, Any]) -> dict[str, Any]:
    """Without keys and upstream's scripts, which are not ours to keep: their names will do."""
    answer = row.get("answer") or {}
    if "data" in answer and (row["path"].endswith("-flux-entrypoint") or answer.get("kind") == "Secret"):
        return {**row, "answer": {**answer, "data": dict.fromkeys(answer["data"], "")}}
    return row


def _step(row: dict[str, Any]) -> dict[str, Any]:
    answer, sent = row.get("answer") or {}, row.get("sent") or {}
    step = {"method": row["method"], "path": row["path"], "code": row["code"]}
    if row["method"] == "REPORT":
        return {**step, "asked": row["asked"], "type": row["type"], "text": row["text"]}
    if row["method"] in ("POST", "PUT", "PATCH"):
        step["sent"] = _tidy(sent)
    if row["code"] >= 400:
        step["message"] = answer.get("message")
    elif row["method"] != "DELETE":
        step["answer"] = _tidy(answer)
    if row.get("warnings"):
        step["warnings"] = row["warnings"]
    if step.get("sent") == step.get("answer"):
        step.pop("answer", None)
    return step


def _tidy(value: Any) -> Any:
    """Without what differs from run to run, and what Go writes of things that are not there."""
    if isinstance(value, str):
        if "\nkind: " in value:  # a snapshot
            value = _DRAWN.sub(r"\1: drawn", value)
        if _RECENT.match(value) and value >= _STARTED:
            return MOMENT
        if _UID.match(value):
            return UID
        return {"$repeat": [value[0], len(value)]} if len(value) > LONG and len(set(value)) == 1 else value
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {key: _tidy(item) for key, item in value.items() if item is not None}
    if isinstance(kept.get("metadata"), dict):
        given = "uid" in value["metadata"] and "resourceVersion" not in value["metadata"]
        kept["metadata"] = {k: v for k, v in kept["metadata"].items() if k not in SERVERS_OWN or (k == "uid" and given)}
    return {key: item for key, item in kept.items() if not (key in ("status", "strategy", "resources", "metadata") and item == {})}


def _test(work: Path, *arguments: str, **more: str) -> list[dict[str, Any]]:
    """Run tests, which must pass, and read what they noted."""
    out = work.parent / "noted.jsonl"
    out.write_text("")
    patience = {f"KUBEBUILDER_CONTROLPLANE_{what}_TIMEOUT": "300s" for what in ("START", "STOP")}
    assets = {"KUBEBUILDER_ASSETS": str(ROOT / ".oracle" / "bin"), "GOFLAGS": "-mod=mod"}
    environment = {**os.environ, **patience, **assets, "NOTED": str(out), **more}
    subprocess.run(["go", "test", "-count=1", "-timeout=30m", *arguments], cwd=work, env=environment, check=True)
    return [json.loads(line) for line in out.read_text().splitlines()]


def _definitions(work: Path) -> None:
    """The definitions of kinds that upstream's Makefile downloads; Volcano's takes anything."""
    there = work / "manifests" / "external-crds"
    for name, module, file in (
        ("jobset-operator", "sigs.k8s.io/jobset", "config/components/crd/bases/jobset.x-k8s.io_jobsets.yaml"),
        ("scheduler-plugins/crd.yaml", "sigs.k8s.io/scheduler-plugins", "config/crd/bases/scheduling.x-k8s.io_podgroups.yaml"),
    ):
        found = subprocess.run(["go", "list", "-m", "-f", "{{.Dir}}", module], cwd=work, check=True, capture_output=True, text=True)
        target = there / name
        (target if target.suffix != ".yaml" else target.parent).mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(found.stdout.strip()) / file, target)
    version = {"name": "v1beta1", "served": True, "storage": True, "subresources": {"status": {}}, "schema": {"openAPIV3Schema": ANYTHING}}
    names = {"kind": "PodGroup", "listKind": "PodGroupList", "plural": "podgroups", "singular": "podgroup"}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "podgroups.scheduling.volcano.sh"},
        "spec": {"group": "scheduling.volcano.sh", "scope": "Namespaced", "names": names, "versions": [version]},
    }
    volcano = there / "volcano" / "scheduling.volcano.sh_podgroups.yaml"
    volcano.parent.mkdir(parents=True, exist_ok=True)
    volcano.write_text(json.dumps(definition))


if __name__ == "__main__":
    sys.exit(main())
