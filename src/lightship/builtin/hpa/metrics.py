"""Reads the metrics APIs: what pods use from metrics.k8s.io, everything else from the APIs that adapters serve.

Called by `proposing`. Custom metrics are asked for in the version that discovery prefers, which is looked up anew now and then.
Contract: metrics.k8s.io/v1beta1, custom.metrics.k8s.io/v1beta2 and v1beta1, external.metrics.k8s.io/v1beta1; what Kubernetes' clients of
these ask for, and the words in which its controller says that one cannot be read.
"""

import re
from typing import Protocol, runtime_checkable
from urllib.parse import quote

from lightship.aio.clock import Clock
from lightship.builtin.hpa.replicas import MOST_VALUE
from lightship.builtin.hpa.samples import Sample, Unmeasurable
from lightship.builtin.known_kinds import KnownKinds
from lightship.client.client import Client
from lightship.kinds.metrics import POD_METRICS
from lightship.meta import codec, errors, objects, quantity, selectors, times
from lightship.meta.objects import Obj

CUSTOM, EXTERNAL = "custom.metrics.k8s.io", "external.metrics.k8s.io"
_VERSIONS = ("v1beta2", "v1beta1")
"""Those of custom metrics that are understood."""
_REMEMBERED = 30.0
"""Seconds for which the version of custom metrics that a server prefers is not asked for again."""
_WINDOW = 60.0
_DURATION, _UNITS = re.compile(r"([\d.]+)(h|ms|m|s)"), {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


@runtime_checkable
class Fetcher(Protocol):
    """What can read a path of an API server. Raises `StatusError`."""

    async def fetch(self, path: str, *, accept: str = ...) -> bytes: ...


class Metrics:
    def __init__(self, client: Client, clock: Clock, served: KnownKinds) -> None:
        self._client = client
        self._clock = clock
        self._served = served
        self._version, self._looked = "", 0.0

    async def resource(self, namespace: str, labels: str, resource: str, container: str) -> dict[str, Sample]:
        """What pods, or one container of each, use of a resource. Raises `Unmeasurable`."""
        try:
            listed = (await self._client.list(POD_METRICS, namespace, labels=labels)).items
        except errors.StatusError as error:
            raise Unmeasurable(f"unable to fetch metrics from resource metrics API: {_said(error, 'pods.metrics.k8s.io')}") from error
        if not listed:
            raise Unmeasurable("no metrics returned from resource metrics API")
        samples = ((objects.name(found), _sample(found, resource, container)) for found in listed)
        return {name: sample for name, sample in samples if sample is not None}

    async def pods(self, namespace: str, labels: str, metric: Obj) -> dict[str, Sample]:
        """What an adapter says of each pod. Raises `Unmeasurable`."""
        items = await self._custom(namespace, "pods/*", metric, f"labelSelector={quote(labels)}")
        if not items:
            raise Unmeasurable("no metrics returned from custom metrics API")
        return {item["describedObject"]["name"]: _custom_sample(item) for item in items}

    async def object(self, namespace: str, target: Obj, metric: Obj) -> int:
        """What an adapter says of one object, in thousandths. Raises `Unmeasurable`."""
        group, _ = objects.split_api_version(target.get("apiVersion", ""))
        if target["kind"] == "Namespace" and not group:
            items = await self._custom(namespace, "metrics", metric)
        else:
            plural = self._plural(group, target["kind"])
            items = await self._custom(namespace, f"{plural}/{quote(target['name'])}", metric)
        if len(items) != 1:
            told = f"the custom metrics API server returned {len(items)} results when we asked for exactly one"
            raise Unmeasurable(f"unable to fetch metrics from custom metrics API: {told}")
        return quantity.millis(items[0]["value"])

    async def external(self, namespace: str, metric: Obj) -> int:
        """What an adapter says of something outside, in thousandths, all series together. Raises `Unmeasurable`."""
        selector = _text(metric.get("selector"))
        path = f"/apis/{EXTERNAL}/v1beta1/namespaces/{namespace}/{quote(metric['name'])}"
        try:
            items = await self._items(f"{path}?labelSelector={quote(selector)}" if selector else path)
        except errors.StatusError as error:
            told = _said(error, f"{metric['name']}.{EXTERNAL}")
            raise Unmeasurable(f"unable to fetch metrics from external metrics API: {told}") from error
        if not items:
            raise Unmeasurable("no metrics returned from external metrics API")
        return min(MOST_VALUE, sum(quantity.millis(item["value"]) for item in items))

    async def _custom(self, namespace: str, what: str, metric: Obj, *queries: str) -> list[Obj]:
        selector = _text(metric.get("selector"))
        queries = (*queries, f"metricLabelSelector={quote(selector)}") if selector else queries
        try:
            version = await self._custom_version()
            path = f"/apis/{CUSTOM}/{version}/namespaces/{namespace}/{what}/{quote(metric['name'])}"
            return await self._items("?".join((path, "&".join(queries))) if queries else path)
        except errors.StatusError as error:
            plural, _, name = what.rpartition("/")
            told = _said(error, f"{plural}.{CUSTOM} {name}" if plural else f"{what}.{CUSTOM} {metric['name']}")
            raise Unmeasurable(f"unable to fetch metrics from custom metrics API: {told}") from error

    async def _custom_version(self) -> str:
        if self._version and self._clock.monotonic() < self._looked + _REMEMBERED:
            return self._version
        try:
            group = await self._fetch(f"/apis/{CUSTOM}")
        except errors.StatusError as error:
            if not errors.is_not_found(error):
                raise
            raise Unmeasurable(f"unable to fetch metrics from custom metrics API: no custom metrics API ({CUSTOM}) registered") from error
        offered = [(group.get("preferredVersion") or {}).get("version"), *(each.get("version") for each in group.get("versions") or ())]
        version = next((each for each in offered if each in _VERSIONS), None)
        if version is None:
            raise Unmeasurable("unable to fetch metrics from custom metrics API: no known available metric versions found")
        self._version, self._looked = version, self._clock.monotonic()
        return self._version

    async def _items(self, path: str) -> list[Obj]:
        return (await self._fetch(path)).get("items") or []

    async def _fetch(self, path: str) -> Obj:
        transport = self._client.transport
        if not isinstance(transport, Fetcher):
            raise errors.no_such_path()
        found: Obj = codec.decode(await transport.fetch(path))
        return found

    def _plural(self, group: str, kind: str) -> str:
        found = next((resource for resource in self._served if resource.group == group and resource.kind == kind), None)
        if found is None:
            named = f"{kind}.{group}" if group else kind
            reason = f'unable to map kind {named} to resource: no matches for kind "{kind}" in group "{group}"'
            raise Unmeasurable(f"unable to fetch metrics from custom metrics API: {reason}")
        return f"{found.plural}.{group}" if group else found.plural


def _said(error: errors.StatusError, what: str) -> str:
    """An error as Go's clients tell it: where nobody answers for an API, they say themselves what they asked for."""
    if error.message == errors.no_such_path().message:
        return f"{error.message} (get {what})"
    if error.message == "service unavailable" or error.message.startswith("error trying to reach service"):
        return f"the server is currently unable to handle the request (get {what})"
    return error.message


def _sample(found: Obj, resource: str, container: str) -> Sample | None:
    """None where a container is not measured yet."""
    parts = [part for part in found.get("containers") or () if container in ("", part.get("name"))]
    if not parts or any(resource not in (part.get("usage") or {}) for part in parts):
        return None
    return Sample(sum(quantity.millis(part["usage"][resource]) for part in parts), _at(found), _seconds(found.get("window") or "0s"))


def _seconds(duration: str) -> float:
    """As Go writes durations: `1m30s`."""
    return sum(float(number) * _UNITS[unit] for number, unit in _DURATION.findall(duration))


def _custom_sample(item: Obj) -> Sample:
    window = item.get("windowSeconds", item.get("window"))
    return Sample(quantity.millis(item["value"]), _at(item), _WINDOW if window is None else float(window))


def _at(found: Obj) -> float:
    stamp = found.get("timestamp")
    return times.parse(stamp) if stamp else 0.0


def _text(selector: Obj | None) -> str:
    return str(selectors.from_label_selector(selector)) if selector else ""
