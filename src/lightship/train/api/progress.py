"""The status server's protocol: where pods report how far they are, what they send, and who may.

Read by the plugin that tells pods (`plugins.trainjobstatus`), by the server (`statusserver`) and by whoever opens its door. Pure.
Contract: Trainer 2.3 pkg/statusserver and the trainjobstatus plugin (KEP-2779).
"""

import json
import re
from typing import Any, NoReturn

import msgspec

from lightship.meta import codec, times
from lightship.meta.objects import Obj

from .names import API_VERSION, TRAINJOB_KIND

SERVICE = "kubeflow-trainer-controller-manager"
SYSTEM_NAMESPACE = "kubeflow-system"
PORT = 10443
HOST = f"{SERVICE}.{SYSTEM_NAMESPACE}.svc"
"""The name that the server's certificate must be good for."""
BODY_LIMIT = 1 << 16
"""Bytes."""
FIELD_MANAGER = "trainer-status"

URL_VARIABLE = "KUBEFLOW_TRAINER_SERVER_URL"
CA_VARIABLE = "KUBEFLOW_TRAINER_SERVER_CA_CERT"
TOKEN_VARIABLE = "KUBEFLOW_TRAINER_SERVER_TOKEN"
VOLUME = "kubeflow-trainer-token"
MOUNT_PATH = "/var/run/secrets/kubeflow/trainer"
CA_KEY = "ca.crt"
TOKEN_FILE = "token"
TOKEN_SECONDS = 3600
TLS_SUFFIX = "-tls-config"

_SPACE = " \t\r\n"
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d([.,]\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)


class _Pairs(list[tuple[str, Any]]):
    """An object as it was written."""


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")


_READER = json.JSONDecoder(object_pairs_hook=_Pairs, parse_constant=_no_number)


class Metric(msgspec.Struct, omit_defaults=True):
    name: str = ""
    value: str = ""


class TrainerStatus(msgspec.Struct, omit_defaults=True):
    """As it is sent: limits are the API server's to check. `lastUpdatedTime` is brought into Kubernetes' notation by `read`."""

    progressPercentage: int | None = None  # noqa: N815  names are the wire's
    estimatedRemainingSeconds: int | None = None  # noqa: N815
    metrics: list[Metric] | None = None
    lastUpdatedTime: str | None = None  # noqa: N815


class Update(msgspec.Struct, omit_defaults=True):
    """The body of a report. Without `trainerStatus` there is nothing to write."""

    trainerStatus: TrainerStatus | None = None  # noqa: N815


def path(namespace: str, name: str) -> str:
    """The path of a TrainJob's endpoint."""
    return f"/apis/{API_VERSION}/namespaces/{namespace}/trainjobs/{name}/status"


def audience(namespace: str, name: str) -> str:
    """For whom a token must be meant that reports for a TrainJob."""
    return f"{API_VERSION}/namespaces/{namespace}/trainjobs/{name}/status"


def url(namespace: str, name: str) -> str:
    return f"https://{HOST}:{PORT}{path(namespace, name)}"


def split_path(text: str) -> tuple[str, str] | None:
    """(namespace, name) of the TrainJob whose endpoint has this path; None when it is none."""
    parts = text.split("/")
    if len(parts) != 9 or not parts[5] or not parts[7] or text != path(parts[5], parts[7]):
        return None
    return parts[5], parts[7]


def bearer(header: str) -> str:
    """The one credential of an Authorization header (RFC 7235); empty when there is none, or more than one."""
    words = header.split()
    return words[1] if len(words) == 2 and words[0].lower() == "bearer" else ""


def read(body: bytes) -> Update:
    """What a report says, read as Go reads it: the first value alone counts, names in any case, of a name that is there twice the last one.
    Raises `ValueError` for what is no report."""
    try:
        found, _ = _READER.raw_decode(body.decode(errors="replace").lstrip(_SPACE))
    except RecursionError as error:
        raise ValueError("it nests too deep") from error
    if found is None:
        return Update()
    status = _fields(found, Update).get("trainerStatus")
    return Update(None if status is None else _status(_fields(status, TrainerStatus)))


def write(answer: Update | Obj) -> bytes:
    """The body of an answer: a report as it is sent back, or a `metav1.Status`, as Go writes them."""
    text = codec.encode(answer)
    for letter in b"<>&":
        text = text.replace(b"%c" % letter, b"\\u%04x" % letter)
    return text + b"\n"


def _fields(value: object, kind: type[msgspec.Struct]) -> dict[str, Any]:
    if not isinstance(value, _Pairs):
        raise ValueError("it is no object")
    known = {name.lower(): name for name in kind.__struct_fields__}
    return {known[name.lower()]: item for name, item in value if name.lower() in known}


def _status(fields: dict[str, Any]) -> TrainerStatus:
    when = fields.get("lastUpdatedTime")
    if when is not None:
        if not isinstance(when, str) or not _TIME.fullmatch(when):
            raise ValueError(f"{when!r} is no time")
        when = times.rfc3339(times.parse(when))
    listed = fields.get("metrics")
    if listed is not None and not (isinstance(listed, list) and not isinstance(listed, _Pairs)):
        raise ValueError("metrics are a list")
    metrics = [_metric({} if item is None else _fields(item, Metric)) for item in listed or ()]
    return TrainerStatus(_int32(fields.get("progressPercentage")), _int32(fields.get("estimatedRemainingSeconds")), metrics or None, when)


def _metric(fields: dict[str, Any]) -> Metric:
    said = {name: value for name, value in fields.items() if value is not None}
    if not all(isinstance(value, str) for value in said.values()):
        raise ValueError("names and values of metrics are text")
    return Metric(**said)


def _int32(value: object) -> int | None:
    if value is not None and not (type(value) is int and -(1 << 31) <= value < 1 << 31):
        raise ValueError(f"{value!r} is no whole number of 32 bits")
    return value


def applied(namespace: str, name: str, status: TrainerStatus) -> Obj:
    """The fields of a TrainJob that a report asserts: all of `trainerStatus`, and nothing else."""
    wanted: Obj = {}
    if status.progressPercentage is not None:
        wanted["progressPercentage"] = status.progressPercentage
    if status.estimatedRemainingSeconds is not None:
        wanted["estimatedRemainingSeconds"] = status.estimatedRemainingSeconds
    if status.metrics:
        wanted["metrics"] = [{"name": m.name, "value": m.value} for m in status.metrics]
    wanted["lastUpdatedTime"] = status.lastUpdatedTime  # also where it is missing: then the API server says so
    return {
        "apiVersion": API_VERSION,
        "kind": TRAINJOB_KIND,
        "metadata": {"name": name, "namespace": namespace},
        "status": {"trainerStatus": wanted},
    }
