"""ResourceQuota admission: a write that would use more than its namespace may have is refused, and what it uses is charged with it.

The charge is a write of the quota's status in the very commit of the object (`AdmissionRequest.also`): neither can be stored without the
other, and two writers that are fast at once cannot both have the last of it. Counting is `kinds.quotas`; the quota controller gives back
what is deleted. Without quotas it costs one look at a number.
Contract: kube-apiserver pkg/admission/plugin/resourcequota.
"""

from collections.abc import Mapping

from lightship.apiserver.core import Core
from lightship.apiserver.verbs.writing import encoder
from lightship.kinds import quotas
from lightship.meta import quantity
from lightship.meta.admission import Admission, AdmissionRequest
from lightship.meta.objects import Obj
from lightship.store import Put, Record

from .refusals import forbidden

BUCKET = "core/resourcequotas"
_PREFIX = BUCKET + "/"
_FREE = frozenset({"core/events", "core/bindings"})
"""What is never counted: events, as the real server's default has it, and what is not stored."""


def admission(core: Core) -> list[Admission]:
    """The rule, for servers that serve quotas."""
    if core.catalogue.find("", "v1", "resourcequotas") is None:
        return []
    return [Admission(name="ResourceQuota", resources=(), validate=_Charger(core).charge, last=True, buckets=(BUCKET,))]


class _Charger:
    def __init__(self, core: Core) -> None:
        self._core = core
        self._seen: dict[str, tuple[int, list[str]]] = {}

    async def charge(self, request: AdmissionRequest) -> list[str] | None:
        if request.obj is None or not request.namespace or request.operation not in ("CREATE", "UPDATE"):
            return None
        keys = self._keys(request.namespace)
        bucket = request.resource.bucket
        if not keys or bucket in _FREE or not quotas.watches(bucket, request.subresource, request.obj, request.old):
            return None
        for record in self._heads(keys):
            used = self._judge(request, bucket, record.obj)
            if used:
                quota = {**record.obj, "status": {**record.obj["status"], "used": used}, "metadata": {**record.obj["metadata"]}}
                request.also.append(Put(record.key, encoder(quota), record.revision, quota))
        return None

    def _keys(self, namespace: str) -> list[str]:
        """Keys of the namespace's quotas, looked for again when a quota has been written."""
        changed = self._core.store.changed(_PREFIX)
        seen, keys = self._seen.get(namespace, (-1, []))
        if seen != changed:
            keys = [record.key for record in self._core.store.list(f"{_PREFIX}{namespace}/").records]
            self._seen[namespace] = (changed, keys)
        return keys

    def _heads(self, keys: list[str]) -> list[Record]:
        heads = (self._core.store.head(key) for key in keys)
        return [head for head in heads if head is not None]

    def _judge(self, request: AdmissionRequest, bucket: str, quota: Obj) -> dict[str, str] | None:
        """The quota's new `used`, None when this write costs it nothing. Raises 403."""
        obj, status = request.obj, quota.get("status") or {}
        assert obj is not None
        hard: Mapping[str, quantity.Number] = status.get("hard") or {}
        names = quotas.relevant(bucket, hard)
        if not names or not quotas.matches(quota, bucket, obj):
            return None
        used: Mapping[str, quantity.Number] = status.get("used") or {}
        title = quota["metadata"]["name"]
        complaint = quotas.missing(bucket, obj, names)
        if complaint:
            raise forbidden(request, f"failed quota: {title}: {complaint}")
        if any(name not in used for name in names):
            raise forbidden(request, f"status unknown for quota: {title}, resources: {','.join(names)}")
        more = self._more(request, bucket, quota)
        charge = {name: more[name] for name in sorted(more) if name in hard}
        if not charge:
            return None
        total = quantity.add(used, charge)
        exceeded = quotas.within(hard, {name: total[name] for name in charge})
        if exceeded:
            shown = (_shown(amounts, exceeded) for amounts in (charge, used, hard))
            raise forbidden(request, "exceeded quota: {}, requested: {}, used: {}, limited: {}".format(title, *shown))
        return total

    def _more(self, request: AdmissionRequest, bucket: str, quota: Obj) -> dict[str, str]:
        """What the write adds: all of a new object, of a changed one what it uses more than before."""
        obj, old, now = request.obj, request.old, self._core.clock.now()
        assert obj is not None
        usage = quotas.usage(bucket, obj, now)
        negative = sorted(name for name, value in usage.items() if quantity.parse(value) < 0)
        if negative:
            raise forbidden(request, f"quota usage is negative for resource(s): {','.join(negative)}")
        before = quotas.usage(bucket, old, now) if old is not None and quotas.matches(quota, bucket, old) else {}
        return quotas.added(usage, before)


def _shown(amounts: Mapping[str, quantity.Number], names: list[str]) -> str:
    return ",".join(f"{name}={quantity.canonical(amounts[name])}" for name in names if name in amounts)
