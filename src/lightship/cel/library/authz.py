"""The library `authz`: expressions that ask whether somebody may do something.

Policies and match conditions give the variable `authorizer`, an `Authorizer` made over a callback of the server's; this module knows
neither users nor rules, only how a question is put together. Asking is dear: two questions fill an expression's budget.
Contract: k8s.io/apiserver/pkg/cel/library/authz.go, with the selectors of AuthorizeWithSelectors.
"""

from collections.abc import Callable, Sequence
from math import ceil
from typing import Any, ClassVar, NamedTuple

from lightship.cel.errors import EvaluationError
from lightship.cel.functions import LIST_BASE, STRUCT_BASE, TRAVERSAL, CallEstimate, Library, Operand, Overload, Range
from lightship.cel.types import BOOL, STRING, Opaque, Type
from lightship.cel.values import Value
from lightship.meta import names

AUTHORIZER = Opaque("kubernetes.authorization.Authorizer")
PATH_CHECK = Opaque("kubernetes.authorization.PathCheck")
GROUP_CHECK = Opaque("kubernetes.authorization.GroupCheck")
RESOURCE_CHECK = Opaque("kubernetes.authorization.ResourceCheck")
DECISION = Opaque("kubernetes.authorization.Decision")

CHECK_COST = 350_000


class Question(NamedTuple):
    """What is asked: of a path when `path` is not empty, else of a resource. `account` is (namespace, name) of the ServiceAccount that
    is asked about, None for whoever sent the request."""

    verb: str
    path: str = ""
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    field_selector: str = ""
    label_selector: str = ""
    account: tuple[str, str] | None = None


class Answer(NamedTuple):
    allowed: bool
    reason: str = ""
    error: str = ""


Ask = Callable[[Question], Answer]


class Authorizer(Value):
    """What the variable `authorizer` holds."""

    __slots__ = ("account", "ask")
    type: ClassVar[Type] = AUTHORIZER

    def __init__(self, ask: Ask, account: tuple[str, str] | None = None) -> None:
        self.ask = ask
        self.account = account


class _Check(Value):
    """A question that still lacks its verb."""

    __slots__ = ("ask", "question")

    def __init__(self, ask: Ask, question: Question) -> None:
        self.ask = ask
        self.question = question

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.ask is self.ask and other.question == self.question

    def __hash__(self) -> int:
        return hash(self.question)


class PathCheck(_Check):
    __slots__ = ()
    type: ClassVar[Type] = PATH_CHECK


class GroupCheck(_Check):
    __slots__ = ()
    type: ClassVar[Type] = GROUP_CHECK


class ResourceCheck(_Check):
    """Also what the variable `authorizer.requestResource` holds."""

    __slots__ = ()
    type: ClassVar[Type] = RESOURCE_CHECK


class Decision(Value):
    __slots__ = ("answer",)
    type: ClassVar[Type] = DECISION

    def __init__(self, answer: Answer) -> None:
        self.answer = answer


def of_request(ask: Ask, *, group: str, resource: str, subresource: str, namespace: str, name: str) -> ResourceCheck:
    """The value of `authorizer.requestResource`."""
    return ResourceCheck(ask, Question("", "", group, resource, subresource, namespace, name))


def _path(authorizer: Authorizer, path: str) -> PathCheck:
    if not path.strip():
        raise EvaluationError("path must not be empty")
    return PathCheck(authorizer.ask, Question("", path, account=authorizer.account))


def _group(authorizer: Authorizer, group: str) -> GroupCheck:
    return GroupCheck(authorizer.ask, Question("", group=group, account=authorizer.account))


def _service_account(authorizer: Authorizer, namespace: str, name: str) -> Authorizer:
    if not names.follows(name, "subdomain"):
        raise EvaluationError("Invalid service account name")
    if not names.follows(namespace, "label"):
        raise EvaluationError("Invalid service account namespace")
    return Authorizer(authorizer.ask, (namespace, name))


def _resource(check: GroupCheck, resource: str) -> ResourceCheck:
    if not resource.strip():
        raise EvaluationError("resource must not be empty")
    return ResourceCheck(check.ask, check.question._replace(resource=resource))


def _narrowing(field: str) -> Callable[[ResourceCheck, str], ResourceCheck]:
    def narrow(check: ResourceCheck, value: str) -> ResourceCheck:
        changed: dict[str, Any] = {field: value}
        return ResourceCheck(check.ask, check.question._replace(**changed))

    return narrow


def _check(check: PathCheck | ResourceCheck, verb: str) -> Decision:
    return Decision(check.ask(check.question._replace(verb=verb)))


def _selector_cost(arguments: Sequence[Any], _: Any) -> int:
    length = len(arguments[1])
    return LIST_BASE + ceil(length * TRAVERSAL) + ceil(ceil(length * 0.5) * float(LIST_BASE + STRUCT_BASE))


def _selector_estimate(_: Operand | None, arguments: Sequence[Operand]) -> CallEstimate:
    length = arguments[0].size
    requirements = length.scaled(0.5).scaled(float(LIST_BASE + STRUCT_BASE))
    return CallEstimate(Range(LIST_BASE, LIST_BASE).plus(length.scaled(TRAVERSAL)).plus(requirements))


def _narrow(name: str, field: str, identifier: str) -> Overload:
    return Overload(name, (RESOURCE_CHECK, STRING), RESOURCE_CHECK, _narrowing(field), True, id=identifier)


def _select(name: str, field: str, identifier: str) -> Overload:
    params = (RESOURCE_CHECK, STRING)
    return Overload(name, params, RESOURCE_CHECK, _narrowing(field), True, _selector_cost, _selector_estimate, identifier)


def _ask(of: Type, identifier: str) -> Overload:
    estimate = CallEstimate(Range(CHECK_COST, CHECK_COST))
    return Overload("check", (of, STRING), DECISION, _check, True, CHECK_COST, lambda *_: estimate, identifier)


LIBRARY = Library(
    "kubernetes.authz",
    (
        Overload("path", (AUTHORIZER, STRING), PATH_CHECK, _path, True, id="authorizer_path"),
        Overload("group", (AUTHORIZER, STRING), GROUP_CHECK, _group, True, id="authorizer_group"),
        Overload("serviceAccount", (AUTHORIZER, STRING, STRING), AUTHORIZER, _service_account, True, id="authorizer_serviceaccount"),
        Overload("resource", (GROUP_CHECK, STRING), RESOURCE_CHECK, _resource, True, id="groupcheck_resource"),
        _narrow("subresource", "subresource", "resourcecheck_subresource"),
        _narrow("namespace", "namespace", "resourcecheck_namespace"),
        _narrow("name", "name", "resourcecheck_name"),
        _ask(PATH_CHECK, "pathcheck_check"),
        _ask(RESOURCE_CHECK, "resourcecheck_check"),
        Overload("errored", (DECISION,), BOOL, lambda d: bool(d.answer.error), True, id="decision_errored"),
        Overload("error", (DECISION,), STRING, lambda d: d.answer.error, True, id="decision_error"),
        Overload("allowed", (DECISION,), BOOL, lambda d: d.answer.allowed, True, id="decision_allowed"),
        Overload("reason", (DECISION,), STRING, lambda d: d.answer.reason, True, id="decision_reason"),
        _select("fieldSelector", "field_selector", "authorizer_fieldselector"),
        _select("labelSelector", "label_selector", "authorizer_labelselector"),
    ),
)
