"""Default classes: a claim without a StorageClass and an Ingress without an IngressClass get the one that is marked as default.

Contract: kube-apiserver plugins DefaultStorageClass and DefaultIngressClass. Of several defaults the newest, then the first by name.
"""

from lightship.apiserver.core import Core
from lightship.meta.admission import Admission, AdmissionRequest
from lightship.meta.objects import Obj

_OLD_STORAGE = "volume.beta.kubernetes.io/storage-class"
_OLD_INGRESS = "kubernetes.io/ingress.class"


class _Default:
    """The default among the objects of one bucket, looked for again when one of them has changed."""

    def __init__(self, core: Core, prefix: str, *annotations: str) -> None:
        self._core = core
        self._prefix = prefix
        self._annotations = annotations
        self._seen = -1
        self._found = ""

    def name(self) -> str:
        """Its name, empty when none is marked."""
        changed = self._core.store.changed(self._prefix)
        if changed != self._seen:
            marked = [r.obj["metadata"] for r in self._core.store.list(self._prefix).records if self._is_marked(r.obj)]
            newest = max((meta["creationTimestamp"] for meta in marked), default="")
            self._found = min((meta["name"] for meta in marked if meta["creationTimestamp"] == newest), default="")
            self._seen = changed
        return self._found

    def _is_marked(self, obj: Obj) -> bool:
        annotations = obj["metadata"].get("annotations") or {}
        return any(annotations.get(annotation) == "true" for annotation in self._annotations)


def storage(core: Core) -> list[Admission]:
    """DefaultStorageClass, for servers that serve claims and classes."""
    claims = core.catalogue.find("", "v1", "persistentvolumeclaims")
    if claims is None or core.catalogue.find("storage.k8s.io", "v1", "storageclasses") is None:
        return []
    marks = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")
    default = _Default(core, "storage.k8s.io/storageclasses/", *marks)

    async def fill(request: AdmissionRequest) -> list[str] | None:
        claim = request.obj
        if claim is None or request.operation != "CREATE" or request.subresource:
            return None
        spec = claim["spec"]
        if spec.get("storageClassName") is None and _OLD_STORAGE not in (claim["metadata"].get("annotations") or {}):
            name = default.name()
            if name:
                spec["storageClassName"] = name
        return None

    return [Admission(name="DefaultStorageClass", resources=(claims,), mutate=fill)]


def ingress(core: Core) -> list[Admission]:
    """DefaultIngressClass, for servers that serve ingresses and classes."""
    ingresses = core.catalogue.find("networking.k8s.io", "v1", "ingresses")
    if ingresses is None or core.catalogue.find("networking.k8s.io", "v1", "ingressclasses") is None:
        return []
    default = _Default(core, "networking.k8s.io/ingressclasses/", "ingressclass.kubernetes.io/is-default-class")

    async def fill(request: AdmissionRequest) -> list[str] | None:
        ingress = request.obj
        if ingress is None or request.operation != "CREATE" or request.subresource:
            return None
        spec = ingress["spec"]
        if spec.get("ingressClassName") is None and _OLD_INGRESS not in (ingress["metadata"].get("annotations") or {}):
            name = default.name()
            if name:
                spec["ingressClassName"] = name
        return None

    return [Admission(name="DefaultIngressClass", resources=(ingresses,), mutate=fill)]
