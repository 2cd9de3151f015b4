"""Where our answers differ from the real server's, and why: each line stands for one in docs/differences.md.

A line holds everywhere, and names a scenario in which it shows: where it shows there no longer, that scenario fails, so that the table
stays true.
"""

from fnmatch import fnmatchcase
from typing import NamedTuple

from .answers import Difference
from .steps import Step


class Known(NamedTuple):
    """The scenario that must show it; the step, the place of the difference, and what we say there, as patterns."""

    scenario: str
    step: str
    at: str
    why: str
    ours: str = "*"

    def covers(self, step: Step, difference: Difference) -> bool:
        found = (str(step), difference.at, str(difference.ours))
        return all(fnmatchcase(text, pattern) for text, pattern in zip(found, (self.step, self.at, self.ours), strict=True))


_STRUCTS = "values are shown as JSON, not as Go structs"
_BLAME = "a client's mistake is told as such, not as an error of the server"
_LONG = "requests that wait are counted otherwise"
_NULLS = "what has no time is left out, not null"
_REVIEWS = "what is never stored has no owners"
_OWN = "what the server makes itself has no owners"
_NO_NODE = "there is no address of a node to dial"
KNOWN: tuple[Known, ...] = (
    Known("read-tables", "GET *", "*columnDefinitions.*.description", "facts come without their prose"),
    Known("discovery", "GET /api*", "body.serverAddressByClientCIDRs.0.serverAddress", "the address of this machine"),
    Known("discovery", "GET /apis", "*", "kubectl before 1.30 asks for v2beta1", "*apidiscovery.k8s.io*v2beta1*"),
    Known("refused-paths", "GET /version", "body.*", "another program"),
    Known("read-watches", "GET *watch=*", "header.x-kubernetes-pf-*", _LONG),
    Known("sub-pods", "* pods/*", "header.x-kubernetes-pf-*", _LONG),
    Known("refused-paths", "GET /api/v1/*proxy/*", "header.x-kubernetes-pf-*", _LONG),
    Known("refused-creates", "* configmaps", "header.x-kubernetes-pf-*", _LONG),
    Known("patch-others", "PATCH *", "body.*lastProbeTime", _NULLS, "ABSENT"),
    Known("patch-others", "*", "body.status.conditions.*Time", _NULLS, "ABSENT"),
    Known("access", "POST *reviews", "body.metadata.managedFields", _REVIEWS, "ABSENT"),
    Known("sub-others", "POST */token", "body.metadata.managedFields", _REVIEWS, "ABSENT"),
    Known("sub-others", "POST */token", "body.spec.audiences.0", "another issuer"),
    Known("access", "GET *", "body.*metadata.managedFields", _OWN, "ABSENT"),
    Known("refused-specs", "POST poddisruptionbudgets", "body.*message", _STRUCTS),
    Known("refused-updates", "* pods/p", "body.*message", "diffs are shorter"),
    Known("sub-pods", "PATCH pods/p/ephemeralcontainers", "body.*message", "diffs are shorter"),
    Known("refused-patches", "PATCH *", "body.*message", "the patched object is named, not shown", '*"ConfigMap a"*'),
    Known("read-lists", "GET *", "body.*", _BLAME, "*ParseUint*"),
    Known("life-any-kind", "GET componentstatuses", "*", "all parts are one program"),
)
