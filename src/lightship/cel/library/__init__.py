"""What Kubernetes adds to CEL: libraries of functions, and which of them expressions of which place may use.

Called by `rules` and by policies and webhooks. One module per library; `KUBERNETES` is the base environment of 1.36 for every expression.
Contract: k8s.io/apiserver/pkg/cel/environment/base.go.
"""

from lightship.cel import macros
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
    Library("cel.lib.ext.comprev2", macros=macros.TWO_VARIABLES),
    lists.EXTENDED_LISTS,
)
"""What every expression may use beside the language itself."""

MUTATION: tuple[Library, ...] = (*KUBERNETES, jsonpatch.LIBRARY)
"""What the mutations of a MutatingAdmissionPolicy may use as well."""
