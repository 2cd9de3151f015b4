"""Run LeaderWorkerSet's own tests and keep what goes into and comes out of the functions that decide, for `tests/builtin` to compare with.

    python tools/record_leaderworkerset_cases.py MODULE OPERATORS [--assets FOLDER]

MODULE is the folder of sigs.k8s.io/lws, OPERATORS that of a Go module that requires it and what its tests need. With a folder of etcd and
kube-apiserver the integration tests are run too. Both folders are copied; in the copy the functions listed below write down their calls.
Every call that differs from the others is one line of the result: the function's name, its arguments before, and what it made of them.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

TARGET = Path(__file__).resolve().parent.parent / "tests" / "builtin" / "cases" / "leaderworkerset.jsonl"
MOST = 60
BYTES = 30_000
"""Calls that are kept of a function, and how long they are together at most: the shortest, which say the most."""
PACKAGES = ("./pkg/controllers/...", "./pkg/webhooks", "./pkg/utils/...", "./pkg/schedulerprovider")
INTEGRATION = ("./test/integration/controllers", "./test/integration/webhooks")
VOLATILE = ("uid", "creationTimestamp", "resourceVersion", "managedFields", "lastTransitionTime")
RECORDER = """package record

import (
	"encoding/json"
	"os"
	"sync"
)

var lock sync.Mutex

