"""OpenAPI schemas compiled to functions: what is wrong with an object, which fields are unknown, which values are missing.

Called by the server for every object that is written. Nothing is compiled before an object needs it, so that a kind costs only what its
objects use. Schemas are OpenAPI v3 with Kubernetes' extensions; a schema that is nothing but a `$ref` stands for one of the API server's
own Go types, and follows Go's rules for zero values, nulls and the words of errors; every other one is a custom kind's.
Contract: CustomResourceDefinition structural schemas; apimachinery strict decoding. CEL rules are not looked at here.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from lightship.meta.errors import Cause
from lightship.meta.objects import Obj
from lightship.meta.schema import checks, embedded, glance, learning, limits, lists, shape, visits
from lightship.meta.schema.embedded import Embedded
from lightship.meta.schema.nodes import Context, Node, root

__all__ = ["Compiled", "Context", "Embedded", "Node", "compile", "root"]


OFTEN = 32
"""Objects of a built-in kind after which it pays to compile the types of a glance: some milliseconds for the larger kinds."""


class Compiled:
    """One schema as functions. Safe to share; objects are never kept."""

    __slots__ = ("_check", "_embedded", "_fill", "_glance", "_learner", "_lists", "_strays", "_until_glance", "builtin", "node")

    def __init__(self, node: Node) -> None:
        self.node = node
        self.builtin = node.context.builtin
        self._glance: glance.Glance | None = None
        self._until_glance = OFTEN
        self._learner: learning.Learner | None = None
        self._check: limits.Check | None = None
        self._strays: shape.Strays | None = None
        self._fill: shape.Fill | None = None
        self._lists: visits.Visit | Literal[False] | None = False
        self._embedded: visits.Visit | Literal[False] | None = False

    def check(self, obj: Any, path: str = "") -> list[Cause]:
        """Everything wrong with `obj`, which is at `path`; empty when it is right.

        Of a built-in kind with values that Go could not decode only the first of those is told (reason `FieldValueTypeInvalid`, no
        field), as the real server does with a 400. Of a custom kind see `lists` and `embedded` for the rest.
        """
        if self._check is None:
            self._check = checks.check(self.node)
        out: list[Cause] = []
        self._check(obj, (None, path) if path else None, out)
        if out and self.builtin:
            return next(([c] for c in out if c.reason == limits.UNDECODABLE), out)
        return out

    def lists(self, obj: Any, path: str = "") -> list[Cause]:
        """What lists that are sets or maps name twice; of custom kinds."""
        if self._lists is False:
            self._lists = None if self.builtin else visits.walk(self.node.raw, lists.choose)
        found: list[Cause] = []
        if self._lists is not None:
            self._lists(obj, path, found)
        return found

    def embedded(self, obj: Any, path: str = "") -> list[Embedded]:
        """The objects inside of an object, with their paths; of custom kinds. `embedded.problems` judges each."""
        if self._embedded is False:
            self._embedded = None if self.builtin else visits.walk(self.node.raw, embedded.choose)
        found: list[Embedded] = []
        if self._embedded is not None:
            self._embedded(obj, path, found)
        return found

    def settle(self, obj: Obj) -> bool:
        """`default`, of an object that `check` and `unknown` find nothing wrong with; False, and nothing done, when they must look.

        Of an object that is right it may say False, but never True of one that is not. Of a custom kind `lists` must be asked besides,
        and metadata be judged before.
        """
        if self._glance is None:
            self._until_glance -= self.builtin
            if self._until_glance > 0 or not self.builtin:
                return False
            self._glance = glance.prepare(self.node)
        type, complete = self._glance
        if not glance.fits(obj, type):
            return False
        if complete is not None:
            complete(obj)
        return True

    def learn(self, obj: Obj) -> None:
        """An object of a custom kind was right as it came, although `settle` did not see it: next time it may."""
        if self._learner is None:
            self._learner = learning.Learner(self.node)
        self._learner.note(obj)
        self._glance = self._learner.glance

    def unknown(self, obj: Obj) -> list[str]:
        """Paths of the fields that the schema does not know, in the order in which the real server names them."""
        found = [stray.path for stray in self._find(obj)]
        return found if self.builtin else sorted(found)

    def prune(self, obj: Obj) -> None:
        """Remove unknown fields, in place."""
        for container, key, _ in self._find(obj):
            del container[key]

    def default(self, obj: Obj) -> None:
        """Fill in defaults and drop what is never stored (nulls; in built-in kinds empty maps and lists too), in place."""
        if self._fill is None:
            self._fill = shape.fill(self.node)
        self._fill(obj)

    def _find(self, obj: Obj) -> list[shape.Stray]:
        if self._strays is None:
            self._strays = shape.strays(self.node)
        found: list[shape.Stray] = []
        self._strays(obj, "", found)
        return found


def compile(schema: Obj, definitions: Mapping[str, Obj] | Callable[[], Mapping[str, Obj]]) -> Compiled:
    """Make a schema ready to use. Raises `ValueError` when it refers to a definition that is not there."""
    return Compiled(root(schema, definitions() if callable(definitions) else definitions))
