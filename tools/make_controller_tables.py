"""Write tests/builtin/tables/*.jsonl from the tables of kube-controller-manager's own unit tests.

    python tools/make_controller_tables.py <folder of a Go module that requires k8s.io/kubernetes> [name ...]

The tests are copied and run with a few lines more that write down every case before it runs: fields by their JSON or Go names, times as
seconds before now, errors as their texts; functions, fakes and what counts metrics are left out. One case a line.
The tables are data of github.com/kubernetes/kubernetes (Apache 2.0).
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

PAGES = Path(__file__).parent.parent / "tests" / "builtin" / "tables"
ROOT = "k8s.io/kubernetes/pkg/controller"
PACKAGES = {
    "hpa": ("podautoscaler", "Test"),
    "hpa_ratios": ("podautoscaler/metrics", "Test"),
    "node_lifecycle": ("nodelifecycle", "Test"),
    "taint_eviction": ("tainteviction", "Test"),
    "disruption": ("disruption", "Test"),
    "podgc": ("podgc", "Test"),
    "ttl": ("ttl", "Test"),
    "ttl_after_finished": ("ttlafterfinished", "Test"),
}
LEFT_OUT = {"TestMultipleHPAs"}
"""Tests of many times the same."""
_LOOP = re.compile(r"^(\t+for (\w+), (\w+) := range (\w+) \{)$", re.M)
_RUN = re.compile(r"^(func \(tc \*\w*[tT]estCase\) (?:setupController|runTest)\(t \*testing\.T\).*\{)$", re.M)
_PACKAGE = re.compile(r"^package (\w+)", re.M)

WRITER = r"""
package PACKAGE

