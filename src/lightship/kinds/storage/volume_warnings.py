"""What to say of a pod's volumes that were accepted: kinds of volumes out of use, and files that would lie on top of each other.

Called by `pods.warnings`. Contract: kube 1.36 pkg/api/pod warnings; texts as kube-apiserver's.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import islice, pairwise
from typing import NamedTuple

from lightship.meta import codec
from lightship.meta.objects import Obj

from .claim_checks import warn_of_spec

_GONE = {
    "photonPersistentDisk": "deprecated in v1.11, non-functional in v1.16+",
    "gitRepo": "deprecated in v1.11, and disabled by default in v1.33+",
    "scaleIO": "deprecated in v1.16, non-functional in v1.22+",
    "flocker": "deprecated in v1.22, non-functional in v1.25+",
    "storageos": "deprecated in v1.22, non-functional in v1.25+",
    "quobyte": "deprecated in v1.22, non-functional in v1.25+",
    "glusterfs": "deprecated in v1.25, non-functional in v1.26+",
    "cephfs": "deprecated in v1.28, non-functional in v1.31+",
    "rbd": "deprecated in v1.28, non-functional in v1.31+",
}
_SHOWN = {"storageos": "storageOS"}
_KEYED = {"configMap": ("ConfigMap", "name"), "secret": ("Secret", "secretName"), "downwardAPI": ("DownwardAPI", "")}
"""Volumes made of files that are listed: how they are called in a warning, and what names them."""
_COMPARED = 64
"""Files of one volume that are compared with each other, once some of them are known to overlap."""


class _File(NamedTuple):
    path: str
    source: str

    def __str__(self) -> str:
        return f'"{self.path}" ({self.source})' if self.source else f'"{self.path}"'


def of_volume(path: str, volume: Obj) -> Iterator[str]:
    name = volume.get("name") or ""
    for field, source in volume.items():
        if field in _GONE:
            yield f"{path}.{_SHOWN.get(field, field)}: {_GONE[field]}"
        elif field in _KEYED and source and source.get("items"):
            named = _KEYED[field]
            shown = f'{named[0]} "{source.get(named[1]) or ""}"' if named[1] else named[0]
            yield from (f'volume "{name}" ({shown}): {why}' for why in _overlaps(_files(source["items"], "")))
        elif field == "projected" and source:
            yield from (f'volume "{name}" (Projected){why}' for why in _of_projected(codec.encode(source)))
        elif field == "ephemeral" and source and source.get("volumeClaimTemplate"):
            yield from warn_of_spec(f"{path}.ephemeral.volumeClaimTemplate.spec", source["volumeClaimTemplate"].get("spec") or {})


@lru_cache(maxsize=256)
def _of_projected(projected: bytes) -> tuple[str, ...]:
    """Remembers what it found: the pods of a cluster differ in the names of these volumes, hardly ever in what is in them."""
    sources = codec.decode(projected).get("sources") or ()
    empty = tuple(" has no sources provided" for source in sources if not source)
    return empty + tuple(f": {why}" for why in _overlaps([file for source in sources for file in _projected(source)]))


def _files(items: Iterable[Obj], source: str) -> list[_File]:
    return [_File((item.get("path") or "").rstrip("/"), source) for item in items]


def _projected(source: Obj) -> list[_File]:
    for field, shown in (("configMap", "ConfigMap"), ("secret", "Secret")):
        if items := (source.get(field) or {}).get("items"):
            return _files(items, f'{shown} "{source[field].get("name") or ""}"')
    if items := (source.get("downwardAPI") or {}).get("items"):
        return _files(items, "DownwardAPI")
    if (token := source.get("serviceAccountToken")) is not None:
        return _files([token], "ServiceAccountToken")
    if (bundle := source.get("clusterTrustBundle")) is not None:
        return _files([bundle], f'ClusterTrustBundle "{bundle.get("name") or bundle.get("signerName") or ""}"')
    certificate = source.get("podCertificate") or {}
    parts = (("certificateChainPath", "chain"), ("keyPath", "key"), ("credentialBundlePath", "credential bundle"))
    return [_File(certificate[field].rstrip("/"), f"PodCertificate {shown}") for field, shown in parts if certificate.get(field)]


def _overlaps(files: list[_File]) -> Iterator[str]:
    if len(files) < 2 or not _any_overlap(files):
        return
    files = [file for file in islice(files, _COMPARED) if file.path]
    for i, file in enumerate(files):
        for other in files[:i]:
            if f"{other.path}/".startswith(f"{file.path}/") or f"{file.path}/".startswith(f"{other.path}/"):
                yield f"overlapping paths: {file} with {other}"


def _any_overlap(files: list[_File]) -> bool:
    """In one pass over the sorted paths: what lies below a path follows it at once."""
    paths = sorted(f"{file.path}/" for file in files if file.path)
    return any(after.startswith(path) for path, after in pairwise(paths))
