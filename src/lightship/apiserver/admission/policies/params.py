"""The parameters of a binding: none, one by name, or all that a selector picks, of any kind that is served.

Called by `selecting`. Contract: k8s.io/apiserver pkg/admission/plugin/policy/generic policy_dispatcher.go CollectParams.
"""

from collections.abc import Sequence

from lightship.apiserver.core import Core
from lightship.apiserver.served import Served
from lightship.meta import selectors
from lightship.meta.objects import GVK, Obj, split_api_version


class Misconfigured(Exception):  # noqa: N818  the text is the real server's
    """A policy or binding that cannot be evaluated as it is configured."""


def kind_of(core: Core, kind: Obj | None) -> Served | None:
    """What is served of the kind of a policy's parameters; None for a policy without. Raises `Misconfigured`."""
    if kind is None:
        return None
    group, version = split_api_version(kind["apiVersion"])
    resource = core.catalogue.by_kind(GVK(group, version, kind["kind"]))
    served = core.catalogue.served(resource) if resource is not None else None
    if served is None:
        raise Misconfigured(f"failed to find resource referenced by paramKind: '{group}/{version}, Kind={kind['kind']}'")
    return served


async def collect(core: Core, served: Served | None, reference: Obj | None, namespace: str) -> Sequence[Obj | None]:
    """The parameters to evaluate with, one after another; `[None]` where there is nothing to look up. Raises `Misconfigured`."""
    if served is None or reference is None:
        return [None]
    namespace = _namespace(served, reference, namespace)
    if reference.get("name"):
        record = core.store.get(served.key(namespace, reference["name"]))
        records = [record] if record is not None else []
    else:
        selector = selectors.from_label_selector(reference.get("selector") or {})
        everything = core.store.list(served.under(namespace)).records
        records = [record for record in everything if selector.matches(record.obj["metadata"].get("labels"))]
    if not records and reference.get("parameterNotFoundAction") == "Deny":
        raise Misconfigured("no params found for policy binding with `Deny` parameterNotFoundAction")
    return [(await served.show(record)).obj for record in records]


def _namespace(served: Served, reference: Obj, namespace: str) -> str:
    given = reference.get("namespace") or ""
    if not served.resource.namespaced:
        if given:
            raise Misconfigured("paramRef.namespace must not be provided for a cluster-scoped `paramKind`")
        return ""
    if not given and not namespace:
        raise Misconfigured("cannot use namespaced paramRef in policy binding that matches cluster-scoped resources")
    return str(given or namespace)
