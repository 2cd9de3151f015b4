"""What would keep the pods of a plan from starting: quotas, what pods name and nobody has made, unknown images, suspension.

Called by `command`. Pure but for the table of images, which is a file. Each answer is one sentence; an empty list means that nothing is in
the way but room, which is `fitting`'s to judge. Quotas refuse in the API server's words.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from lightship import kinds
from lightship.kinds import quotas
from lightship.meta import objects, quantity
from lightship.meta.objects import Obj
from lightship.node.images.catalogue import ImageError, entry_for
from lightship.node.machine.nodestatus import RUNTIME_ANNOTATION

from .live import Live
from .trial import Made, Trial

QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
_OURS = ("sandbox", "process")
_MAY_MISS = {"ConfigMap": kinds.CONFIG_MAPS, "Secret": kinds.SECRETS, "PersistentVolumeClaim": kinds.PERSISTENT_VOLUME_CLAIMS}
_OWN_CONTENT = ("kube-root-ca.crt",)
"""ConfigMaps that a namespace gets by itself."""


def held(wanted: Iterable[Obj]) -> list[str]:
    """Who holds the objects themselves back."""
    found = []
    for obj in wanted:
        name = f"{obj.get('kind')} {objects.name(obj)}"
        queue = objects.labels(obj).get(QUEUE_LABEL)
        if queue:
            found.append(f"{name} waits until Kueue admits it through the queue {queue}")
        elif objects.spec(obj).get("suspend"):
            found.append(f"{name} is suspended: nothing is made of it until it is resumed; the rest of the plan is what follows then")
        if objects.spec(obj).get("managedBy", "").startswith("kueue"):
            found.append(f"{name} is left to {objects.spec(obj)['managedBy']}")
    return found


def over_quota(trial: Trial, live: Live, now: float) -> list[str]:
    """Which quotas the objects would exceed, taken together, as long as they are there at the same time."""
    made = list(trial.made.values())
    return [said for quota in live.of(kinds.RESOURCE_QUOTAS) if (said := _exceeded(quota, made, now))]


def _exceeded(quota: Obj, made: Sequence[Made], now: float) -> str:
    """What the quota would say at the first moment at which it had something to say."""
    for at in sorted({one.at for one in made}):
        said = _at_once(quota, [one.obj for one in made if one.at <= at and (one.ended is None or one.ended > at)], now)
        if said:
            return said
    return ""


def _at_once(quota: Obj, there: Iterable[Obj], now: float) -> str:
    hard = objects.status(quota).get("hard") or objects.spec(quota).get("hard") or {}
    used = objects.status(quota).get("used") or {}
    total: dict[str, str] = {}
    count = 0
    for obj in there:
        bucket, fresh = _bucket(obj), {**obj, "status": {}}
        names = quotas.relevant(bucket, hard)
        if not names or not quotas.matches(quota, bucket, fresh):
            continue
        if complaint := quotas.missing(bucket, fresh, names):
            return f"{obj.get('kind')} {objects.name(obj)} would be refused: failed quota: {objects.name(quota)}: {complaint}"
        charge = {key: value for key, value in quotas.usage(bucket, fresh, now).items() if key in hard}
        total, count = quantity.add(total, charge), count + 1
    after = quantity.add(used, total)
    exceeded = quotas.within(hard, {key: after[key] for key in total})
    if not exceeded:
        return ""
    shown = (",".join(f"{key}={quantity.canonical(of[key])}" for key in exceeded if key in of) for of in (total, used, hard))
    said = "exceeded quota: {}, requested: {}, used: {}, limited: {}".format(objects.name(quota), *shown)
    return f"{said} ({count} object{'s' if count != 1 else ''} together)"


def absent(trial: Trial, live: Live) -> list[str]:
    """What pods name that is not there: claims, ConfigMaps, Secrets, service accounts; and will not be made with them."""
    made = {(one.obj.get("kind"), objects.name(one.obj)) for one in trial.made.values()}
    found: dict[str, None] = {}
    for one in trial.pods():
        for kind, name in _named(objects.spec(one.obj)):
            resource = _MAY_MISS[kind]
            there = live.names(resource, live.namespace)
            if resource in live.found and name not in there and (kind, name) not in made and name not in _OWN_CONTENT:
                found[f"{kind} {name} is not there"] = None
    return list(found)


def unmapped(trial: Trial, live: Live, data: Path | None) -> list[str]:
    """Images that mean nothing on this platform; `data` is its directory, None where the cluster is somebody else's."""
    runtimes = {objects.annotations(node).get(RUNTIME_ANNOTATION) for node in live.of(kinds.NODES)}
    if data is None or not runtimes & set(_OURS):
        return []
    found: dict[str, None] = {}
    for one in trial.pods():
        for container in [*(objects.spec(one.obj).get("initContainers") or ()), *objects.spec(one.obj)["containers"]]:
            image = container.get("image", "")
            try:
                known = entry_for(data / "images.json", image) is not None
            except ImageError:
                return []  # a broken table is told of by who pulls
            if not known:
                found[f'image "{image}" means nothing here; lightship images map "{image}" --packages ...'] = None
    return list(found)


def resumed(obj: Obj) -> Obj:
    """The object as if nobody held it back."""
    if not objects.spec(obj).get("suspend") and QUEUE_LABEL not in objects.labels(obj):
        return obj
    kept = {key: value for key, value in objects.labels(obj).items() if key != QUEUE_LABEL}
    return {**obj, "metadata": {**objects.meta(obj), "labels": kept}, "spec": {**objects.spec(obj), "suspend": False}}


def _bucket(obj: Obj) -> str:
    found = objects.gvk(obj)
    plural = next((r.plural for r in kinds.BUILTIN if r.kind == found.kind and r.group == found.group), found.kind.lower() + "s")
    return f"{found.group or 'core'}/{plural}"


def _named(spec: Obj) -> Iterable[tuple[str, str]]:
    for volume in spec.get("volumes") or ():
        sources: Sequence[Obj] = [volume, *((volume.get("projected") or {}).get("sources") or ())]
        for source in sources:
            if (found := source.get("configMap")) and not found.get("optional"):
                yield "ConfigMap", found.get("name", "")
            if (found := source.get("secret")) and not found.get("optional"):
                yield "Secret", found.get("secretName") or found.get("name", "")
        if found := volume.get("persistentVolumeClaim"):
            yield "PersistentVolumeClaim", found.get("claimName", "")
    for container in [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]:
        for source in container.get("envFrom") or ():
            if (found := source.get("configMapRef")) and not found.get("optional"):
                yield "ConfigMap", found.get("name", "")
            if (found := source.get("secretRef")) and not found.get("optional"):
                yield "Secret", found.get("name", "")
