"""Subresources that are no view of the object itself: scale, binding, eviction, tokens, logs.

Called by `registry` for requests with a subresource that `writing` does not handle (`status`, `finalize`).
Contract: autoscaling/v1 Scale, core/v1 Binding, policy/v1 Eviction, authentication/v1 TokenRequest, PodLogOptions.
"""

from collections.abc import Sequence
from functools import partial

import msgspec

from lightship.apiserver.core import Core
from lightship.apiserver.requests import Answer, LogStream, Request, View
from lightship.apiserver.served import Served
from lightship.apiserver.verbs.deletion import Deleter
from lightship.apiserver.verbs.managed import Owned
from lightship.apiserver.verbs.writing import Build, Writer
from lightship.kinds import PODS
from lightship.meta import errors, selectors
from lightship.meta.objects import Obj, copy, get_path
from lightship.meta.resources import Scale
from lightship.meta.rest import LogOptions, WriteOptions

from . import admitting, binding, scaling, token_requests, whereabouts
from .eviction import Evictor

_SCALE_VERSION = "autoscaling/v1"
_SUCCESS = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


class Subresources:
    def __init__(self, core: Core, writer: Writer, deleter: Deleter) -> None:
        self._core = core
        self._writer = writer
        self._evictor = Evictor(core, writer, deleter)

    async def create(self, served: Served, request: Request, body: Obj, options: WriteOptions) -> Answer:
        """POST to a subresource."""
        if served.bucket == "core/pods" and request.subresource == "binding":
            return await self.bind(served, request, body, options)
        if served.bucket == "core/pods" and request.subresource == "eviction":
            return await self._evictor.evict(served, request, body, options)
        if served.bucket == "core/serviceaccounts" and request.subresource == "token":
            return await token_requests.grant(self._core, served, request, body, options)
        raise errors.method_not_allowed()

    async def bind(self, served: Served, request: Request, body: Obj, options: WriteOptions) -> Answer:
        """Give a pod its node. 409 when it has one already."""
        admitting.identify(request, body, "Binding", "v1")
        await admitting.ask(self._core, served, request, body, options, check=lambda: binding.check(request.name, body))
        return await self._bind(served, request, body, options)

    async def _bind(self, served: Served, request: Request, body: Obj, options: WriteOptions) -> Answer:
        now = self._core.clock.now()

        def build(old: Obj) -> Obj:
            return binding.bound(request.name, old, body, body["target"]["name"], now)

        await self._writer.replace_raw(served, request, build, options)
        return Answer(201, obj=_SUCCESS)

    async def bind_named(self, request: Request, body: Obj, options: WriteOptions) -> Answer:
        """A Binding that was sent to its namespace: it names the pod itself."""
        served, bindings = self._core.catalogue.served(PODS), self._core.catalogue.served(request.resource)
        if served is None or bindings is None:
            raise errors.no_such_path()
        admitting.identify(request, body, "Binding", "v1")
        request.name = name = get_path(body, "metadata", "name") or ""
        await admitting.ask(self._core, bindings, request, body, options, check=lambda: binding.check(name, body))
        return await self._bind(served, Request(request.user, PODS, request.namespace, name, warnings=request.warnings), body, options)

    def get_scale(self, served: Served, obj: Obj, *, asked: bool = True) -> Answer:
        """The Scale of an object; 500 when somebody asks for that of a custom object that has no number of replicas."""
        scale = _scale(served)
        if asked and served.resource.custom and get_path(obj, *_steps(scale.spec_path)) is None:
            raise errors.internal(f'the spec replicas field "{scale.spec_path}" does not exist')
        return Answer(obj=scale_of(scale, obj))

    async def put_scale(self, served: Served, request: Request, body: Obj, options: WriteOptions) -> Answer:
        """PUT to /scale: only spec.replicas counts."""
        scale = _scale(served)
        named = get_path(body, "metadata", "name")
        if named and named != request.name:
            raise errors.bad_request(f"the name of the object ({named}) does not match the name on the URL ({request.name})")
        replicas = _replicas(request, body)
        version = get_path(body, "metadata", "resourceVersion")

        def build(old: Obj) -> Obj:
            changed = get_path(old, *_steps(scale.spec_path)) != replicas
            owned, now = self._writer.owned(served), self._writer.now()
            entries = scaling.updated(owned, request, old, changed=changed, options=options, now=now)
            return _scaled(scale, old, replicas, version, entries)

        return await self._store_scale(served, request, build, options, body, pinned=bool(version))

    async def apply_scale(self, served: Served, request: Request, config: Obj, options: WriteOptions) -> Answer:
        """PATCH of /scale with an apply patch. `config` is a Scale, or part of one."""
        scale = _scale(served)

        def build(old: Obj) -> Obj:
            owned, now = self._writer.owned(served), self._writer.now()
            new, entries = scaling.applied(owned, request, old, scale_of(scale, old), config, options, now)
            return _scaled(scale, old, _replicas(request, new), new["metadata"].get("resourceVersion"), entries)

        pinned = "resourceVersion" in (config.get("metadata") or {})
        return await self._store_scale(served, request, build, options, {}, pinned=pinned)

    async def _store_scale(
        self, served: Served, request: Request, build: Build, options: WriteOptions, body: Obj, *, pinned: bool
    ) -> Answer:
        main = Request(request.user, request.resource, request.namespace, request.name, warnings=request.warnings)
        main.annotations, main.view = request.annotations, _view(self._writer.owned(served), _scale(served), body)
        answer = await self._writer.replace(served, main, build, options, pinned=pinned, settled=True)
        return Answer(obj=scale_of(_scale(served), answer.obj))

    def logs(self, served: Served, request: Request, options: LogOptions) -> LogStream:
        """Chunks of a container's log, from the node that runs the pod."""
        record = self._core.store.get(served.key(request.namespace, request.name))
        if record is None:
            raise served.not_found(request.name)
        pod = record.obj
        chosen = msgspec.structs.replace(options, container=whereabouts.container_of(pod, options.container))
        return whereabouts.node_of(self._core, pod).logs(request.namespace, request.name, pod["metadata"]["uid"], chosen)


