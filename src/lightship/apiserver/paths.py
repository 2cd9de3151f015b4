"""From a URL path to the resource that it names.

`front` asks for every request. Pure text work by hand, because it is on the way of every request: no routing table, no regular
expressions. Knows the grammar of paths, not which resources exist.
Contract: Kubernetes API concepts, resource URIs; apiserver's RequestInfo.
"""

from functools import lru_cache
from typing import NamedTuple

_OF_A_NAMESPACE = frozenset({"status", "finalize"})


class Target(NamedTuple):
    """`/apis/<group>/<version>[/namespaces/<namespace>]/<resource>[/<name>[/<subresource>[/<rest>]]]`; absent parts are empty."""

    group: str
    version: str
    namespace: str
    resource: str
    name: str = ""
    subresource: str = ""
    rest: str = ""
    watched: bool = False
    """Is it the old form of a watch, with `/watch` before the rest?"""
    nowhere: bool = False
    """Is there a place for a namespace in the path, with nothing in it?"""


@lru_cache(maxsize=256)
def parse(path: str) -> Target | None:
    """The resource that `path` (decoded) names, or None when it is not under a group version. Slashes at the end mean nothing."""
    parts = path.split("/")
    while parts and not parts[-1]:
        parts.pop()
    if len(parts) > 3 and parts[1] == "api":
        group, version, rest = "", parts[2], parts[3:]
    elif len(parts) > 4 and parts[1] == "apis":
        group, version, rest = parts[2], parts[3], parts[4:]
    else:
        return None
    nowhere = len(rest) > 2 and rest[0] == "namespaces" and not rest[1]
    if nowhere:
        del rest[:2]
    if not all(rest):
        return None
    namespace = ""
    watched = rest[0] == "watch" and len(rest) > 1
    if watched:
        rest = rest[1:]
    if rest[0] == "namespaces" and len(rest) > 2 and not (len(rest) == 3 and rest[2] in _OF_A_NAMESPACE):
        namespace = rest[1]
        rest = rest[2:]
    resource, name, subresource = (*rest[:3], "", "")[:3]
    return Target(group, version, namespace, resource, name, subresource, "/".join(rest[3:]), watched, nowhere)
