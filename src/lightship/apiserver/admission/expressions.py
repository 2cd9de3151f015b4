"""One request as the expressions of admission see it, and the evaluation of expressions and match conditions.

Called by policies and by webhooks that have match conditions; loaded with the first of either. What is the same for all expressions of a
request (the request's document, converted objects, what the authorizer said) is made once, in a `Subject`.
Contract: k8s.io/apiserver pkg/admission/plugin/cel activation.go and condition.go, pkg/admission/plugin/webhook/matchconditions.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from lightship import cel
from lightship.apiserver.access.authz import Attributes
from lightship.apiserver.conversion.versions import convert
from lightship.apiserver.core import Core
from lightship.cel import admission
from lightship.cel.admission import PER_CONDITIONS, PER_EXPRESSION, Expression, Variables
from lightship.cel.library.authz import Answer, Authorizer, Question, of_request
from lightship.meta import errors
from lightship.meta.admission import AdmissionRequest
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource
from lightship.meta.rest import User

from .refusals import forbidden
from .webhooks import review

NO_BUDGET = "validation failed due to running out of cost budget, no further validation rules will be run"
_NAMESPACE_METADATA = (
    *("name", "generateName", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp"),
    *("deletionGracePeriodSeconds", "labels", "annotations", "finalizers"),
)


class OutOfBudget(Exception):  # noqa: N818  the text is the real server's
    """Nothing more may be evaluated for this request and policy."""

    def __init__(self) -> None:
        super().__init__(NO_BUDGET)


class Failed(Exception):  # noqa: N818  the text is the real server's
    """An expression has no value."""


class Subject:
    """One request. Made when the first expression is to be evaluated, good until the object changes (`changed`)."""

    def __init__(self, core: Core, request: AdmissionRequest) -> None:
        self.core = core
        self.request = request
        self._objects: dict[str, tuple[Obj | None, Obj | None]] = {}
        self._documents: dict[tuple[str, str], Obj] = {}
        self._answers: dict[Question, Answer] = {}
        self._namespace: Obj | None = None

    def values(self, shown: Resource, needs: Collection[str], *, named: Resource | None = None) -> dict[str, Any]:
        """The variables that every expression has, if anything needs them. `shown`: the resource by which the rules know the request;
        `named`: the one that `request.resource` tells, where that is another."""
        obj, old = self._versions(shown)
        found: dict[str, Any] = {"object": obj, "oldObject": old, "namespaceObject": None, "params": None}
        if "request" in needs:
            found["request"] = self._document(shown, named or shown)
        return found

    def authorizers(self, needs: Collection[str]) -> Obj:
        """The variables of expressions that may ask what users may do."""
        if "authorizer" not in needs and "authorizer.requestResource" not in needs:
            return {}
        asked = self.request
        group, plural = asked.resource.group, asked.resource.plural
        check = of_request(
            self._ask, group=group, resource=plural, subresource=asked.subresource, namespace=asked.namespace, name=asked.name
        )
        return {"authorizer": Authorizer(self._ask), "authorizer.requestResource": check}

    def changed(self) -> None:
        """The object of the request is another one now."""
        self._objects.clear()

    def namespace(self, *, whole: bool) -> Obj | None:
        """The namespace of the request; None for what is in none. Raises 404 when it is lost."""
        request = self.request
        if not request.namespace or (request.resource.kind == "Namespace" and not request.resource.group):
            return None
        if self._namespace is None:
            record = self.core.store.head(f"core/namespaces//{request.namespace}")
            if record is None:
                raise errors.not_found("namespaces", request.namespace)
            self._namespace = record.obj
        obj = self._namespace
        meta = obj["metadata"]
        shown = meta if whole else {field: meta[field] for field in _NAMESPACE_METADATA if field in meta}
        return {"metadata": shown, "spec": obj.get("spec") or {}, "status": obj.get("status") or {}}

    def _versions(self, shown: Resource) -> tuple[Obj | None, Obj | None]:
        found = self._objects.get(shown.api_version)
        if found is None:
            request = self.request
            obj, old = (
                convert(side, shown) if side is not None and request.resource is not shown else side for side in (request.obj, request.old)
            )
            found = self._objects[shown.api_version] = obj, old
        return found

    def _document(self, shown: Resource, named: Resource) -> Obj:
        found = self._documents.get((shown.api_version, named.api_version))
        if found is None:
            found = review.question(self.request, shown, None, None, "", "v1")["request"]
            found["resource"] = {"group": named.group, "version": named.version, "resource": named.plural}
            found["userInfo"] = {field: value for field, value in found["userInfo"].items() if value}
            self._documents[shown.api_version, named.api_version] = found
        return found

    def _ask(self, question: Question) -> Answer:
        found = self._answers.get(question)
        if found is None:
            found = self._answers[question] = self._judge(question)
        return found

    def _judge(self, question: Question) -> Answer:
        user = self.request.user
        if question.account is not None:
            namespace, name = question.account
            groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")
            user = User(f"system:serviceaccount:{namespace}:{name}", groups)
        wish = Attributes(
            *(user, question.verb, question.group, question.resource, question.subresource, question.namespace, question.name),
            *(question.path, question.field_selector),
        )
        decision = self.core.authorizer.explain(wish)
        return Answer(decision.allowed, decision.reason)


def evaluate(expression: Expression, values: Mapping[str, Any], budget: "cel.Budget") -> Any:
    """The value of an expression. Raises `Failed`, and `OutOfBudget` when the whole budget is spent."""
    if expression.program is None:
        raise Failed(f"compilation error: {expression.problem}")
    variables: Variables | None = values.get("variables")
    try:
        return admission.evaluate(expression.program, values, budget)
    except cel.CostExceeded as error:
        if error.total:
            raise OutOfBudget from None
        raise Failed(f"expression '{expression.text}' resulted in error: {error}") from None
    except cel.EvaluationError as error:
        raise Failed(f"expression '{expression.text}' resulted in error: {error}") from None
    finally:
        if variables is not None and variables.spent:
            budget.spent += variables.settle()
            if budget.spent > budget.total:
                raise OutOfBudget


def matches(conditions: Sequence[Expression], values: Mapping[str, Any], *, fails_open: bool) -> bool:
    """Do all conditions hold? One that does not decides, whatever is wrong with others. Raises `Failed` with all that is wrong."""
    budget = cel.Budget(per_call=PER_EXPRESSION, total=PER_CONDITIONS)
    problems: list[str] = []
    verdict = True
    for condition in conditions:
        try:
            verdict = evaluate(condition, values, budget) is not False and verdict
        except Failed as error:
            problems.append(str(error))
        except OutOfBudget as error:
            # What the others say does not count any more.
            problems, verdict = [str(error)], True
            break
    if not verdict:
        return False
    if problems:
        if fails_open:
            return False
        told = list(dict.fromkeys(problems))
        raise Failed(told[0] if len(told) == 1 else f"[{', '.join(told)}]")
    return True


def needs(expressions: Iterable[Expression | None]) -> frozenset[str]:
    """The variables that any of these expressions names."""
    return frozenset(name for e in expressions if e is not None and e.program is not None for name in e.program.variables)


class Conditions:
    """The match conditions of a webhook."""

    def __init__(self, core: Core, written: Sequence[Obj], *, fails_open: bool) -> None:
        compiler = admission.Compiler()
        self._core = core
        self._compiled = [compiler.condition(condition["expression"]) for condition in written]
        self._needs = needs(self._compiled)
        self._fails_open = fails_open

    def hold(self, request: AdmissionRequest, shown: Resource) -> bool:
        """Raises 403 when that cannot be told and the webhook must not be passed over."""
        subject = Subject(self._core, request)
        # Conditions are told the resource that the client has named.
        values = {**subject.values(shown, self._needs, named=request.resource), **subject.authorizers(self._needs)}
        try:
            return matches(self._compiled, values, fails_open=self._fails_open)
        except Failed as error:
            raise forbidden(request, str(error)) from error
