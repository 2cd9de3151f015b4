"""ServiceAccount admission: a pod runs as an account that exists, and finds the account's token where client libraries look for it.

Contract: kube-apiserver plugin/pkg/admission/serviceaccount; BoundServiceAccountTokenVolume (KEP-1205).
"""

import asyncio

from lightship.apiserver.core import Core
from lightship.meta.admission import Admission, AdmissionRequest
from lightship.meta.objects import Obj

from .refusals import forbidden

MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
DEFAULT_ACCOUNT = "default"
TOKEN_SECONDS = 3607
"""Seconds; the odd number tells such tokens from those that people asked for."""
PATIENCE = 1.0
"""Seconds that a pod waits for its account: in a new namespace the pod may be faster than the controller that makes `default`."""
_VOLUME = "kube-api-access-"
_BUCKET = "core/serviceaccounts"
_MIRROR = "kubernetes.io/config.mirror"


def admission(core: Core) -> list[Admission]:
    """The rule, for servers that serve pods and accounts."""
    pods = core.catalogue.find("", "v1", "pods")
    if pods is None or core.catalogue.find("", "v1", "serviceaccounts") is None:
        return []

    async def complete(request: AdmissionRequest) -> list[str] | None:
        pod = request.obj
        if request.operation != "CREATE" or request.subresource or pod is None or _MIRROR in (pod["metadata"].get("annotations") or {}):
            return None
        spec = pod["spec"]
        name = spec.get("serviceAccountName") or spec.get("serviceAccount") or DEFAULT_ACCOUNT
        spec["serviceAccountName"] = spec["serviceAccount"] = name
        account = await _account(core, request, name)
        if account.get("imagePullSecrets") and not spec.get("imagePullSecrets"):
            spec["imagePullSecrets"] = list(account["imagePullSecrets"])
        if _automounts(spec, account):
            volumes = (str(volume["name"]) for volume in spec.get("volumes") or ())
            present = next((name for name in volumes if name.startswith(_VOLUME)), "")
            _mount(spec, present or f"{_VOLUME}{core.suffix(5)}", present=bool(present))
        return None

    return [Admission(name="ServiceAccount", resources=(pods,), mutate=complete, operations=("CREATE",), whole=True)]


async def _account(core: Core, request: AdmissionRequest, name: str) -> Obj:
    key = f"{_BUCKET}/{request.namespace}/{name}"
    record = core.store.get(key)
    if record is None:
        await _wait_for(core, key)
        record = core.store.get(key)
    if record is None:
        raise forbidden(request, f'error looking up service account {request.namespace}/{name}: serviceaccount "{name}" not found')
    return record.obj


async def _wait_for(core: Core, key: str) -> None:
    """Until the key exists, or patience ends."""
    watch = core.store.watch(key, core.store.revision)
    try:
        async with asyncio.timeout(PATIENCE):
            while core.store.get(key) is None and not watch.closed:
                await watch.ready(PATIENCE)
    except TimeoutError:
        pass
    finally:
        watch.close()


def _automounts(spec: Obj, account: Obj) -> bool:
    for source in (spec, account):
        wanted = source.get("automountServiceAccountToken")
        if wanted is not None:
            return bool(wanted)
    return True


def _mount(spec: Obj, name: str, *, present: bool) -> None:
    """Add, in place, the token volume, if it is not present, and its mounts to containers that have nothing mounted there."""
    needed = False
    for container in [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]:
        mounts = container.setdefault("volumeMounts", [])
        if all(mount.get("mountPath") != MOUNT_PATH for mount in mounts):
            mounts.append({"name": name, "readOnly": True, "mountPath": MOUNT_PATH})
            needed = True
    if needed and not present:
        spec["volumes"] = [*(spec.get("volumes") or []), _volume(name)]


def _volume(name: str) -> Obj:
    namespace_file = {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
    return {
        "name": name,
        "projected": {
            "sources": [
                {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {"downwardAPI": {"items": [namespace_file]}},
            ],
            "defaultMode": 0o644,
        },
    }