import (
	"encoding/json"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
	"unsafe"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

var leftOut = regexp.MustCompile("^(expected(Reported|MetricComp|Reconc)|verify(Recon|Metric)|useMetricsAPI|checkDesired)")

func writeCase(t testing.TB, name any, found any) {
	v := reflect.ValueOf(found)
	for v.IsValid() && v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if !v.IsValid() || v.Kind() != reflect.Struct {
		return
	}
	line, err := json.Marshal(map[string]any{"test": t.Name(), "case": name, "given": plainOf(v)})
	if err != nil {
		panic(err)
	}
	file, err := os.OpenFile(os.Getenv("TABLES_OUT"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		panic(err)
	}
	defer file.Close()
	file.Write(append(line, '\n'))
}

func plainTime(at time.Time) any {
	if at.IsZero() {
		return nil
	}
	ago := time.Since(at)
	if ago > 1000*time.Hour || ago < -1000*time.Hour {
		return at.UTC().Format(time.RFC3339Nano)
	}
	return map[string]any{"ago": ago.Round(time.Second).Seconds()}
}

func plainOf(v reflect.Value) any {
	if !v.IsValid() {
		return nil
	}
	if !v.CanAddr() {
		held := reflect.New(v.Type())
		held.Elem().Set(v)
		v = held.Elem()
	}
	v = reflect.NewAt(v.Type(), unsafe.Pointer(v.UnsafeAddr())).Elem()
	switch found := v.Interface().(type) {
	case time.Time:
		return plainTime(found)
	case *metav1.Time:
		if found != nil && found.IsZero() {
			return "0001-01-01T00:00:00Z"
		}
	case metav1.Time:
		return plainTime(found.Time)
	case metav1.MicroTime:
		return plainTime(found.Time)
	case time.Duration:
		return found.Seconds()
	case metav1.Duration:
		return found.Duration.Seconds()
	case resource.Quantity:
		return found.String()
	case labels.Selector:
		return found.String()
	case error:
		return found.Error()
	case json.Marshaler:
		if v.Kind() != reflect.Pointer {
			var out any
			text, err := found.MarshalJSON()
			if err == nil && json.Unmarshal(text, &out) == nil {
				return out
			}
		}
	}
	switch v.Kind() {
	case reflect.Func, reflect.Chan, reflect.UnsafePointer:
		return nil
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil
		}
		if v.Kind() == reflect.Interface {
			return plainOf(v.Elem())
		}
		return plainOf(v.Elem())
	case reflect.Slice, reflect.Array:
		if v.Kind() == reflect.Slice && v.IsNil() {
			return nil
		}
		out := []any{}
		for i := 0; i < v.Len(); i++ {
			out = append(out, plainOf(v.Index(i)))
		}
		return out
	case reflect.Map:
		if v.IsNil() {
			return nil
		}
		out := map[string]any{}
		for _, key := range v.MapKeys() {
			text, _ := json.Marshal(plainOf(key))
			out[strings.Trim(string(text), "\"")] = plainOf(v.MapIndex(key))
		}
		return out
	case reflect.Struct:
		where := v.Type().PkgPath()
		for _, word := range []string{"/fake", "client-go", "ktesting", "podautoscaler/util"} {
			if where == "sync" || strings.Contains(where, word) {
				return nil
			}
		}
		out := map[string]any{}
		for i := 0; i < v.NumField(); i++ {
			field := v.Type().Field(i)
			tag, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			value := plainOf(v.Field(i))
			inner, nested := value.(map[string]any)
			if tag == "" && field.Anonymous && nested {
				for key, each := range inner {
					out[key] = each
				}
				continue
			}
			if tag == "" {
				tag = field.Name
			}
			if value == nil || v.Field(i).IsZero() || leftOut.MatchString(tag) {
				continue
			}
			if nested && len(inner) == 0 && strings.HasPrefix(where, "k8s.io/a") && v.Field(i).Kind() != reflect.Pointer {
				continue
			}
			out[tag] = value
		}
		return out
	case reflect.Float32, reflect.Float64:
		return v.Float()
	}
	return v.Interface()
}
"""


def instrumented(text: str) -> str:
    """The text of a test file, with a call in every loop over cases and at the start of what runs one."""
    text = _RUN.sub(r"\1\n\twriteCase(t, nil, tc)", text)
    out, current, letter = [], "", ""
    for line in text.split("\n"):
        if line.startswith("func "):
            named = re.match(r"func (?:\(.*?\) )?(\w+)\(([^)]*)", line)
            parameters = named.group(2) if named else ""
            found = re.search(r"\b(\w+) (?:\*testing\.T|testing\.TB)", parameters)
            letter = found.group(1) if found else ""
            current = named.group(1) if named else ""
        out.append(line)
        loop = _LOOP.match(line)
        if loop and letter and current.startswith("Test"):
            name = loop.group(2)
            out.append(f"{line[: len(line) - len(line.lstrip())]}\twriteCase({letter}, {'nil' if name == '_' else name}, {loop.group(3)})")
    return "\n".join(out)


def cases(module: Path, package: str, run: str) -> list[str]:
    """One line of JSON for each case of a package's tests."""
    where = subprocess.run(
        ["go", "list", "-mod=mod", "-f", "{{.Dir}}", f"{ROOT}/{package}"], cwd=module, check=True, capture_output=True, text=True
    )
    directory = Path(where.stdout.strip())
    with tempfile.TemporaryDirectory() as scratch:
        here, out = Path(scratch) / "cases", Path(scratch) / "cases.jsonl"
        here.mkdir()
        for name in ("go.mod", "go.sum"):
            (Path(scratch) / name).write_bytes((module / name).read_bytes())
        for file in directory.glob("*.go"):
            text = file.read_text()
            (here / file.name).write_text(instrumented(text) if file.name.endswith("_test.go") else text)
        named = _PACKAGE.search(text)
        (here / "zz_writer_test.go").write_text(WRITER.replace("PACKAGE", named.group(1) if named else ""))
        command = ["go", "test", "-mod=mod", "-vet=off", "-count=1", f"-run={run}", "./cases"]
        done = subprocess.run(command, check=False, cwd=scratch, env={**os.environ, "TABLES_OUT": str(out)}, capture_output=True, text=True)
        print(package, done.stdout[-2000:], done.stderr[-2000:], file=sys.stderr)
        return out.read_text().splitlines() if out.exists() else []


def main() -> None:
    module, *chosen = sys.argv[1:]
    PAGES.mkdir(exist_ok=True)
    for name, (package, run) in PACKAGES.items():
        if not chosen or name in chosen:
            found = (json.loads(line) for line in cases(Path(module), package, run))
            kept = (each for each in found if each["test"].partition("/")[0] not in LEFT_OUT)
            lines = sorted({json.dumps(each, sort_keys=True, separators=(",", ":")) for each in kept})
            (PAGES / f"{name}.jsonl").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
