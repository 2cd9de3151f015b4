"""What a pod refers to, fetched from the API: ConfigMaps, Secrets, tokens, claims.

Called by `worker` before volumes are made and before a container starts. Reads go to the server and not to a cache, since a pod may have
been created a moment after the ConfigMap it shows. Remembers tokens until they should be renewed.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

from lightship import kinds
from lightship.aio.clock import Clock
from lightship.client import Client
from lightship.meta import errors, objects, times
from lightship.meta.objects import Obj

from . import claims as claimed
from . import content
from .claims import ClaimError, Claims, Found
from .content import TokenRequest
from .sources import Found as Sources
from .sources import Ref

RENEW_AFTER = 0.8
"""Fraction of a token's life after which a new one is asked for. Contract: kubelet token manager."""
_LEAST = 10.0
"""Seconds between two tokens, also where server and node do not agree on the time."""

_KINDS = {"ConfigMap": kinds.CONFIG_MAPS, "Secret": kinds.SECRETS}


async def references(client: Client, namespace: str, refs: Iterable[Ref]) -> Sources:
    """Each reference with its object, or None."""
    return {ref: await client.get_or_none(_KINDS[ref.kind], ref.name, namespace) if ref.name else None for ref in set(refs)}


class Tokens:
    """The service account tokens of one pod."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._tokens: dict[TokenRequest, str] = {}
        self._renew_at: dict[TokenRequest, float] = {}
        self.refused: dict[TokenRequest, str] = {}

    def forget(self) -> None:
        """Renew all of them at the next chance: a clock that was set back has not come to when they begin."""
        self._renew_at = dict.fromkeys(self._renew_at, 0.0)

    @property
    def renew_at(self) -> float | None:
        """When the next token should be renewed."""
        return min(self._renew_at.values(), default=None)

    async def of(self, pod: Obj) -> dict[TokenRequest, str]:
        """All tokens that the pod's volumes show, and why others are not to be had, in `refused`."""
        now = self._clock.now()
        self.refused = {}
        for request in content.token_requests(pod):
            if self._renew_at.get(request, 0.0) <= now:
                try:
                    self._tokens[request] = await self._fetch(pod, request, now)
                except errors.StatusError as error:
                    self.refused[request] = f"failed to fetch token: {error.message}"
        return {request: token for request, token in self._tokens.items() if request not in self.refused}

    async def _fetch(self, pod: Obj, request: TokenRequest, now: float) -> str:
        account = objects.spec(pod).get("serviceAccountName") or "default"
        bound = {"apiVersion": "v1", "kind": "Pod", "name": objects.name(pod), "uid": objects.uid(pod)}
        spec = {"audiences": [request.audience] if request.audience else [], "expirationSeconds": request.seconds, "boundObjectRef": bound}
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": {}, "spec": spec}
        namespace = objects.namespace(pod)
        answer = await self._client.create_subresource(kinds.SERVICE_ACCOUNTS, account, namespace, "token", body)
        status = objects.status(answer)
        expires = times.parse(status["expirationTimestamp"]) if status.get("expirationTimestamp") else now + request.seconds
        self._renew_at[request] = now + max((expires - now) * RENEW_AFTER, _LEAST)
        return str(status["token"])


async def claims(client: Client, pod: Obj, neighbours: Callable[[str], list[Obj]], *, allow_host_path: bool) -> Claims:
    """Where the claims that a pod mounts have their data on this machine; `neighbours` are the pods of a namespace."""
    paths: dict[str, Path] = {}
    missing: dict[str, str] = {}
    pending = False
    namespace = objects.namespace(pod)
    for volume, name in claimed.of(pod):
        claim = await client.get_or_none(kinds.PERSISTENT_VOLUME_CLAIMS, name, namespace) if name else None
        bound = objects.spec(claim).get("volumeName") if claim is not None else ""
        found = Found(
            volume["name"],
            claim,
            await client.get_or_none(kinds.PERSISTENT_VOLUMES, bound) if bound else None,
            claimed.shared(pod, name, neighbours(namespace)) if claim is not None and _alone(claim) else False,
        )
        try:
            paths[name] = claimed.place(pod, name, found, allow_host_path=allow_host_path)
        except ClaimError as error:
            missing[name] = str(error)
            pending |= error.pending
    return Claims(paths, missing, pending)


def _alone(claim: Obj) -> bool:
    return "ReadWriteOncePod" in (objects.spec(claim).get("accessModes") or ())
