"""Server-side apply: a configuration and its manager's name become a changed or new object, or a list of conflicts.

`patching` calls `apply` for PATCH with an apply patch. What the arithmetic of fields finds (`meta.fields.application`) is worded here, and
kubectl's ways from before server-side apply are honoured: its annotation and its managers. The new object then goes the way of every write.
Contract: KEP-555; apiserver pkg/endpoints/handlers/patch.go (applyPatcher), apimachinery pkg/util/managedfields.
"""

from collections.abc import Sequence
from typing import Any

from lightship.aio.aside import aside
from lightship.apiserver.requests import HEAVY, Answer, Request
from lightship.apiserver.served import Served
from lightship.meta import codec, errors
from lightship.meta.errors import Cause, StatusError
from lightship.meta.fields import application, checking, elements, sets
from lightship.meta.fields.application import Conflict, Conflicts
from lightship.meta.fields.comparing import compare
from lightship.meta.fields.extents import field_set
from lightship.meta.fields.ownership import APPLY, UPDATE, Manager
from lightship.meta.fields.sets import FieldSet
from lightship.meta.objectmeta import ANNOTATIONS_LIMIT
from lightship.meta.objects import Obj, split_api_version
from lightship.meta.rest import WriteOptions

from . import managed
from .managed import Applied, Owned
from .write_checks import check_identity, check_options
from .writing import Writer

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
KUBECTL = "kubectl"
"""The manager whose objects of the time before server-side apply are taken over without conflicts."""


async def apply(writer: Writer, served: Served, request: Request, document: Any, options: WriteOptions) -> Answer:
    """200 with the object as it is now, 201 when there was none. Raises 400, 409 (conflicts) and what every write raises."""
    config = configuration(document, options)

    def build(old: Obj) -> Obj:
        new = configured(writer.owned(served), request, old, config, options, writer.now())
        check_identity(served, request, new)
        return new

    if not request.subresource and writer.is_absent(served, request):
        return await _create(writer, served, request, config, options)
    metadata = config.get("metadata") or {}
    return await writer.replace(served, request, build, options, pinned="resourceVersion" in metadata, settled=True)


async def _create(writer: Writer, served: Served, request: Request, config: Obj, options: WriteOptions) -> Answer:
    if request.may is not None:
        request.may("create")
    nothing: Obj = {"apiVersion": served.resource.api_version, "kind": served.resource.kind}
    if request.weight > HEAVY:
        new = await aside(configured, writer.owned(served), request, nothing, config, options, writer.now())
    else:
        new = configured(writer.owned(served), request, nothing, config, options, writer.now())
    meta = new.get("metadata")
    if isinstance(meta, dict) and meta.get("uid"):
        raise served.conflict(
            request.name, f"uid mismatch: the provided object specified uid {meta['uid']}, and no existing object was found"
        )
    check_identity(served, request, new)
    meta = new["metadata"]
    meta.pop("resourceVersion", None)
    return await writer.create(served, request, new, options, Applied(meta.pop("managedFields", None) or ()))


def configured(owned: Owned, request: Request, live: Obj, config: Obj, options: WriteOptions, now: str) -> Obj:
    """As `configure`; 400 too for what is nested more deeply than can be walked."""
    try:
        return configure(owned, request, live, config, options, now)
    except RecursionError:
        raise errors.bad_request("error decoding YAML: it is nested too deeply") from None


def configure(owned: Owned, request: Request, live: Obj, config: Obj, options: WriteOptions, now: str) -> Obj:
    """`live` with `config` applied and its managedFields settled; private to the caller, but for parts of `live`.

    Raises 400 for what is no configuration of this kind, 409 for conflicts.
    """
    _check_kind(owned, config)
    problems = checking.check(owned.type, config)
    if problems:
        raise StatusError(500, "", f"failed to create typed patch object ({_described(config)}): {checking.worded(problems)}")
    who = Manager(options.field_manager, APPLY, owned.resource.api_version, request.subresource)
    entries: Sequence[Obj] = (live.get("metadata") or {}).get("managedFields") or ()
    if not entries:
        entries = managed.before_first_apply(owned, request.subresource, live, now)
    bare = {**live, "metadata": {k: v for k, v in live["metadata"].items() if k != "managedFields"}} if "metadata" in live else live
    found = _applied(owned, bare, config, entries, who, now, force=options.force)
    new = {**(bare if found.obj is None else found.obj)}
    new["metadata"] = {**(new.get("metadata") or {}), "managedFields": found.entries}
    if options.field_manager == KUBECTL:
        _keep_last_applied(new["metadata"], config)
    return new


