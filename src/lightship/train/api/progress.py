"""The status server's protocol: where pods report how far they are, what they send, and who may.

Read by the plugin that tells pods (`plugins.trainjobstatus`), by the server (`statusserver`) and by whoever opens its door. Pure.
Contract: Trainer 2.3 pkg/statusserver and the trainjobstatus plugin (KEP-2779).
"""

from typing import Annotated, TypeAlias

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

_Int32: TypeAlias = Annotated[int, msgspec.Meta(ge=-(1 << 31), le=(1 << 31) - 1)]


class Metric(msgspec.Struct, omit_defaults=True):
    name: str | None = ""
    value: str | None = ""


class TrainerStatus(msgspec.Struct, omit_defaults=True):
    """As it is sent: limits are the API server's to check. `lastUpdatedTime` is brought into Kubernetes' notation by `read`."""

    progressPercentage: _Int32 | None = None  # noqa: N815  names are the wire's
    estimatedRemainingSeconds: _Int32 | None = None  # noqa: N815
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
    """What a report says. Raises `ValueError` for what is none."""
    try:
        found = msgspec.json.decode(body, type=Update | None) or Update()
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from error
    status = found.trainerStatus
    if status is not None and status.lastUpdatedTime is not None:
        if "T" not in status.lastUpdatedTime.upper():
            raise ValueError(f'"{status.lastUpdatedTime}" is no time')  # Python takes a bare date, RFC 3339 does not
        status.lastUpdatedTime = times.rfc3339(times.parse(status.lastUpdatedTime))
    return found


def write(update: Update) -> bytes:
    """The report as it is sent back."""
    return codec.encode(update) + b"\n"


def applied(namespace: str, name: str, status: TrainerStatus) -> Obj:
    """The fields of a TrainJob that a report asserts: all of `trainerStatus`, and nothing else."""
    wanted: Obj = {}
    if status.progressPercentage is not None:
        wanted["progressPercentage"] = status.progressPercentage
    if status.estimatedRemainingSeconds is not None:
        wanted["estimatedRemainingSeconds"] = status.estimatedRemainingSeconds
    if status.metrics:
        wanted["metrics"] = [{"name": m.name or "", "value": m.value or ""} for m in status.metrics]
    if status.lastUpdatedTime is not None:
        wanted["lastUpdatedTime"] = status.lastUpdatedTime
    return {
        "apiVersion": API_VERSION,
        "kind": TRAINJOB_KIND,
        "metadata": {"name": name, "namespace": namespace},
        "status": {"trainerStatus": wanted},
    }
