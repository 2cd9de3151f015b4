"""Does a request fall under the constraints of a policy or binding? Rules with names, exclusions, selectors, made ready once.

Called by `selecting`. The language of rules is `admission.matching`'s; here are the order in which things are asked and what becomes of
errors. Contract: k8s.io/apiserver pkg/admission/plugin/policy/matching.
"""

from collections.abc import Sequence

from lightship.apiserver.admission import matching
from lightship.apiserver.core import Core
from lightship.meta.admission import AdmissionRequest
from lightship.meta.errors import StatusError
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource


class Constraints:
    """`matchConstraints` of a policy, or `matchResources` of a binding, where rules may be left out to mean all.

    Good for as long as the same kinds are served.
    """

    def __init__(self, spec: Obj) -> None:
        self._spec = spec
        self._rules: Sequence[Obj] = spec.get("resourceRules") or ()
        self._excluded: Sequence[Obj] = spec.get("excludeResourceRules") or ()
        self._equivalent = spec.get("matchPolicy") != "Exact"
        self._named = any(rule.get("resourceNames") for rule in (*self._rules, *self._excluded))
        self._decided: dict[tuple[str, tuple[str, str, str], str], Resource | None] = {}

    def match(self, core: Core, request: AdmissionRequest) -> Resource | None:
        """The resource by which the constraints know the request; None when it is not under them. Raises `StatusError`."""
        lost: StatusError | None = None
        try:
            if not matching.namespace_matches(core, self._spec.get("namespaceSelector"), request):
                return None
        except StatusError as error:
            # Only what is concerned otherwise can be in trouble about it.
            lost = error
        if not matching.object_matches(self._spec.get("objectSelector"), request):
            return None
        found = self._by_rules(core, request)
        if found is not None and lost is not None:
            raise lost
        return found

    def _by_rules(self, core: Core, request: AdmissionRequest) -> Resource | None:
        """What rules and exclusions say: always the same of a kind of request, unless they ask for names."""
        asked = (request.operation, request.resource.identity, request.subresource)
        if self._named or asked not in self._decided:
            excluded = bool(self._excluded) and self._find(core, self._excluded, request) is not None
            matched = self._find(core, self._rules, request) if self._rules else request.resource
            self._decided[asked] = None if excluded else matched
        return self._decided[asked]

    def _find(self, core: Core, rules: Sequence[Obj], request: AdmissionRequest) -> Resource | None:
        named = [rule for rule in rules if not rule.get("resourceNames") or request.name in rule["resourceNames"]]
        return matching.find(core, named, request, equivalent=self._equivalent) if named else None