def _applied(owned: Owned, live: Obj, config: Obj, entries: Sequence[Obj], who: Manager, now: str, *, force: bool) -> application.Applied:
    keep = owned.filter(who.subresource)
    try:
        return application.apply(live, config, entries, who, owned, keep, time=now, force=force)
    except Conflicts as conflicts:
        found = conflicts.found
        if who.name == KUBECTL:
            allowed = _own_by_last_applied(owned, live)
            if allowed is not None:
                found = [conflict for conflict in found if not sets.has(allowed, conflict.path)]
                if not found:
                    return application.apply(live, config, entries, who, owned, keep, time=now, force=True)
        raise conflict_error(found) from conflicts
    except ValueError as error:
        raise StatusError(500, "", f"failed to create typed live object ({_described(live)}): {error}") from error


def _own_by_last_applied(owned: Owned, live: Obj) -> FieldSet | None:
    """What client-side apply set and nobody has changed since; None when it was never used, or for another version."""
    annotation = ((live.get("metadata") or {}).get("annotations") or {}).get(LAST_APPLIED)
    if not annotation:
        return None
    try:
        last = codec.decode(annotation)
    except ValueError:
        return None
    if not isinstance(last, dict) or last.get("apiVersion") != owned.resource.api_version:
        return None
    if checking.check(owned.type, last) or checking.check(owned.type, live):
        return None
    found = field_set(owned.type, last)
    for part in compare(owned.type, last, live):
        found = sets.difference(found, part)
    return found


def configuration(document: Any, options: WriteOptions) -> Obj:
    """A decoded body as what is to be applied. Raises 400, and 422 for options that no apply has."""
    check_options(options, "PatchOptions", applying=True)
    if document is None:
        return {}
    if isinstance(document, dict):
        return document
    found = {list: "array", str: "string", bool: "bool"}.get(type(document), "number")
    why = f"json: cannot unmarshal {found} into Go value of type map[string]interface {{}}"
    raise errors.bad_request(f"error decoding YAML: error unmarshaling JSON: while decoding JSON: {why}")


def _check_kind(owned: Owned, config: Obj) -> None:
    resource = owned.resource
    if config.get("kind") != resource.kind or config.get("apiVersion") != resource.api_version:
        raise errors.bad_request(f"invalid object type: {_kind_of(config)}")
    metadata = config.get("metadata")
    if isinstance(metadata, dict) and metadata.get("managedFields") is not None:
        raise errors.bad_request("metadata.managedFields must be nil")


def _kind_of(config: Obj) -> str:
    """A group, version and kind as Go prints them."""
    group, version = split_api_version(str(config.get("apiVersion") or ""))
    return f"{group}/{version}, Kind={config.get('kind') or ''}"


def _described(config: Obj) -> str:
    metadata = config.get("metadata")
    named = metadata if isinstance(metadata, dict) else {}
    return f"{named.get('namespace') or ''}/{named.get('name') or ''}; {_kind_of(config)}"


def conflict_error(found: list[Conflict]) -> StatusError:
    """409 that names every field and who manages it."""
    causes = [Cause(sets.shown(c.path), f"conflict with {_named(c.entry)}", "FieldManagerConflict") for c in found]
    if len(found) == 1:
        message = f"Apply failed with 1 conflict: {causes[0].message}: {causes[0].field}"
    else:
        lines: list[str] = []
        entry: Obj | None = None
        for conflict, cause in zip(found, causes, strict=True):
            if conflict.entry is not entry:
                entry = conflict.entry
                lines.append(f"conflicts with {_named(entry)}:")
            lines.append(f"- {cause.field}")
        message = f"Apply failed with {len(found)} conflicts: " + "\n".join(lines)
    listed = [{"reason": c.reason, "message": c.message, "field": c.field} for c in causes]
    return StatusError(409, "Conflict", message, {"causes": listed})


def _named(entry: Obj) -> str:
    text = elements.quoted(entry.get("manager") or "")
    if entry.get("subresource"):
        text += f" with subresource {elements.quoted(entry['subresource'])}"
    return f"{text} using {entry['apiVersion']}" if entry["operation"] == UPDATE else text


def _keep_last_applied(meta: Obj, config: Obj) -> None:
    """Where client-side apply has left its annotation, keep it in step, in place, for the day when it is used again."""
    annotations = meta.get("annotations")
    if not annotations or not annotations.get(LAST_APPLIED):
        return
    applied = {**config}
    if isinstance(config.get("metadata"), dict) and config["metadata"].get("annotations"):
        kept = {key: value for key, value in config["metadata"]["annotations"].items() if key != LAST_APPLIED}
        applied["metadata"] = {**config["metadata"], "annotations": kept}
    text = elements.text(applied) + "\n"
    meta["annotations"] = {**annotations, LAST_APPLIED: text}
    if sum(len(key.encode()) + len(value.encode()) for key, value in meta["annotations"].items()) > ANNOTATIONS_LIMIT:
        del meta["annotations"][LAST_APPLIED]
