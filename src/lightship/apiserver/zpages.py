"""`/statusz` and `/flagz`: what runs here since when, for people, and for programs that ask for it by kind.

`documents` calls `answer`. Both are plain text unless a client names the kind and version that it wants; there is nothing to see of flags,
as this server has none of the real one's.
Contract: KEP-4827, KEP-4828; component-base zpages, config.k8s.io v1beta1 and v1alpha1.
"""

import time
from collections.abc import Mapping

from lightship.meta import errors, times
from lightship.meta.objects import Obj

from . import discovery
from .media.negotiation import JSON, YAML, clauses
from .media.rendering import encoded, warning_headers
from .transport.exchange import Reply

PATHS: Mapping[str, str] = {"/flagz": "Flagz", "/statusz": "Statusz"}
_SEEN = ("/flagz", "/healthz", "/livez", "/metrics", "/readyz", "/statusz", "/version")
_GROUP = "config.k8s.io"
_OLD = "v1alpha1"
_VERSIONS = ("v1beta1", _OLD)
_TEXT = "text/plain"
_MEDIA = (JSON, YAML, _TEXT)
_WARNING = (
    "Warning: This endpoint is not meant to be machine parseable, has no formatting compatibility guarantees"
    " and is for debugging purposes only."
)


def answer(path: str, header: str, started: float, now: float, *, pretty: bool) -> Reply:
    """The reply of a path of `PATHS`. Raises 406 for clients that take neither text nor what there is."""
    kind = PATHS[path]
    media, version = _wanted(header, kind)
    if not version:
        return Reply(200, _text(path, started, now).encode(), f"{_TEXT}; charset=utf-8")
    document: Obj = {"kind": kind, "apiVersion": f"{_GROUP}/{version}", "metadata": {"name": "apiserver"}}
    document |= {"flags": {}} if kind == "Flagz" else _status(started, now)
    old = f"This version of the {path[1:]} endpoint is deprecated. Please use a newer version."
    headers = warning_headers([old]) if version == _OLD else ()
    return Reply(200, encoded(document, media, pretty=pretty), f"{media};g={_GROUP};v={version};as={kind}", headers)


def _wanted(header: str, kind: str) -> tuple[str, str]:
    """(media type, version); the version is empty for text."""
    for clause in clauses(header or "*/*"):
        given = clause.parameters
        for media in _MEDIA:
            if not clause.means(media):
                continue
            if media == _TEXT:
                return media, ""
            version = given.get("v", "")
            if (given.get("as"), given.get("g")) == (kind, _GROUP) and version in _VERSIONS:
                return media, version
    raise errors.not_acceptable(f"only the following media types are accepted: {', '.join(_MEDIA)}")


def _status(started: float, now: float) -> Obj:
    told = discovery.version()
    return {
        "startTime": times.rfc3339(started),
        "uptimeSeconds": int(now - started),
        "goVersion": told["goVersion"],
        "binaryVersion": told["gitVersion"].removeprefix("v"),
        "emulationVersion": f"{told['emulationMajor']}.{told['emulationMinor']}",
        "paths": list(_SEEN),
    }


def _text(path: str, started: float, now: float) -> str:
    lines = ["", f"apiserver {path[1:]}", _WARNING]
    if path == "/statusz":
        status, up = _status(started, now), int(now - started)
        lines += [
            "",
            f"Started: {time.strftime('%a %b %e %H:%M:%S UTC %Y', time.gmtime(started))}",
            f"Up: {up // 3600} hr {up // 60 % 60:02} min {up % 60:02} sec",
            f"Go version: {status['goVersion']}",
            f"Binary version: {status['binaryVersion']}",
            f"Emulation version: {status['emulationVersion']}",
            f"Paths: {' '.join(_SEEN)}",
        ]
    return "\n".join([*lines, ""])
