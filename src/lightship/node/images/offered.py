"""Images that other installed packages know: entry points of the group `lightship.node.images`, each a list of entries as in `images.json`.

Asked by `catalogue` for names that neither the user's table nor ours knows, so that nobody pays for it at a start. A package whose entries
are broken is told in the log and left out. Refuses to know what a package brings images for.
"""

import functools
import logging

import msgspec

from lightship.meta import entrypoints
from lightship.meta.entrypoints import EntryPoint, LoadError

from .table import Entry

GROUP = "lightship.node.images"
log = logging.getLogger(__name__)


@functools.cache
def entries() -> tuple[tuple[Entry, str], ...]:
    """Each entry with who brought it. Asked once per process."""
    return tuple((entry, point.origin) for point in entrypoints.find(GROUP) for entry in read(point))


def read(point: EntryPoint) -> list[Entry]:
    """The entries of one package; none, and a line in the log, when it is broken."""
    try:
        return msgspec.convert(entrypoints.load(point), list[Entry])
    except LoadError as error:
        log.error("images %s", error)
    except msgspec.ValidationError as error:
        log.error('images "%s" of package %s are left out: %s is not a list of entries (%s)', point.name, point.origin, point.value, error)
    return []
