"""Reading one object and lists of them: resourceVersion rules, selectors, pages that stay consistent, continue tokens.

Called by `registry`. Lists hand out records, so that fronts can join stored bytes or share decoded objects.
Contract: Kubernetes API concepts "resource versions"; metav1.ListOptions; apiserver pkg/storage/continue.go, etcd3/errors.go.
"""

import base64
import re
from collections.abc import Sequence
from typing import NamedTuple

from lightship.apiserver.core import Core
from lightship.apiserver.requests import Answer, Page, Request
from lightship.apiserver.served import Served
from lightship.meta import codec, errors, gojson
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj
from lightship.meta.rest import ListOptions
from lightship.store import Compacted, Future, Record

from .selection import Selection

EXACT = "Exact"
NOT_OLDER_THAN = "NotOlderThan"
_MATCHES = (EXACT, NOT_OLDER_THAN, "")
_TOKEN_VERSION = "meta.k8s.io/v1"
_NOT_BASE64 = re.compile(r"[^A-Za-z0-9_-]")
_CHUNK = 500
"""How many records are looked at in one go while a selective list looks for its page."""
_TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue "
    "parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token "
    "results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and "
    "now may show up in the list."
)


class ContinueExpired(errors.StatusError):
    """410 with a token in its metadata by which the client may go on at the present revision."""

    def __init__(self, continue_: str) -> None:
        super().__init__(410, "Expired", _TOO_OLD)
        self.continue_ = continue_

    def status(self) -> Obj:
        return {**super().status(), "metadata": {"continue": self.continue_}}


class Position(NamedTuple):
    """Where a page begins: after which key (relative to the list's prefix), as of which revision; -1 is "the present, once more"."""

    revision: int
    after: str


class Reader:
    def __init__(self, core: Core) -> None:
        self._core = core

    def get(self, served: Served, request: Request, resource_version: str) -> Answer:
        """200 with the object."""
        asked = parse_revision(resource_version)
        if asked > self._core.store.revision:
            raise errors.future_revision(asked, self._core.store.revision)
        record = self._core.store.get(served.key(request.namespace, request.name))
        if record is None:
            raise served.not_found(request.name)
        return Answer(record=served.read(record))

    def list(self, served: Served, request: Request, options: ListOptions) -> Page:
        check_list_options(options)
        selection = Selection(served.resource, options.label_selector, options.field_selector)
        prefix = served.under(request.namespace)
        start = self._start(options)
        inconsistent = start.revision < 0
        after = prefix + start.after if start.after else ""
        revision = 0 if inconsistent else start.revision
        try:
            records, at, more, remaining = self._collect(served, request, selection, prefix, after, options.limit, revision)
        except Compacted as error:
            if options.continue_:
                raise ContinueExpired(_encode_token(Position(-1, start.after))) from error
            raise too_old(error.asked, error.oldest) from error
        except Future as error:
            raise errors.future_revision(error.asked, error.current) from error
        if not more:
            return Page(records, at)
        token = _encode_token(Position(at, more[len(prefix) :]))
        return Page(records, at, token, remaining if selection.everything else None)

    def _start(self, options: ListOptions) -> Position:
        if options.continue_:
            position = _decode_token(options.continue_)
            if options.resource_version not in ("", "0"):
                raise errors.bad_request("specifying resource version is not allowed when using continue")
            return position
        asked = parse_revision(options.resource_version)
        if asked and (options.resource_version_match == EXACT or (options.limit and not options.resource_version_match)):
            return Position(asked, "")
        if asked > self._core.store.revision:
            raise errors.future_revision(asked, self._core.store.revision)
        return Position(0, "")

    def _collect(
        self, served: Served, request: Request, selection: Selection, prefix: str, after: str, limit: int, revision: int
    ) -> tuple[Sequence[Record], int, str, int]:
        """Records, the revision they are of, the last key of the page if more may follow, and how many follow it."""
        store = self._core.store
        if selection.everything:
            page = store.list(prefix, after=after, limit=limit, revision=revision)
            return served.read_all(page.records), page.revision, page.next, page.remaining
        if selection.name and request.namespace and not revision:
            return self._one(served, request, selection)
        found: list[Record] = []
        while True:
            page = store.list(prefix, after=after, limit=_CHUNK if limit else 0, revision=revision)
            for record, shown in zip(page.records, served.read_all(page.records), strict=True):
                if selection.finds(shown):
                    found.append(shown)
                    if len(found) == limit:
                        last = record.key == page.records[-1].key and not page.next
                        return found, page.revision, "" if last else record.key, 0
            if not page.next:
                return found, page.revision, "", 0
            after, revision = page.next, page.revision

    def _one(self, served: Served, request: Request, selection: Selection) -> tuple[Sequence[Record], int, str, int]:
        """A list by metadata.name, as `kubectl wait` asks for, is a get."""
        record = self._core.store.get(served.key(request.namespace, selection.name))
        shown = served.read(record) if record else None
        return [shown] if shown and selection.finds(shown) else [], self._core.store.revision, "", 0


