"""Judging a request by ValidatingAdmissionPolicies: what each says, and what becomes of that by the actions of its bindings.

Loaded by `index.Gate` when a policy first concerns a request. Contract: k8s.io/apiserver pkg/admission/plugin/policy/validating.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from lightship import cel
from lightship.apiserver.admission.expressions import Failed, OutOfBudget, Subject, evaluate
from lightship.apiserver.admission.refusals import named
from lightship.apiserver.core import Core
from lightship.cel.admission import PER_EXPRESSION, PER_POLICY
from lightship.meta import codec
from lightship.meta.admission import AdmissionRequest
from lightship.meta.errors import StatusError
from lightship.meta.objects import Obj

from . import evaluators
from .evaluators import Validations
from .index import Binding, Policy
from .selecting import Invocation, Trouble, select

FAILURE_ANNOTATION = "validation.policy.admission.k8s.io/validation_failure"
_LONGEST_MESSAGE = 5 * 1024
_LONGEST_ANNOTATION = 10 * 1024
_CODES = {"Forbidden": 403, "Unauthorized": 401, "RequestEntityTooLarge": 413, "Invalid": 422}


class Decision(NamedTuple):
    """What one validation came to, where it did not come to `true`. `number`: which one."""

    number: int
    message: str
    reason: str = ""


class Verdict(NamedTuple):
    """What a policy says of a request with one parameter. `refusals`: of annotations that have no value."""

    decisions: list[Decision]
    annotations: list[tuple[str, str]]
    refusals: list[str]


class Denial(NamedTuple):
    policy: Policy
    binding: Binding | None
    message: str
    reason: str = ""


class Judge:
    def __init__(self, core: Core) -> None:
        self._core = core

    async def admit(self, request: AdmissionRequest, policies: Sequence[Policy]) -> None:
        """Raises the first refusal; what is to be told goes to `request.warnings`."""
        subject = Subject(self._core, request)
        outcome = _Outcome(request)
        async for found in select(self._core, request, policies):
            if isinstance(found, Trouble):
                if not found.policy.fails_open:
                    outcome.denials.append(Denial(*found))
            else:
                outcome.take(found, verdict(subject, found))
        outcome.publish()
        if outcome.denials:
            raise refusal(request, outcome.denials[0])


class _Outcome:
    """What all policies have come to so far."""

    def __init__(self, request: AdmissionRequest) -> None:
        self._request = request
        self._annotations: dict[str, list[str]] = {}
        self.denials: list[Denial] = []

    def take(self, invocation: Invocation, said: Verdict) -> None:
        policy, binding = invocation.policy, invocation.binding
        for decision in said.decisions:
            for action in binding.spec.get("validationActions") or ():
                self._act(action, policy, binding, decision)
        for key, value in said.annotations:
            values = self._annotations.setdefault(f"{policy.name}/{key}", [])
            if value not in values:
                values.append(value)
        self.denials += [Denial(policy, binding, message) for message in said.refusals]

    def _act(self, action: str, policy: Policy, binding: Binding, decision: Decision) -> None:
        if action == "Deny":
            self.denials.append(Denial(policy, binding, decision.message, decision.reason))
        elif action == "Warn":
            who = f"ValidatingAdmissionPolicy '{policy.name}' with binding '{binding.name}'"
            told = f"Validation failed for {who}: {decision.message}"
            if told not in self._request.warnings:
                self._request.warnings.append(told)
        elif action == "Audit":
            failure = {
                "message": decision.message,
                "policy": policy.name,
                "binding": binding.name,
                "expressionIndex": decision.number,
                "validationActions": binding.spec["validationActions"],
            }
            self._request.annotations.setdefault(FAILURE_ANNOTATION, codec.encode([failure]).decode())

    def publish(self) -> None:
        for key, values in self._annotations.items():
            self._request.annotations.setdefault(key, ", ".join(values))


def verdict(subject: Subject, invocation: Invocation) -> Verdict:
    """What the policy says."""
    compiled, fails_open = evaluators.validations(invocation.policy), invocation.policy.fails_open
    try:
        if not compiled.concerns(subject, invocation):
            return Verdict([], [], [])
        decisions = _validate(compiled, subject, invocation)
        annotations, refusals = _annotate(compiled, subject, invocation) if compiled.annotations else ([], [])
    except (Failed, OutOfBudget) as error:
        return Verdict([] if fails_open else [Decision(0, str(error))], [], [])
    return Verdict(decisions, annotations, [] if fails_open else refusals)


def _values(compiled: Validations, subject: Subject, invocation: Invocation, *, asking: bool, whole: bool = False) -> dict[str, Any]:
    values = subject.values(invocation.shown, compiled.needs)
    values["params"] = invocation.param
    values["namespaceObject"] = subject.namespace(whole=whole) if "namespaceObject" in compiled.needs else None
    if asking:
        values.update(subject.authorizers(compiled.needs))
    return compiled.complete(values)


def _validate(compiled: Validations, subject: Subject, invocation: Invocation) -> list[Decision]:
    """Raises `OutOfBudget`."""
    budget = cel.Budget(per_call=PER_EXPRESSION, total=PER_POLICY)
    values = _values(compiled, subject, invocation, asking=True)
    wrong: list[tuple[int, str | None]] = []
    for index, validation in enumerate(compiled.validations):
        try:
            if evaluate(validation, values, budget) is not True:
                wrong.append((index, None))
        except Failed as error:
            wrong.append((index, str(error)))
    if not wrong:
        return []
    messages, broken = _messages(compiled, _values(compiled, subject, invocation, asking=False), budget)
    decisions: list[Decision] = []
    for index, failure in wrong:
        if failure is None and not broken:
            rule = compiled.rules[index]
            decisions.append(Decision(index, _message(rule, messages[index]), rule.get("reason") or "Invalid"))
        elif not invocation.policy.fails_open:
            decisions.append(Decision(index, failure or f"failed messageExpression: {broken}"))
    return decisions


def _messages(compiled: Validations, values: dict[str, Any], budget: "cel.Budget") -> tuple[list[Any], str]:
    """What the message expressions give, of all validations, as all share the budget; and why there is nothing, where it was spent."""
    found: list[Any] = []
    for expression in compiled.messages:
        try:
            found.append(evaluate(expression, values, budget) if expression is not None else None)
        except Failed:
            found.append(None)
        except OutOfBudget as error:
            return found, str(error)
    return found, ""


def _message(rule: Obj, made: Any) -> str:
    """The text of a refusal: by its expression, as it is written, or the validation itself."""
    text = made.strip() if isinstance(made, str) else ""
    if len(text.encode(errors="replace")) > _LONGEST_MESSAGE or "\n" in text:
        text = ""
    return text or (rule.get("message") or "").strip() or f"failed expression: {rule['expression'].strip()}"


def _annotate(compiled: Validations, subject: Subject, invocation: Invocation) -> tuple[list[tuple[str, str]], list[str]]:
    """Values of annotations, and what is wrong with those that have none. Raises `OutOfBudget`."""
    budget = cel.Budget(per_call=PER_EXPRESSION, total=PER_POLICY)
    values = _values(compiled, subject, invocation, asking=False, whole=True)
    found: list[tuple[str, str]] = []
    wrong: list[str] = []
    for key, expression in compiled.annotations:
        try:
            value = evaluate(expression, values, budget)
        except Failed as error:
            wrong.append(str(error))
            continue
        text = value.strip() if isinstance(value, str) else ""
        if text:
            found.append((key, text.encode(errors="replace")[:_LONGEST_ANNOTATION].decode(errors="ignore")))
    return found, wrong


def refusal(request: AdmissionRequest, denial: Denial) -> StatusError:
    """The words of a refusal, with the code of its reason."""
    resource = request.resource
    bound = f" with binding '{denial.binding.name}'" if denial.binding is not None else ""
    message = f"ValidatingAdmissionPolicy '{denial.policy.name}'{bound} denied request: {denial.message}"
    name = named(request)
    qualified = f"{resource.plural}.{resource.group}" if resource.group else resource.plural
    details: Obj = {"name": name, **({"group": resource.group} if resource.group else {}), "kind": resource.plural}
    details["causes"] = [{"message": message}]
    reason = denial.reason or "Invalid"
    return StatusError(_CODES.get(reason, 422), reason, f'{qualified} "{name}" is forbidden: {message}', details)
