"""What Kubernetes adds to CEL: libraries of functions, and which of them expressions of which place may use.

Called by `rules` and by policies and webhooks. One module per library; `KUBERNETES` is the base environment of 1.36 for every expression.
Contract: k8s.io/apiserver/pkg/cel/environment/base.go.
"""

from lightship.cel.functions import Library
from lightship.cel.library import authz, cidr, ip, jsonpatch, lists, named_formats, optionals, quantity, regex, semver, sets, strings, urls

KUBERNETES: tuple[Library, ...] = (
    urls.LIBRARY,
    regex.LIBRARY,
    lists.KUBERNETES_LISTS,
    authz.LIBRARY,
    optionals.LIBRARY,
    quantity.LIBRARY,
    strings.LIBRARY,
    sets.LIBRARY,
    ip.LIBRARY,
    cidr.LIBRARY,
    named_formats.LIBRARY,
    semver.LIBRARY,
    lists.EXTENDED_LISTS,
)
"""Beside the standard library. Macros of two variables belong to the parser."""

MUTATION: tuple[Library, ...] = (*KUBERNETES, jsonpatch.LIBRARY)
"""What the mutations of a MutatingAdmissionPolicy may use as well."""
