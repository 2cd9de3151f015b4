"""API groups that other servers have: APIServices, from the object to the request that is carried to the server behind it.

`front` asks `behind` for every request (nothing, as long as there is no such object) and has it carried; `run` looks after them in the
background: is the server there, and what does it serve, so that discovery can tell of it. Also makes the APIServices of our own groups.
Who asks is told in headers, and believed because of the certificate that this server shows.
Contract: apiregistration.k8s.io/v1; kube-aggregator handler_proxy.go, status and autoregister controllers; requestheader authentication.
"""

import asyncio
import base64
import logging
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lightship.apiserver.core import Core
from lightship.apiserver.reviews.answering import RESOURCES as REVIEWS
from lightship.apiserver.transport.exchange import HttpRequest, Reply, Stream, Switch
from lightship.apiserver.transport.outbound import Dial, Resolve, connect
from lightship.apiserver.verbs.writing import encoder
from lightship.meta import codec, conditions, errors, times
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource
from lightship.meta.rest import User
from lightship.store import Delete, Put, RevisionMismatch

from .forwarding import Connection, Unreachable, forward
from .priorities import priorities

log = logging.getLogger(__name__)

_PREFIX = "apiregistration.k8s.io/apiservices/"
_OWN_GROUP = "apiregistration.k8s.io"
"""The only group without an APIService: it is what they are served by."""
_AUTOMANAGED = "kube-aggregator.kubernetes.io/automanaged"
LOOK_SECONDS = 30.0
"""How often a server that is there is asked whether it still is."""
_RETRY_SECONDS = 1.0
_ASK_SECONDS = 5.0


