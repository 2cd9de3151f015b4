"""Reads the metrics APIs: what pods use from metrics.k8s.io, everything else from the APIs that adapters serve.

Called by `proposing`. Contract: metrics.k8s.io/v1beta1, custom.metrics.k8s.io/v1beta1, external.metrics.k8s.io/v1beta1, and the words in
which Kubernetes' controller says that one cannot be read.
"""

from collections.abc import Awaitable, Callable
from urllib.parse import quote

from lightship.builtin.hpa.samples import Sample, Unmeasurable
from lightship.client.client import Client
from lightship.kinds.metrics import POD_METRICS
from lightship.meta import errors, objects, quantity, selectors, times
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource

Ask = Callable[[str], Awaitable[Obj]]
"""Reads a path of the API server. Raises `StatusError`."""
_CUSTOM = "/apis/custom.metrics.k8s.io/v1beta1"
_EXTERNAL = "/apis/external.metrics.k8s.io/v1beta1"


class Metrics:
    def __init__(self, client: Client, ask: Ask | None) -> None:
        self._client = client
        self._ask = ask

    async def resource(self, namespace: str, labels: str, resource: str, container: str) -> dict[str, Sample]:
        """What pods, or one container of each, use of a resource. Raises `Unmeasurable`."""
        try:
            listed = (await self._client.list(POD_METRICS, namespace, labels=labels)).items
        except errors.StatusError as error:
            reason = f"unable to get metrics for resource {resource}: unable to fetch metrics from resource metrics API: {error.message}"
            raise Unmeasurable(reason) from error
        if not listed:
            reason = "no metrics returned from resource metrics API"
            raise Unmeasurable(f"unable to get metrics for resource {resource}: {reason}")
        samples = ((objects.name(found), _sample(found, resource, container)) for found in listed)
        return {name: sample for name, sample in samples if sample is not None}

    async def pods(self, namespace: str, labels: str, metric: Obj) -> dict[str, Sample]:
        """What an adapter says of each pod. Raises `Unmeasurable`."""
        path = f"{_CUSTOM}/namespaces/{namespace}/pods/*/{quote(metric['name'])}?labelSelector={quote(labels)}{_selector(metric)}"
        items = await self._items(path, f"unable to get metric {metric['name']}", "custom")
        window = 60.0
        return {item["describedObject"]["name"]: Sample(quantity.millis(item["value"]), _at(item), window) for item in items}

    async def object(self, namespace: str, target: Obj, resource: Resource, metric: Obj) -> int:
        """What an adapter says of one object, in thousandths. Raises `Unmeasurable`."""
        plural = f"{resource.plural}.{resource.group}" if resource.group else resource.plural
        where = f"{_CUSTOM}/namespaces/{namespace}/{plural}/{quote(target['name'])}/{quote(metric['name'])}?{_selector(metric)[1:]}"
        what = f"unable to get metric {metric['name']}: {target['kind']} on {namespace} {target['name']}"
        items = await self._items(where, what, "custom")
        return quantity.millis(items[0]["value"])

    async def external(self, namespace: str, metric: Obj) -> int:
        """What an adapter says of something outside, in thousandths, all series together. Raises `Unmeasurable`."""
        selector = selectors.from_label_selector(metric["selector"]) if metric.get("selector") else ""
        path = f"{_EXTERNAL}/namespaces/{namespace}/{quote(metric['name'])}?labelSelector={quote(str(selector))}"
        items = await self._items(path, f"unable to get external metric {namespace}/{metric['name']}/{selector or 'nil'}", "external")
        return sum(quantity.millis(item["value"]) for item in items)

    async def _items(self, path: str, what: str, api: str) -> list[Obj]:
        if self._ask is None:
            raise Unmeasurable(f"{what}: unable to fetch metrics from {api} metrics API: no such API is served")
        try:
            items: list[Obj] = (await self._ask(path)).get("items") or []
        except errors.StatusError as error:
            raise Unmeasurable(f"{what}: unable to fetch metrics from {api} metrics API: {error.message}") from error
        if not items:
            raise Unmeasurable(f"{what}: no metrics returned from {api} metrics API")
        return items


def _sample(found: Obj, resource: str, container: str) -> Sample | None:
    """None where a container is not measured yet."""
    parts = [part for part in found.get("containers") or () if container in ("", part.get("name"))]
    if not parts or any(resource not in part.get("usage", {}) for part in parts):
        return None
    window = float(str(found.get("window", "60s")).removesuffix("s") or 60)
    return Sample(sum(quantity.millis(part["usage"][resource]) for part in parts), _at(found), window)


def _at(found: Obj) -> float:
    stamp = found.get("timestamp")
    return times.parse(stamp) if stamp else 0.0


def _selector(metric: Obj) -> str:
    if not metric.get("selector"):
        return ""
    return f"&metricLabelSelector={quote(str(selectors.from_label_selector(metric['selector'])))}"
