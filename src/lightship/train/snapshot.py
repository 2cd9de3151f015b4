"""The runtime as it was when its TrainJob was first reconciled, kept in a ConfigMap.

The controller reads the runtime once; from then on the snapshot counts, so runtimes may be edited or deleted while jobs use them.
Pure: `make` and `read` turn runtimes into ConfigMaps and back.
Contract: Trainer 2.3 (KEP-2599): `<trainjob>-runtime-snapshot`, key `runtime`, YAML, controlled by the TrainJob.
"""

from collections import OrderedDict
from functools import lru_cache
from typing import Any

import yaml

from lightship.meta import objects
from lightship.meta.objects import Obj

from .api.names import SNAPSHOT_KEY, SNAPSHOT_SUFFIX
from .errors import SnapshotError

_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_MOST_TEXTS = 64
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def name(job: Obj) -> str:
    return objects.name(job) + SNAPSHOT_SUFFIX


class Texts:
    """The texts of runtimes, which many jobs share: each version is written once."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], str] = OrderedDict()

    def of(self, runtime: Obj) -> str:
        version = (objects.uid(runtime), objects.meta(runtime).get("resourceVersion") or "")
        if not all(version):
            return text(runtime)
        if version not in self._known:
            self._known[version] = text(runtime)
            if len(self._known) > _MOST_TEXTS:
                self._known.popitem(last=False)
        return self._known[version]


def text(runtime: Obj) -> str:
    """The runtime as snapshots have it."""
    kept = {**runtime, "metadata": {k: v for k, v in runtime["metadata"].items() if k != "managedFields"}}
    written: str = yaml.dump(kept, Dumper=_Dumper, sort_keys=True)
    return written


def make(job: Obj, text: str) -> Obj:
    """The ConfigMap that keeps a runtime's text for `job`."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": name(job),
            "namespace": objects.namespace(job),
            "ownerReferences": [objects.owner_reference(job)],
        },
        "data": {SNAPSHOT_KEY: text},
    }


def read(job: Obj, config_map: Obj) -> Obj:
    """The runtime in a ConfigMap; shared by many jobs. Raises `SnapshotError` when it belongs to somebody else or
    holds something else."""
    if not objects.is_controlled_by(config_map, job):
        raise SnapshotError("invalid runtime snapshot: a snapshot configmap exists but is owned by another object")
    text = (config_map.get("data") or {}).get(SNAPSHOT_KEY)
    if text is None:
        raise SnapshotError(f'invalid runtime snapshot: snapshot ConfigMap missing "{SNAPSHOT_KEY}" data key')
    try:
        runtime = _parsed(text)
    except yaml.YAMLError as error:
        raise SnapshotError(f"invalid runtime snapshot: unable to unmarshal the snapshot: {error}") from error
    if not isinstance(runtime, dict):
        raise SnapshotError("invalid runtime snapshot: unable to unmarshal the snapshot: it is not an object")
    _check_reference(objects.spec(job)["runtimeRef"], runtime)
    return runtime


@lru_cache(maxsize=_MOST_TEXTS)
def _parsed(text: str) -> Any:
    return yaml.load(text, Loader=_Loader)


def _check_reference(ref: Obj, runtime: Obj) -> None:
    found = objects.gvk(runtime)
    got = (objects.name(runtime), found.group, found.kind)
    wanted = (ref["name"], ref.get("apiGroup") or found.group, ref.get("kind") or found.kind)
    if got != wanted:
        raise SnapshotError(
            "invalid runtime snapshot: the snapshot refers to the wrong runtime: expecting a runtime with name, api group and kind of "
            f"{_quoted(wanted)} but found runtime with name, api group and kind of {_quoted(got)}"
        )


def _quoted(parts: tuple[str, ...]) -> str:
    return ", ".join(f'"{part}"' for part in parts)
