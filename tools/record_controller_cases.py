#!/usr/bin/env python3
"""Write upstream's tables for controllers into `tests/builtin/cases`: what their tests put in, and what came out.

    python -m tools.record_controller_cases [volumes|mirroring|cidrs ...]

Runs upstream's own unit tests on a copy of the package out of Go's module cache, in which the functions under test note what goes in and
what comes out. A case counts only if the tests pass. Needs Go and the module in `oracle/core`.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
CASES = ROOT / "tests" / "builtin" / "cases"
MODULE = ROOT / "oracle" / "core"
NOTES = Path(__file__).resolve().parent / "recording"
"""Go files that are added to a package: they know how to write a case down."""


class Edit(NamedTuple):
    """In a file of the package: after what the pattern finds, this is inserted."""

    file: str
    pattern: str
    added: str


class Table(NamedTuple):
    package: str
    tests: str
    edits: tuple[Edit, ...]


VOLUMES = "k8s.io/kubernetes/pkg/controller/volume/persistentvolume"
TABLES = {
    "volumes": Table(
        VOLUMES,
        "Sync|Retroactive",
        (
            Edit(
                "framework_test.go", r"doit := func\(t \*testing.T, test controllerTest\) \{", '\nnote(t, "", test, storageClasses, pods)'
            ),
            Edit(
                "framework_test.go", r"run := func\(t \*testing.T, test controllerTest\) \{", '\nnote(t, "all", test, storageClasses, nil)'
            ),
            Edit("framework_test.go", r"(?s)func testSyncClaim\(.*?\{", '\nnoted.Call = "claim"'),
            Edit("framework_test.go", r"(?s)func testSyncClaimError\(.*?\{", '\nnoted.Call = "claim error"'),
            Edit("framework_test.go", r"(?s)func testSyncVolume\(.*?\{", '\nnoted.Call = "volume"'),
            Edit("framework_test.go", r"plugin := &mockVolumePlugin\{\n\s+recycleCalls.*?\n.*?\n.*?\n\s+\}", "\nnotePlugin(plugin)"),
            Edit("framework_test.go", r"ctrl.translator = fakeCSINameTranslator\{\}", "\nnoted.Migrated = true"),
            Edit("framework_test.go", r"injectBeforeOperation\(ctrl, reactor\)\n", "noteInjected(ctrl)\n"),
            Edit("framework_test.go", r"evaluateTestResults\(ctx, ctrl, reactor.VolumeReactor, test, t\)\n", "noteEnd(t)\n"),
        ),
    ),
    "matching": Table(
        VOLUMES,
        "Match|Finding|Filtering|BestMatch|InUseProtection",
        (Edit("index.go", r"findBestMatchForClaim\(.*?\{", "\ndefer func() { noteMatch(pvIndex, claim, delayBinding, found, err) }()"),),
    ),
    "migration": Table(
        VOLUMES,
        "AnnealMigration|ModifyDeletion",
        (
            Edit("pv_controller_base.go", r"func updateMigrationAnnotations\(.*?\{", "\ndefer noteMigration(ann, claim)()"),
            Edit(
                "pv_controller_base.go",
                r"func modifyDeletionFinalizers\(.*?\{",
                "\ndefer func() { noteFinalizers(volume, found, changed) }()",
            ),
        ),
    ),
    "mirroring": Table(
        "k8s.io/kubernetes/pkg/controller/endpointslicemirroring",
        "TestReconcile|TestSyncEndpoints|TestRecycleSlices|TestAddressToEndpoint|TestNewEndpointSlice",
        (
            Edit("reconciler.go", r"\) reconcile\(ctx .*?\{", "\ndefer noteReconcile(r, endpoints, existingSlices)()"),
            Edit("reconciler.go", r"\) finalize\(ctx .*?\{", "\nnoteSlices(slices)"),
        ),
    ),
    "cidrs": Table(
        "k8s.io/kubernetes/pkg/controller/servicecidrs",
        "TestControllerSync|canDeleteCIDR",
        (
            Edit("servicecidrs_controller.go", r"\) sync\(ctx .*?\{", "\ndefer func() { noteSync(c, key) }()"),
            Edit(
                "servicecidrs_controller.go",
                r"\) canDeleteCIDR\(ctx .*?\{",
                "\ndefer func() { noteDeletable(c, serviceCIDR, deletable) }()",
            ),
        ),
    ),
}
RENAMED = (  # results that the notes need a name for
    (r"(findBestMatchForClaim\(.*?\)) \(\*v1.PersistentVolume, error\) \{", r"\1 (found *v1.PersistentVolume, err error) {"),
    (r"(func modifyDeletionFinalizers\(.*?\)) \(\[\]string, bool\) \{", r"\1 (found []string, changed bool) {"),
    (r"(\) canDeleteCIDR\(.*?\)) \(bool, error\) \{", r"\1 (deletable bool, err error) {"),
    (r"t\.Parallel\(\)\n", "\n"),
)


OFF = re.compile("features.VolumeAttributesClass=false")
"""Cases of a feature that upstream lets be switched off."""


def main() -> int:
    CASES.mkdir(exist_ok=True)
    for name in sys.argv[1:] or TABLES:
        cases = record(name, TABLES[name])
        (CASES / f"{name}.jsonl").write_text("".join(json.dumps(case, separators=(",", ":")) + "\n" for case in cases))
        print(f"{name}: {len(cases)} cases")
    return 0


def record(name: str, table: Table) -> list[dict[str, Any]]:
    """Run the tests of a table and read what they noted. Raises `CalledProcessError` when they fail."""
    folder = Path(_go(MODULE, "list", "-f", "{{.Dir}}", table.package))
    with tempfile.TemporaryDirectory() as scratch:
        there = Path(scratch)
        package = there / "package"
        package.mkdir()
        for file in ("go.mod", "go.sum"):
            shutil.copy(MODULE / file, there)
        for source in folder.glob("*.go"):
            (package / source.name).write_text(_edited(source, table))
        (package / ("zz_notes.go" if _in_source(table) else "zz_notes_test.go")).write_text((NOTES / f"{name}.go.txt").read_text())
        out = there / "cases.jsonl"
        out.touch()
        _go(there, "test", "-count=1", f"-run={table.tests}", "./package", noted=str(out))
        found = {line: _bare(json.loads(line)) for line in out.read_text().splitlines()}
    return [case for case in found.values() if not OFF.match(case.get("Name", ""))]


def _bare(value: Any) -> Any:
    """Without what Go writes of things that are not there."""
    if isinstance(value, dict):
        return {key: _bare(item) for key, item in value.items() if item is not None and key != "creationTimestamp"}
    return [_bare(item) for item in value] if isinstance(value, list) else value


def _edited(source: Path, table: Table) -> str:
    text = source.read_text()
    for pattern, better in RENAMED:
        text = re.sub(pattern, better, text)
    for edit in (edit for edit in table.edits if edit.file == source.name):
        text, count = re.subn(edit.pattern, lambda found, added=edit.added: found.group() + added, text)
        if not count:
            raise SystemExit(f"{edit.file} of {table.package} has changed: no {edit.pattern}")
    return text


def _in_source(table: Table) -> bool:
    """Functions of the package itself are noted, not only those of its tests."""
    return not any(edit.file.endswith("_test.go") for edit in table.edits)


def _go(module: Path, *arguments: str, noted: str = "") -> str:
    environment = {**os.environ, "NOTED": noted, "GOFLAGS": "-mod=mod", "GOWORK": "off"}
    ran = subprocess.run(["go", *arguments], cwd=module, env=environment, check=False, capture_output=True, text=True)
    if ran.returncode:
        raise SystemExit(ran.stdout[-4000:] + ran.stderr[-4000:])
    return ran.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
