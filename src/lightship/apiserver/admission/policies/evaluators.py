"""The expressions of one policy, compiled, and the variables that they get.

Made when a policy first concerns a request, and kept as long as the policy is the same. Expressions that do not compile are kept with the
reason, which is told when they are to be evaluated. Contract: k8s.io/apiserver pkg/admission/plugin/policy/{validating,mutating}.
"""

from collections.abc import Iterable
from functools import cached_property
from typing import Any

from lightship.apiserver.admission.expressions import Subject, matches, needs
from lightship.cel.admission import Compiler, Expression, Variables
from lightship.meta.objects import Obj

from .index import Policy
from .selecting import Invocation


class Evaluator:
    """What both kinds of policies have: variables and match conditions."""

    def __init__(self, spec: Obj) -> None:
        self.compiler = Compiler(params=spec.get("paramKind") is not None, composed=True)
        self.variables: dict[str, Expression] = {
            v["name"]: self.compiler.variable(v["name"], v["expression"]) for v in spec.get("variables") or ()
        }
        self.conditions = [self.compiler.condition(condition["expression"]) for condition in spec.get("matchConditions") or ()]

    def _all(self) -> Iterable[Expression | None]:
        return (*self.variables.values(), *self.conditions)

    @cached_property
    def needs(self) -> frozenset[str]:
        """The variables of the language that any expression of the policy names."""
        return needs(self._all())

    def concerns(self, subject: Subject, invocation: Invocation) -> bool:
        """Do the match conditions hold? Raises `expressions.Failed`."""
        if not self.conditions:
            return True
        values = subject.values(invocation.shown, self.needs, named=subject.request.resource)
        values.update(subject.authorizers(self.needs), params=invocation.param)
        return matches(self.conditions, self.complete(values), fails_open=invocation.policy.fails_open)

    def complete(self, values: dict[str, Any]) -> dict[str, Any]:
        """The values with the policy's variables over them."""
        values["variables"] = Variables(self.variables, dict(values))
        return values


class Validations(Evaluator):
    """What a ValidatingAdmissionPolicy says; `messages` has None where there is no expression."""

    def __init__(self, spec: Obj) -> None:
        super().__init__(spec)
        self.rules: list[Obj] = spec.get("validations") or []
        self.validations = [self.compiler.condition(rule["expression"]) for rule in self.rules]
        annotations = spec.get("auditAnnotations") or ()
        self.annotations = [(a["key"], self.compiler.annotation(a["valueExpression"])) for a in annotations]
        texts = [rule.get("messageExpression") for rule in self.rules]
        self.messages = [self.compiler.message(text) if text else None for text in texts]

    def _all(self) -> Iterable[Expression | None]:
        return (*super()._all(), *self.validations, *self.messages, *(expression for _, expression in self.annotations))


class Mutations(Evaluator):
    """What a MutatingAdmissionPolicy does: (is it a JSON patch?, expression)."""

    def __init__(self, spec: Obj) -> None:
        super().__init__(spec)
        self.mutations: list[tuple[bool, Expression]] = []
        for mutation in spec.get("mutations") or ():
            if mutation["patchType"] == "JSONPatch":
                self.mutations.append((True, self.compiler.json_patch(mutation["jsonPatch"]["expression"])))
            else:
                self.mutations.append((False, self.compiler.configuration(mutation["applyConfiguration"]["expression"])))

    def _all(self) -> Iterable[Expression | None]:
        return (*super()._all(), *(expression for _, expression in self.mutations))


def validations(policy: Policy) -> Validations:
    if policy.compiled is None:
        policy.compiled = Validations(policy.spec)
    found: Validations = policy.compiled
    return found


def mutations(policy: Policy) -> Mutations:
    if policy.compiled is None:
        policy.compiled = Mutations(policy.spec)
    found: Mutations = policy.compiled
    return found
