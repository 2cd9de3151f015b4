"""Default classes: a claim without a StorageClass and an Ingress without an IngressClass get the one that is marked as default.

Contract: kube-apiserver plugins DefaultStorageClass and DefaultIngressClass. Of several defaults the newest, then the first by name.
"""

from collections.abc import Callable, Sequence

from lightship.apiserver.core import Core
from lightship.meta.admission import Admission, AdmissionRequest
from lightship.meta.objects import Obj

from .remembered import Remembered

_OLD_STORAGE = "volume.beta.kubernetes.io/storage-class"
_OLD_INGRESS = "kubernetes.io/ingress.class"


def _default(core: Core, bucket: str, *annotations: str) -> Callable[[], str]:
    """The name of the default among the objects of a bucket, empty when none is marked."""

    def is_marked(obj: Obj) -> bool:
        found = obj["metadata"].get("annotations") or {}
        return any(found.get(annotation) == "true" for annotation in annotations)

    def name(objects: Sequence[Obj]) -> str:
        marked = [obj["metadata"] for obj in objects if is_marked(obj)]
        newest = max((meta["creationTimestamp"] for meta in marked), default="")
        return min((meta["name"] for meta in marked if meta["creationTimestamp"] == newest), default="")

    return Remembered(core.store, bucket, name)


def storage(core: Core) -> list[Admission]:
    """DefaultStorageClass, for servers that serve claims and classes."""
    claims = core.catalogue.find("", "v1", "persistentvolumeclaims")
    if claims is None or core.catalogue.find("storage.k8s.io", "v1", "storageclasses") is None:
        return []
    marks = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")
    default = _default(core, "storage.k8s.io/storageclasses", *marks)

    async def fill(request: AdmissionRequest) -> list[str] | None:
        claim = request.obj
        if claim is None or request.operation != "CREATE" or request.subresource:
            return None
        spec = claim["spec"]
        if spec.get("storageClassName") is None and _OLD_STORAGE not in (claim["metadata"].get("annotations") or {}):
            name = default()
            if name:
                spec["storageClassName"] = name
        return None

    return [Admission(name="DefaultStorageClass", resources=(claims,), mutate=fill)]


def ingress(core: Core) -> list[Admission]:
    """DefaultIngressClass, for servers that serve ingresses and classes."""
    ingresses = core.catalogue.find("networking.k8s.io", "v1", "ingresses")
    if ingresses is None or core.catalogue.find("networking.k8s.io", "v1", "ingressclasses") is None:
        return []
    default = _default(core, "networking.k8s.io/ingressclasses", "ingressclass.kubernetes.io/is-default-class")

    async def fill(request: AdmissionRequest) -> list[str] | None:
        ingress = request.obj
        if ingress is None or request.operation != "CREATE" or request.subresource:
            return None
        spec = ingress["spec"]
        if spec.get("ingressClassName") is None and _OLD_INGRESS not in (ingress["metadata"].get("annotations") or {}):
            name = default()
            if name:
                spec["ingressClassName"] = name
        return None

    return [Admission(name="DefaultIngressClass", resources=(ingresses,), mutate=fill)]
