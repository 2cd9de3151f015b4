"""The runtime as it was: kept in a ConfigMap, read back, and recognised when it is somebody else's."""

import pytest
import yaml

from lightship.meta.objects import Obj
from lightship.train import snapshot
from lightship.train.errors import SnapshotError
from tests.train import make

JOB = make.stored(make.job(kind="ClusterTrainingRuntime"))


def test_a_runtime_comes_back_as_it_was() -> None:
    runtime = make.runtime(labels={"trainer.kubeflow.org/framework": "torch"})
    kept = snapshot.make(JOB, snapshot.text({**runtime, "metadata": {**runtime["metadata"], "managedFields": [{"manager": "x"}]}}))
    assert kept["metadata"]["name"] == "mnist-runtime-snapshot"
    assert kept["metadata"]["ownerReferences"][0]["uid"] == make.UID
    assert yaml.safe_load(kept["data"]["runtime"]) == runtime
    assert snapshot.read(JOB, kept) == runtime


def test_each_version_of_a_runtime_is_written_once() -> None:
    texts, first = snapshot.Texts(), make.stored(make.runtime())
    first["metadata"]["resourceVersion"] = "7"
    later = {**first, "metadata": {**first["metadata"], "resourceVersion": "99", "labels": {"new": "yes"}}}
    assert texts.of(first) is texts.of({**first})
    assert "new" in texts.of(later)
    assert yaml.safe_load(texts.of(first)) == first
    unstored = make.runtime()
    assert texts.of({**unstored, "spec": {}}) != texts.of(unstored)


def taken(kept: Obj) -> None:
    kept["metadata"]["ownerReferences"][0]["uid"] = "other"


def without_key(kept: Obj) -> None:
    kept["data"] = {}


def broken(kept: Obj) -> None:
    kept["data"]["runtime"] = "{"


def no_object(kept: Obj) -> None:
    kept["data"]["runtime"] = "12"


def another(kept: Obj) -> None:
    kept["data"]["runtime"] = yaml.safe_dump(make.runtime("other"))


@pytest.mark.parametrize(
    ("spoil", "want"),
    [
        (taken, "owned by another object"),
        (without_key, 'missing "runtime" data key'),
        (broken, "unable to unmarshal"),
        (no_object, "it is not an object"),
        (
            another,
            (
                'expecting a runtime with name, api group and kind of "torch-distributed", "trainer.kubeflow.org", '
                '"ClusterTrainingRuntime" but found runtime with name, api group and kind of '
                '"other", "trainer.kubeflow.org", "ClusterTrainingRuntime"'
            ),
        ),
    ],
)
def test_a_config_map_that_is_no_snapshot_of_ours(spoil: object, want: str) -> None:
    kept = snapshot.make(JOB, snapshot.text(make.runtime()))
    assert callable(spoil)
    spoil(kept)
    with pytest.raises(SnapshotError, match="invalid runtime snapshot") as refused:
        snapshot.read(JOB, kept)
    assert want in str(refused.value)