class Aggregation:
    """`certificate` and `key` are files with which this server proves who it is to the others."""

    def __init__(
        self, core: Core, resolve: Resolve, dial: Dial | None = None, *, certificate: tuple[Path | None, Path | None] = (None, None)
    ) -> None:
        self._core = core
        self._certificate = certificate
        self._resolve = resolve
        self._dial = dial
        self._seen = -1
        self._remote: dict[tuple[str, str], Obj] = {}
        self._served: dict[tuple[str, str], list[Resource]] = {}
        self._changes = 0
        self._local = -1

    # For discovery: the catalogue, with what other servers have

    def __iter__(self) -> Iterator[Resource]:
        yield from self._core.catalogue
        for served in self._served.values():
            yield from served

    @property
    def generation(self) -> int:
        return self._core.catalogue.generation + self._changes

    def storage_versions(self) -> dict[str, str]:
        return self._core.catalogue.storage_versions()

    # For requests

    def behind(self, path: str) -> Obj | None:
        """The APIService of another server that this path belongs to."""
        if self._core.store.changed(_PREFIX) != self._seen:
            self._read()
        if not self._remote or not path.startswith("/apis/"):
            return None
        parts = path.split("/", 4)
        return self._remote.get((parts[2], parts[3])) if len(parts) > 3 else None

    async def carry(self, service: Obj, request: HttpRequest, user: User) -> Reply | Stream | Switch:
        """The other server's answer. Raises 503 when there is none."""
        if not conditions.is_true(service, "Available"):
            raise errors.unavailable("service unavailable")
        path = f"{request.path}?{request.query}" if request.query else request.path
        hidden = [name.decode("latin-1") for name in request.headers if name.startswith((b"x-remote-", b"impersonate-"))]
        try:
            host = _host(service)
            return await forward(request, lambda: self._open(service), path, host, _identity(user), [*hidden, "authorization"])
        except Unreachable as error:
            raise errors.unavailable(f"error trying to reach service: {error}") from error

    async def _open(self, service: Obj) -> Connection:
        reference = service["spec"]["service"]
        address = self._resolve(reference["namespace"], reference["name"], int(reference.get("port") or 443))
        async with asyncio.timeout(_ASK_SECONDS):
            return await connect(address, self._dial, self._context(service["spec"]), _host(service))

    def _context(self, spec: Obj) -> ssl.SSLContext:
        bundle = spec.get("caBundle")
        context = ssl.create_default_context(cadata=base64.b64decode(bundle).decode() if bundle else None)
        if spec.get("insecureSkipTLSVerify"):
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        else:
            context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
        certificate, key = self._certificate
        if certificate is not None:
            context.load_cert_chain(certificate, key)
        return context

    def _read(self) -> None:
        self._seen = self._core.store.changed(_PREFIX)
        found = (record.obj for record in self._core.store.list(_PREFIX).records)
        self._remote = {(obj["spec"].get("group") or "", obj["spec"]["version"]): obj for obj in found if obj["spec"].get("service")}
        for gone in self._served.keys() - self._remote.keys():
            del self._served[gone]
            self._changes += 1

    # In the background

    async def run(self) -> None:
        """Keep conditions and discovery true until cancelled."""
        while True:
            await self._register_ours()
            self._read()
            well = True
            for service in list(self._remote.values()):
                well = await self._look(service) and well
            await self._pause(LOOK_SECONDS if well else _RETRY_SECONDS)

    async def _pause(self, seconds: float) -> None:
        """Until it is time again, or something has changed."""
        seen, local = self._seen, self._local
        end = self._core.clock.monotonic() + seconds
        while self._core.clock.monotonic() < end:
            await self._core.clock.sleep(_RETRY_SECONDS)
            if self._core.store.changed(_PREFIX) != seen or self._core.catalogue.generation != local:
                return

    async def _look(self, service: Obj) -> bool:
        """Is the server there, and what does it serve? True when it is."""
        spec = service["spec"]
        identity = (spec.get("group") or "", spec["version"])
        try:
            served = _resources(*identity, await self._ask(service, f"/apis/{identity[0]}/{identity[1]}"))
        except (errors.StatusError, Unreachable, OSError, TimeoutError, ValueError) as error:
            reason = "ServiceNotFound" if isinstance(error, errors.StatusError) and error.code == 404 else "FailedDiscoveryCheck"
            await self._tell(service, "False", reason, f"failing or missing response from {_host(service)}: {error}")
            if self._served.pop(identity, None):
                self._changes += 1
            return False
        if self._served.get(identity) != served:
            self._served[identity] = served
            self._changes += 1
        await self._tell(service, "True", "Passed", "all checks passed")
        return True

    async def _ask(self, service: Obj, path: str) -> Any:
        request = HttpRequest()
        request.headers = {b"accept": b"application/json"}
        identity = _identity(User("system:kube-aggregator", ("system:masters",)))
        answer = await forward(request, lambda: self._open(service), path, _host(service), identity)
        if not isinstance(answer, Reply) or answer.code != 200:
            raise ValueError(f"{path} answered {answer.code if isinstance(answer, Reply) else 'with a stream'}")
        return codec.decode(answer.body)

    async def _tell(self, service: Obj, status: str, reason: str, message: str) -> None:
        """Write the condition Available, if it is another than before."""
        head = self._core.store.head(f"{_PREFIX}/{service['metadata']['name']}")
        if head is None:
            return
        known = (head.obj.get("status") or {}).get("conditions") or []
        changed = conditions.set_condition(known, "Available", status, reason, message, self._core.clock.now())
        if changed == known:
            return
        new = {**head.obj, "metadata": {**head.obj["metadata"]}, "status": {**(head.obj.get("status") or {}), "conditions": changed}}
        try:
            await self._core.commit("apiregistration.k8s.io/apiservices", Put(head.key, encoder(new), head.revision, new))
        except RevisionMismatch:
            log.debug("an APIService has changed meanwhile; its condition is looked at again")

    async def _register_ours(self) -> None:
        """An APIService for each group and version that is served here, and none for those that are no more."""
        if self._local == self._core.catalogue.generation:
            return
        self._local = self._core.catalogue.generation
        wanted = {_name(r.group, r.version): r for r in (*self._core.catalogue, *REVIEWS) if r.group != _OWN_GROUP}
        now = times.rfc3339(self._core.clock.now())
        for name, resource in wanted.items():
            key = f"{_PREFIX}/{name}"
            if self._core.store.head(key) is None:
                await self._put(key, _local_service(resource, name, self._core.uid(), now))
        for record in self._core.store.list(_PREFIX).records:
            meta = record.obj["metadata"]
            if meta["name"] not in wanted and _AUTOMANAGED in (meta.get("labels") or {}) and not record.obj["spec"].get("service"):
                await self._remove(record.key, record.revision, record.obj)

    async def _put(self, key: str, obj: Obj) -> None:
        try:
            await self._core.commit("apiregistration.k8s.io/apiservices", Put(key, encoder(obj), 0, obj))
        except RevisionMismatch:
            log.debug("somebody has registered %s first", key)

    async def _remove(self, key: str, revision: int, obj: Obj) -> None:
        last = {**obj, "metadata": {**obj["metadata"]}}
        try:
            await self._core.commit("apiregistration.k8s.io/apiservices", Delete(key, encoder(last), revision, last), deleted=True)
        except RevisionMismatch:
            log.debug("%s has changed, and is left alone", key)


