"""A slice of Kubernetes' own conformance tests, by the unmodified binary, on three process nodes; `tools.run_conformance` runs all."""

import shutil

import pytest
from tools import conformance_page, run_conformance

from oracle import programs

SLICE = run_conformance.NAMES.with_name("conformance-slice.txt")
TOOLS = ("busybox", "nginx", "apache2", "dig", "nc")
"""What images of the tests stand for; `.ci/run` installs them."""
ABSENT = [tool for tool in TOOLS if shutil.which(tool, path="/usr/sbin:/usr/bin:/sbin:/bin") is None] + programs.missing(
    "kube-controller-manager", "kubectl", "e2e.test", "ginkgo", "agnhost"
)

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.slow,
    pytest.mark.skipif(bool(ABSENT), reason=f"`oracle/build` and `.ci/run` bring what is missing: {', '.join(ABSENT)}"),
]


def test_the_slice_passes() -> None:
    names = SLICE.read_text().splitlines()
    assert set(names) <= set(run_conformance.NAMES.read_text().splitlines())
    specs = run_conformance.run(names, run_conformance.parsed(["--procs", "4"]))
    run_conformance.report(names, specs)  # what failed, and how, goes with the failure
    assert sorted(set(names) - conformance_page.passed(names, specs)) == []
