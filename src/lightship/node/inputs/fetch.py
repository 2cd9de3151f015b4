"""What a pod refers to, fetched from the API: ConfigMaps, Secrets, tokens, claims.

Called by `worker` before volumes are made and before a container starts. Reads go to the server and not to a cache, since a pod may have
been created a moment after the ConfigMap it shows. Remembers tokens until they should be renewed.
"""

from collections.abc import Iterable
from pathlib import Path

from lightship import kinds
from lightship.aio.clock import Clock
from lightship.client import Client
from lightship.meta import errors, objects, times
from lightship.meta.objects import Obj

from . import content, provisioner, volumes
from .content import TokenRequest
from .sources import Found, Ref
from .volumes import Claims, VolumeError

RENEW_AFTER = 0.8
"""Fraction of a token's life after which a new one is asked for. Contract: kubelet token manager."""

_KINDS = {"ConfigMap": kinds.CONFIG_MAPS, "Secret": kinds.SECRETS}


async def references(client: Client, namespace: str, refs: Iterable[Ref]) -> Found:
    """Each reference with its object, or None."""
    return {ref: await client.get_or_none(_KINDS[ref.kind], ref.name, namespace) if ref.name else None for ref in set(refs)}


class Tokens:
    """The service account tokens of one pod."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._tokens: dict[TokenRequest, str] = {}
        self._renew_at: dict[TokenRequest, float] = {}

    @property
    def renew_at(self) -> float | None:
        """When the next token should be renewed."""
        return min(self._renew_at.values(), default=None)

    async def of(self, pod: Obj) -> dict[TokenRequest, str]:
        """All tokens that the pod's volumes show. Raises `VolumeError`."""
        now = self._clock.now()
        for request in content.token_requests(pod):
            if self._renew_at.get(request, 0.0) <= now:
                self._tokens[request] = await self._fetch(pod, request, now)
        return dict(self._tokens)

    async def _fetch(self, pod: Obj, request: TokenRequest, now: float) -> str:
        account = objects.spec(pod).get("serviceAccountName") or "default"
        bound = {"apiVersion": "v1", "kind": "Pod", "name": objects.name(pod), "uid": objects.uid(pod)}
        spec = {"audiences": [request.audience] if request.audience else [], "expirationSeconds": request.seconds, "boundObjectRef": bound}
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": {}, "spec": spec}
        namespace = objects.namespace(pod)
        try:
            answer = await self._client.create_subresource(kinds.SERVICE_ACCOUNTS, account, namespace, "token", body)
        except errors.StatusError as error:
            raise VolumeError(f"failed to fetch token: {error.message}") from error
        status = objects.status(answer)
        expires = times.parse(status["expirationTimestamp"]) if status.get("expirationTimestamp") else now + request.seconds
        self._renew_at[request] = now + (expires - now) * RENEW_AFTER
        return str(status["token"])


async def claims(client: Client, pod: Obj, *, allow_host_path: bool) -> Claims:
    """Where the claims that a pod mounts have their data on this machine."""
    paths: dict[str, Path] = {}
    missing: dict[str, str] = {}
    for volume in objects.spec(pod).get("volumes") or ():
        if volumes.kind_of(volume) == volumes.CLAIM:
            name = volume[volumes.CLAIM].get("claimName", "")
            found = await _claim_path(client, objects.namespace(pod), name, allow_host_path=allow_host_path)
            if isinstance(found, Path):
                paths[name] = found
            else:
                missing[name] = found
    return Claims(paths, missing)


async def _claim_path(client: Client, namespace: str, name: str, *, allow_host_path: bool) -> Path | str:
    """The directory of a claim's volume, or why there is none."""
    claim = await client.get_or_none(kinds.PERSISTENT_VOLUME_CLAIMS, name, namespace)
    if claim is None:
        return f'persistentvolumeclaim "{name}" not found'
    volume_name = objects.spec(claim).get("volumeName")
    if objects.status(claim).get("phase") != "Bound" or not volume_name:
        return f'persistentvolumeclaim "{name}" is not bound to a volume yet'
    volume = await client.get_or_none(kinds.PERSISTENT_VOLUMES, volume_name)
    if volume is None:
        return f'persistentvolume "{volume_name}" not found'
    ours = objects.annotations(volume).get(provisioner.PROVISIONED_BY) == provisioner.PROVISIONER
    source = objects.spec(volume).get("hostPath") or objects.spec(volume).get("local") or {}
    if not source.get("path") or not (ours or allow_host_path):
        return f'persistentvolume "{volume_name}" is of a type that this node does not mount'
    return _directory(Path(source["path"]), create=ours) or f'persistentvolume "{volume_name}": {source["path"]} is not a directory'


def _directory(path: Path, *, create: bool) -> Path | None:
    if create:
        path.mkdir(parents=True, exist_ok=True)
    return path if path.is_dir() else None