def _host(service: Obj) -> str:
    reference = service["spec"]["service"]
    return f"{reference['name']}.{reference['namespace']}.svc"


def _identity(user: User) -> list[tuple[str, str]]:
    """Headers by which the other server knows who asks."""
    headers = [("X-Remote-User", user.name), *(("X-Remote-Group", group) for group in user.groups)]
    if user.uid:
        headers.append(("X-Remote-Uid", user.uid))
    return headers + [(f"X-Remote-Extra-{key}", value) for key, values in user.extra.items() for value in values]


def _name(group: str, version: str) -> str:
    return f"{version}.{group}"


def _local_service(resource: Resource, name: str, uid: str, now: str) -> Obj:
    group_priority, version_priority = priorities(resource.group, resource.version)
    condition = {"type": "Available", "status": "True", "lastTransitionTime": now, "reason": "Local"}
    spec: Obj = {"version": resource.version, "groupPriorityMinimum": group_priority, "versionPriority": version_priority}
    if resource.group:
        spec["group"] = resource.group
    return {
        "kind": "APIService",
        "apiVersion": "apiregistration.k8s.io/v1",
        "metadata": {
            "name": name,
            "uid": uid,
            "creationTimestamp": now,
            "labels": {_AUTOMANAGED: "true" if resource.custom else "onstart"},
        },
        "spec": spec,
        "status": {"conditions": [{**condition, "message": "Local APIServices are always available"}]},
    }


def _resources(group: str, version: str, listed: Any) -> list[Resource]:
    """What an APIResourceList tells of, parts of what it does not serve itself among it (metrics of pods). Raises `ValueError` when it is
    none."""
    if not isinstance(listed, dict) or not isinstance(listed.get("resources"), list):
        raise ValueError("the answer is no APIResourceList")
    parts: dict[str, list[str]] = {}
    for found in listed["resources"]:
        plural, _, part = str(found.get("name") or "").partition("/")
        parts.setdefault(plural, []).extend([part] if part else [])
    whole = {found.get("name") for found in listed["resources"]}
    return [
        Resource(
            group=group,
            version=version,
            kind=str(found.get("kind") or ""),
            plural=str(found["name"]),
            singular=str(found.get("singularName") or ""),
            namespaced=bool(found.get("namespaced")),
            short_names=tuple(found.get("shortNames") or ()),
            categories=tuple(found.get("categories") or ()),
            verbs=tuple(found.get("verbs") or ()),
            status="status" in parts.get(found["name"], ()),
            custom=True,
        )
        for found in listed["resources"]
        if found.get("name") and (found["name"].partition("/")[0] == found["name"] or found["name"].partition("/")[0] not in whole)
    ]
