"""Where our answers differ from the real server's, and why: each line stands for one in docs/differences.md.

A line names the scenario in which it shows, and holds there alone or everywhere. Where it shows there no longer, that scenario fails, so
that the table stays true.
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
    everywhere: bool = False

    def covers(self, scenario: str, step: Step, difference: Difference) -> bool:
        if scenario != self.scenario and not self.everywhere:
            return False
        asked = f"{step} {step.body}" if "{" in self.step else str(step)
        found = (asked, difference.at, str(difference.ours))
        return all(fnmatchcase(text, pattern) for text, pattern in zip(found, (self.step, self.at, self.ours), strict=True))


_STRUCTS = "values are shown as JSON, not as Go structs"
_BLAME = "a client's mistake is told as such, not as an error of the server"
_NULLS = "what has no time is left out, not null"
_OWN = "what the server makes itself has no owners"
_OPEN = "not yet"
KNOWN: tuple[Known, ...] = (
    Known("read-tables", "*", "*columnDefinitions.*.description", "facts come without their prose", everywhere=True),
    Known("discovery", "GET /*", "body.paths", "the health checks are others"),
    Known("discovery", "GET /api*", "body.serverAddressByClientCIDRs.0.serverAddress", "the address of this machine", everywhere=True),
    Known("refused-paths", "GET /version*", "body.*", "another program", everywhere=True),
    Known("patch-others", "PATCH *", "body.*lastProbeTime", _NULLS, "ABSENT"),
    Known("patch-others", "*", "body.status.conditions.*Time", _NULLS, "ABSENT", everywhere=True),
    Known("sub-others", "POST */token", "body.spec.audiences.0", "another issuer"),
    Known("access", "GET *", "body.*metadata.managedFields", _OWN, "ABSENT", everywhere=True),
    Known("refused-updates", "PATCH jobs/j", "body.*message", _STRUCTS),
    Known("refused-updates", "* pods/p", "body.*message", "diffs are shorter", everywhere=True),
    Known("sub-pods", "PATCH pods/p/ephemeralcontainers", "body.*message", "diffs are shorter"),
    Known("refused-patches", "PATCH *", "body.*message", "the patched object is named, not shown", '*"ConfigMap a"*'),
    Known("read-lists", "GET *", "body.*", _BLAME, "*ParseUint*"),
    Known("life-any-kind", "GET componentstatuses", "*", "all parts are one program"),
    Known("refused-updates", "PUT configmaps/a {*'abc'*", "*", _BLAME),
    Known("patch-strategic", "PATCH deployments/d", "*", _BLAME),
    Known("read-watches", "GET configmaps?resourceVersion=abc*", "*", _BLAME),
    Known("read-lists", "GET configmaps/a?resourceVersion=abc", "*", _BLAME),
    Known("sub-pods", "POST pods/p/binding", "*", _BLAME),
    Known("refused-creates", "POST configmaps", "body.message", "another reader of protobuf", "*wire type*"),
    Known("refused-patches", "PATCH configmaps/a {'kind': 'Pod'}", "*", "a strategic patch cannot change the kind"),
    Known("custom-refused", "POST customresourcedefinitions[?]dryRun=All", "body.status.*", "kinds are served at once"),
    Known("life-deletion", "PATCH *", "body.metadata.resourceVersion", "the last write of a deletion has a version of its own"),
    Known("life-namespaces", "PUT */finalize", "body.metadata.resourceVersion", "the last write of a deletion has a version of its own"),
    Known("read-tables", "GET daemonsets", "body.rows.*.annotations", _OPEN),
    Known("sub-others", "* nodes*", "body.spec.taints", _OPEN + ": nodes are born without a taint", everywhere=True),
    Known("read-lists", "GET configmaps/a", "header.content-type", "JSON is preferred to protobuf, as it costs less"),
    Known("sub-others", "PATCH deployments/d/scale", "*", "the patched object is named, not shown"),
    Known("custom-objects", "POST customresourcedefinitions*", "body.status.*", "kinds are served at once", everywhere=True),
    Known("custom-objects", "DELETE customresourcedefinitions*", "body.*", "kinds are served at once", everywhere=True),
)