def scale_of(scale: Scale, obj: Obj) -> Obj:
    """The Scale that stands for an object."""
    meta = obj["metadata"]
    shown = {f: meta[f] for f in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp") if f in meta}
    status: Obj = {"replicas": get_path(obj, *_steps(scale.status_path)) or 0}
    selector = get_path(obj, *_steps(scale.selector_path)) if scale.selector_path else None
    if isinstance(selector, str):
        status["selector"] = selector
    elif isinstance(selector, dict):
        status["selector"] = _selector_text(selector)
    replicas = get_path(obj, *_steps(scale.spec_path))
    return {
        "kind": "Scale",
        "apiVersion": _SCALE_VERSION,
        "metadata": shown,
        "spec": {"replicas": 0 if replicas is None else replicas},
        "status": status,
    }


def _selector_text(selector: Obj) -> str:
    """A LabelSelector, or (of a ReplicationController) a map of labels, as one text."""
    is_map = all(isinstance(value, str) for value in selector.values())
    return str(selectors.from_label_selector({"matchLabels": selector} if is_map else selector))


def _replicas(request: Request, scale: Obj) -> int:
    replicas = get_path(scale, "spec", "replicas")
    if replicas is None:  # Go programs leave out a zero
        return 0
    # Of custom kinds the object that is written is judged.
    if isinstance(replicas, int) and (replicas >= 0 or request.resource.custom):
        return replicas
    cause = errors.invalid_value("spec.replicas", replicas, "must be greater than or equal to 0")
    raise errors.invalid("Scale", request.name, [cause], "autoscaling")


def _view(owned: Owned, scale: Scale, body: Obj) -> View:
    """How admission is shown a write to /scale, whose body is `body`."""

    def sent(new: Obj, old: Obj) -> tuple[Obj, Obj]:
        made, given = scale_of(scale, new), body.get("metadata")
        if isinstance(given, dict):
            # What is left of a patched Scale has all its metadata, but for the version.
            metadata = made["metadata"]
            if "uid" not in given:
                metadata = {field: value for field, value in metadata.items() if field in given or field in ("name", "namespace")}
                metadata |= {field: given[field] for field in ("annotations", "labels") if isinstance(given.get(field), dict)}
            made = {**made, "metadata": metadata, "status": body.get("status") or {"replicas": 0}}
        shown = scaling.shown(owned, new, made)
        return shown, scaling.shown(owned, old, scale_of(scale, old))

    def take(shown: Obj, obj: Obj) -> None:
        _set_path(obj, _steps(scale.spec_path), get_path(shown, "spec", "replicas") or 0)

    return View("scale", partial(scale_of, scale), sent, take)


def _scaled(scale: Scale, old: Obj, replicas: int, version: str | None, entries: Sequence[Obj]) -> Obj:
    """The object with another number of replicas, and who owns what of it."""
    new: Obj = copy(old)
    new["metadata"]["managedFields"] = list(entries)
    if not entries:
        del new["metadata"]["managedFields"]
    if version:
        new["metadata"]["resourceVersion"] = version
    _set_path(new, _steps(scale.spec_path), replicas)
    return new


def _scale(served: Served) -> Scale:
    if served.resource.scale is None:
        raise errors.no_such_path()
    return served.resource.scale


def _steps(path: str) -> list[str]:
    return [step for step in path.split(".") if step]


def _set_path(obj: Obj, steps: list[str], value: object) -> None:
    for step in steps[:-1]:
        obj = obj.setdefault(step, {})
    obj[steps[-1]] = value