func Begin(name string, given ...any) func(made ...any) {
	before, _ := json.Marshal(given)
	return func(made ...any) {
		after, _ := json.Marshal(made)
		line, _ := json.Marshal(map[string]any{"call": name, "given": json.RawMessage(before), "made": json.RawMessage(after)})
		lock.Lock()
		defer lock.Unlock()
		file, err := os.OpenFile(os.Getenv("LWS_CALLS"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err == nil {
			defer file.Close()
			file.Write(append(line, '\\n'))
		}
	}
}

func Text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
"""


class Function(NamedTuple):
    """Where a function is, how its results are called from now on, and Go for what is written down of it."""

    file: str
    name: str
    results: str
    given: str
    made: str


FUNCTIONS = (
    Function("pkg/utils/accelerators/tpu.go", "AddTPUVariables", "(err error)", "pod, size", "pod, record.Text(err)"),
    Function("pkg/utils/accelerators/tpu.go", "PodRequestsTPUs", "(out bool)", "podTs", "out"),
    Function("pkg/utils/pod/pod_utils.go", "ContainerRestarted", "(out bool)", "pod", "out"),
    Function("pkg/utils/pod/pod_utils.go", "AddLWSVariables", "(err error)", "pod", "pod, record.Text(err)"),
    Function("pkg/utils/statefulset/statefulset_utils.go", "GetParentNameAndOrdinal", "(out string, at int)", "name", "out, at"),
    Function("pkg/utils/statefulset/statefulset_utils.go", "StatefulsetReady", "(out bool)", "sts", "out"),
    Function("pkg/utils/revision/revision_utils.go", "getPatch", "(out []byte, err error)", "lws", "string(out)"),
    Function("pkg/utils/revision/revision_utils.go", "hashRevision", "(out string)", "string(revision.Data.Raw)", "out"),
    Function("pkg/webhooks/pod_webhook.go", "genGroupUniqueKey", "(out string)", "ns, podName", "out"),
    Function("pkg/webhooks/pod_webhook.go", "getSubGroupIndex", "(out string)", "podCount, subGroupSize, workerIndex", "out"),
    Function("pkg/webhooks/pod_webhook.go", "SetExclusiveAffinities", "", "pod, groupUniqueKey, topologyKey, podAffinityKey", "pod"),
    Function("pkg/webhooks/pod_webhook.go", "Default", "(err error)", "pod", "pod, record.Text(err)"),
    Function("pkg/webhooks/leaderworkerset_webhook.go", "Default", "(err error)", "lws", "lws"),
    Function("pkg/webhooks/leaderworkerset_webhook.go", "ValidateCreate", "(w admission.Warnings, err error)", "lws", "record.Text(err)"),
    Function(
        "pkg/webhooks/leaderworkerset_webhook.go",
        "ValidateUpdate",
        "(w admission.Warnings, err error)",
        "oldLws, newLws",
        "record.Text(err)",
    ),
    Function(
        "pkg/controllers/leaderworkerset_controller.go",
        "calculateRollingUpdateReplicas",
        "(out int32)",
        "lwsReplicas, maxSurge, maxUnavailable, unreadyReplicas",
        "out",
    ),
    Function(
        "pkg/controllers/leaderworkerset_controller.go",
        "rollingUpdatePartition",
        "(out int32)",
        "shown(states), stsReplicas, rollingStep, currentPartition",
        "out",
    ),
    Function("pkg/controllers/leaderworkerset_controller.go", "setCondition", "(out bool)", "lws, newCondition", "lws, out"),
    Function(
        "pkg/controllers/leaderworkerset_controller.go",
        "rollingUpdateParameters",
        "(stsPartition int32, replicas int32, err error)",
        "lws, sts, leaderWorkerSetUpdated",
        "stsPartition, replicas",
    ),
    Function(
        "pkg/controllers/leaderworkerset_controller.go",
        "constructLeaderStatefulSetApplyConfiguration",
        "(out *appsapplyv1.StatefulSetApplyConfiguration, err error)",
        "lws, partition, replicas, revisionKey",
        "out",
    ),
    Function(
        "pkg/controllers/pod_controller.go",
        "constructWorkerStatefulSetApplyConfiguration",
        "(out *appsapplyv1.StatefulSetApplyConfiguration, err error)",
        "leaderPod, lws, currentRevision",
        "out",
    ),
    Function(
        "pkg/controllers/disaggregatedset/planner.go",
        "ComputeNextStep",
        "(out *UpdateStep)",
        "initialOld, currentOld, currentNew, targetNew, config",
        "out",
    ),
    Function("pkg/schedulerprovider/volcano_provider.go", "InjectPodGroupMetadata", "(err error)", "pod", "pod"),
)
SHOWN = """
func shown(states []replicaState) [][]bool {
	out := [][]bool{}
	for _, state := range states {
		out = append(out, []bool{state.ready, state.updated})
	}
	return out
}
"""
GANG = ("\t\terr = ctrl.SetControllerReference(leaderPod, &pg, v.client.Scheme())\n", '\t\trecord.Begin("PodGroup", lws, leaderPod)(pg)\n')


def main() -> int:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    arguments.add_argument("module", type=Path)
    arguments.add_argument("operators", type=Path)
    arguments.add_argument("--assets", type=Path, help="folder of etcd and kube-apiserver, for the integration tests")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="lws-cases-") as folder:
        lws, go = Path(folder) / "lws", Path(folder) / "go"
        shutil.copytree(options.module, lws, copy_function=shutil.copyfile, ignore=shutil.ignore_patterns("keps", "docs", "charts", "hack"))
        shutil.copytree(options.operators, go, copy_function=shutil.copyfile)
        instrument(lws)
        calls = Path(folder) / "calls.jsonl"
        run(lws, go, calls, options.assets)
        kept = distinct(calls.read_text().splitlines())
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text("".join(line + "\n" for line in kept))
    print(f"{TARGET.name}: {len(kept)} calls, {TARGET.stat().st_size} bytes")
    return 0


def instrument(lws: Path) -> None:
    for folder in [path for path in lws.rglob("*") if path.is_dir()] + [lws]:
        folder.chmod(0o755)
    (lws / "pkg" / "record").mkdir()
    (lws / "pkg" / "record" / "record.go").write_text(RECORDER)
    for name in {function.file for function in FUNCTIONS}:
        text = (lws / name).read_text()
        for function in (f for f in FUNCTIONS if f.file == name):
            text = observed(text, function)
        if name.endswith("volcano_provider.go"):
            text = text.replace(GANG[0], GANG[1] + GANG[0])
        if name == "pkg/controllers/leaderworkerset_controller.go":
            text += SHOWN
        text = text.replace("import (", 'import (\n\t"sigs.k8s.io/lws/pkg/record"', 1)
        (lws / name).write_text(text)


def observed(text: str, function: Function) -> str:
    """The file with one function that writes down its calls."""
    found = re.search(rf"^func (\([^)]*\) )?{function.name}\(.*\{{$", text, re.M)
    if found is None:
        raise ValueError(f"{function.file} has no function {function.name}")
    head = found[0]
    if function.results and function.results not in head:
        head = re.sub(r"\) (\([^()]*\)|[\w.*\[\]]+) \{$", lambda m: f") {function.results} {{", head)
    kind = "Pod" if "pod_webhook" in function.file and function.name == "Default" else ""
    line = f'\n\tdone := record.Begin("{kind}{function.name}", {function.given})\n\tdefer func() {{ done({function.made}) }}()'
    return text.replace(found[0], head + line, 1)


def run(lws: Path, go: Path, calls: Path, assets: Path | None) -> None:
    """Upstream's tests, within the versions of the operators' module."""
    environment = {**os.environ, "LWS_CALLS": str(calls), "GOFLAGS": "-mod=mod -buildvcs=false", "GOWORK": "off"}
    with (go / "go.mod").open("a") as file:
        file.write(f"\nreplace sigs.k8s.io/lws => {lws}\n")
    packages = [*PACKAGES, *(INTEGRATION if assets else ())]
    if assets:
        environment["KUBEBUILDER_ASSETS"] = str(assets)
        for suite in lws.glob("test/integration/*/suite_test.go"):
            text = re.sub(r"\t\tBinaryAssetsDirectory: .*?GOARCH\)\),\n", "", suite.read_text(), flags=re.S)
            text = text.replace('\t"runtime"\n', "").replace('\t"fmt"\n', "" if "fmt." not in text.replace('"fmt"', "") else '\t"fmt"\n')
            suite.write_text(text)
    names = [package.replace("./", "sigs.k8s.io/lws/") for package in packages]
    done = subprocess.run(["go", "test", "-count=1", "-vet=off", "-timeout=20m", *names], cwd=go, env=environment, check=False)
    if done.returncode:
        print("some of upstream's tests failed; what they called is kept all the same", file=sys.stderr)


def distinct(lines: list[str]) -> list[str]:
    """Each call once, in a stable order, without what is another in every run; some of each function."""
    found: dict[str, set[str]] = {}
    for line in lines:
        call = json.loads(line)
        found.setdefault(call["call"], set()).add(json.dumps(plain(call), separators=(",", ":"), sort_keys=True))
    return [line for name in sorted(found) for line in shortest(found[name])]


def shortest(lines: set[str]) -> list[str]:
    kept: list[str] = []
    for line in sorted(lines, key=lambda line: (len(line), line))[:MOST]:
        if sum(map(len, kept)) + len(line) <= BYTES or not kept:
            kept.append(line)
    return kept


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items() if k not in VOLATILE}
    return [plain(item) for item in value] if isinstance(value, list) else value


if __name__ == "__main__":
    sys.exit(main())