def parse_revision(text: str) -> int:
    """A resourceVersion as a number; unset is 0, which clients mean by "any" too. Raises 400."""
    if not text:
        return 0
    if not (text.isascii() and text.isdecimal()):
        shown = gojson.go_quoted(text)
        raise errors.bad_request(
            f"invalid resource version: resourceVersion: Invalid value: {shown}: strconv.ParseUint: parsing {shown}: invalid syntax"
        )
    return int(text[:30])


def too_old(asked: int, oldest: int) -> errors.StatusError:
    return errors.expired(f"too old resource version: {asked} ({oldest})")


def check_list_options(options: ListOptions) -> None:
    """Raises 422 for combinations of parameters that mean nothing."""
    match = options.resource_version_match
    causes: list[Cause] = []
    if match:
        if not options.resource_version:
            why = "resourceVersionMatch is forbidden unless resourceVersion is provided"
            causes.append(errors.forbidden_field("resourceVersionMatch", why))
        if options.continue_:
            causes.append(errors.forbidden_field("resourceVersionMatch", "resourceVersionMatch is forbidden when continue is provided"))
        if match not in _MATCHES:
            causes.append(errors.not_supported("resourceVersionMatch", match, _MATCHES))
        if match == EXACT and options.resource_version == "0":
            why = 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
            causes.append(errors.forbidden_field("resourceVersionMatch", why))
    if causes:
        raise errors.invalid("ListOptions", "", causes, "meta.k8s.io")


def _encode_token(position: Position) -> str:
    body = codec.encode({"v": _TOKEN_VERSION, "rv": position.revision, "start": position.after})
    return base64.urlsafe_b64encode(body).rstrip(b"=").decode()


def _decode_token(token: str) -> Position:
    try:
        found = _read_token(token)
    except ValueError as error:
        raise errors.bad_request(f"invalid continue token: continue key is not valid: {error}") from error
    if found.get("v") != _TOKEN_VERSION:
        what = f"server does not recognize this encoded version {found.get('v', '')}"
    elif not isinstance(found.get("rv"), int) or not found["rv"]:
        what = f"incorrect encoded start resourceVersion (version {_TOKEN_VERSION})"
    elif not isinstance(found.get("start"), str) or not found["start"]:
        what = f"encoded start key empty (version {_TOKEN_VERSION})"
    else:
        return Position(found["rv"], found["start"])
    raise errors.bad_request(f"invalid continue token: continue key is not valid: {what}")


def _read_token(token: str) -> Obj:
    """The JSON object that a token holds. Raises `ValueError`."""
    wrong = _NOT_BASE64.search(token)
    if wrong or len(token) % 4 == 1:
        raise ValueError(f"illegal base64 data at input byte {wrong.start() if wrong else len(token) - 1}")
    body = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    try:
        found = codec.decode(body)
    except ValueError as error:
        raise ValueError(gojson.complaint(body)) from error
    if not isinstance(found, dict):
        raise ValueError(f"json: cannot unmarshal {gojson.kind_of(found)} into Go value of type storage.continueToken")
    return found
