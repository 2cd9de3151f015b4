"""Upstream's own end-to-end tests of Trainer, its Go program, on a platform that runs pods.

Runtimes are ours, under upstream's names; images mean environments of packages. Left out is Flux, whose brokers come in an image and no
package. Specs run beside each other, each in a namespace of its own. They look every quarter of a second and must see a job before it runs
and while it does; ours can be over by then, so pods are held back here for as long as an image takes elsewhere.
"""

import os
import re
import subprocess

import pytest

from lightship.kinds import MUTATING_ADMISSION_POLICIES, MUTATING_ADMISSION_POLICY_BINDINGS
from lightship.testing import cluster
from oracle import programs

PROGRAM = "trainer-e2e.test"
SPECS = 12
LEFT_OUT = ("Flux workload",)
PATIENCE = "25m"
"""Of upstream's program, which waits ten minutes at a time: environments are built once, when there are none."""

_API = "admissionregistration.k8s.io/v1"
_CONTAINER = 'Object.spec.initContainers{name: "pull", image: "busybox", command: ["sleep", "1"]}'
_PULL = f'[JSONPatch{{op: "add", path: "/spec/initContainers", value: [{_CONTAINER}]}}]'
_PODS = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
SLOWLY = {
    MUTATING_ADMISSION_POLICIES: {
        "apiVersion": _API,
        "kind": "MutatingAdmissionPolicy",
        "metadata": {"name": "slowly"},
        "spec": {
            "matchConstraints": {"resourceRules": [_PODS]},
            "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": _PULL}}],
            "reinvocationPolicy": "Never",
        },
    },
    MUTATING_ADMISSION_POLICY_BINDINGS: {
        "apiVersion": _API,
        "kind": "MutatingAdmissionPolicyBinding",
        "metadata": {"name": "slowly"},
        "spec": {"policyName": "slowly"},
    },
}

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.slow,
    pytest.mark.torch,
    pytest.mark.skipif(bool(programs.missing(PROGRAM, "ginkgo")), reason=f"`oracle/build {PROGRAM} ginkgo` makes what is missing"),
]


def test_upstreams_specs_pass() -> None:
    program = [str(programs.folder() / "ginkgo"), "--no-color", "--procs=4", f"--timeout={PATIENCE}", f"--skip={'|'.join(LEFT_OUT)}"]
    with cluster() as platform:
        for resource, obj in SLOWLY.items():
            platform.run(platform.client.create(resource, obj))
        environment = {**os.environ, "KUBECONFIG": str(platform.kubeconfig)}
        command = [*program, str(programs.folder() / PROGRAM)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-6000:]
    ran = re.search(r"Ran (\d+) of (\d+) Specs", said)
    assert ran
    assert (int(ran[1]), int(ran[2])) == (SPECS - len(LEFT_OUT), SPECS)
