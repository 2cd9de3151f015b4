"""Make `tests/builtin/jobset_cases.jsonl`: upstream's test tables for JobSet, each case with what upstream's own code makes of it.

    python tools/make_jobset_cases.py $(go list -m -f '{{.Dir}}' sigs.k8s.io/jobset)

Copies the module's sources, has each case of its unit tests written out as it runs (inputs, expectations, and where the expectation is
only part of a text, the whole answer), and runs them with `go test`. Needs Go, and no network once the module's dependencies are there.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parent.parent / "tests/builtin/jobset_cases.jsonl"
PACKAGES = ("controllers", "webhooks")
NOW = "time.Unix(1700000000, 0).UTC()"
MOMENT = "2023-11-14T22:13:20Z"
TODAY = "2025"
"""Times after it are those of the run."""
LATE = ("TestConstructJobsFromTemplate",)
"""Tests that complete their expectations as they run."""
ANSWERS = {
    "TestValidateCreate": "_, err := testWebhook.ValidateCreate(context.TODO(), tc.js.DeepCopy())",
    "TestValidateUpdate": "_, err := webhook.ValidateUpdate(context.TODO(), oldObj, newObj)",
}
"""Calls whose whole answer is wanted."""
NOISE: dict[str, Any] = {"creationTimestamp": None, "metadata": {}, "resources": {}, "strategy": {}}
"""What Go writes of structs that nobody filled."""
DUMPER = """package %s

import (
	"encoding/json"
	"os"
	"reflect"
	"testing"
	"time"
	"unsafe"

	"k8s.io/apimachinery/pkg/runtime"
)

func tell(t *testing.T, test string, tc any, answer error) {
	row := map[string]any{"test": test, "case": plain(reflect.ValueOf(tc))}
	if answer != nil {
		row["answer"] = answer.Error()
	}
	text, err := json.Marshal(row)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(os.Getenv("CASES"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	file.Write(append(text, '\\n'))
}

func plain(v reflect.Value) any {
	if !v.IsValid() {
		return nil
	}
	if v.CanInterface() {
		switch known := v.Interface().(type) {
		case error:
			if v.Kind() == reflect.Ptr && v.IsNil() {
				return nil
			}
			return known.Error()
		case interface{ Now() time.Time }:
			return known.Now()
		case runtime.Object, json.Marshaler, time.Duration:
			return known
		}
	}
	switch v.Kind() {
	case reflect.Func, reflect.Chan:
		return nil
	case reflect.Ptr, reflect.Interface:
		return plain(v.Elem())
	case reflect.Slice, reflect.Array:
		found := []any{}
		for i := range v.Len() {
			found = append(found, plain(v.Index(i)))
		}
		return found
	case reflect.Struct:
		if v.NumField() > 0 && v.Type().Field(0).IsExported() {
			return v.Interface()
		}
		copied := reflect.New(v.Type()).Elem()
		copied.Set(v)
		found := map[string]any{}
		for i := range copied.NumField() {
			field := copied.Field(i)
			field = reflect.NewAt(field.Type(), unsafe.Pointer(field.UnsafeAddr())).Elem()
			found[copied.Type().Field(i).Name] = plain(field)
		}
		return found
	}
	return v.Interface()
}
"""
_TEST = re.compile(r"^func (Test\w+)\(", re.MULTILINE)
_RUN = re.compile(r"t\.Run\(tc\.(?:name|desc), func\(t \*testing\.T\) \{\n")


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        rows = told(Path(arguments[0]), Path(folder))
    TARGET.write_text("".join(json.dumps(row, sort_keys=True, separators=(",", ":")) + "\n" for row in rows))
    print(f"{TARGET}: {len(rows)} cases, {TARGET.stat().st_size} bytes")
    return 0


def told(module: Path, folder: Path) -> list[dict[str, Any]]:
    """The cases of the tests of a module, which are run in `folder`."""
    shutil.copytree(module, folder, dirs_exist_ok=True)
    for path in folder.rglob("*"):
        path.chmod(0o755)
    for name in PACKAGES:
        package = folder / "pkg" / name
        for path in package.glob("*_test.go"):
            path.write_text(instrumented(path.read_text()))
        (package / "tell_test.go").write_text(DUMPER % name)
    cases = folder / "cases.jsonl"
    command = ["go", "test", "-count=1", *(f"./pkg/{name}" for name in PACKAGES)]
    subprocess.run(command, cwd=folder, env={**os.environ, "CASES": str(cases)}, check=True)
    return [clean(json.loads(line)) for line in cases.read_text().splitlines()]


def instrumented(source: str) -> str:
    """A file of tests that tells its cases."""
    parts = _TEST.split(source)
    found = [parts[0]]
    for test, body in zip(parts[1::2], parts[2::2], strict=True):
        telling = _telling(test, body)
        if '"time"' in parts[0]:
            telling = telling.replace("metav1.Now()", f"metav1.NewTime({NOW})").replace("time.Now()", NOW)
        found.append(f"func {test}({telling}")
    return "".join(found)


def _telling(test: str, body: str) -> str:
    """The body of a test that tells its cases."""
    if answer := ANSWERS.get(test):
        return body.replace(answer, f'{answer}\n\t\t\ttell(t, "{test}", tc, err)')
    when = "defer " if test in LATE else ""
    return _RUN.sub(lambda m: f'{m[0]}{when}func() {{ tell(t, "{test}", tc, nil) }}()\n', body)


def clean(value: Any) -> Any:
    """Without what Go adds; with the replicas that it leaves out when there are none."""
    if isinstance(value, list):
        return [clean(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {k: clean(v) for k, v in value.items()}
    kept = {k: v for k, v in kept.items() if not (k in NOISE and v == NOISE[k])}
    if (kept.get("lastTransitionTime") or "") > TODAY:
        kept["lastTransitionTime"] = MOMENT
    for replicated in kept.get("replicatedJobs") or []:
        if isinstance(replicated, dict):
            replicated.setdefault("replicas", 0)
    return kept


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
