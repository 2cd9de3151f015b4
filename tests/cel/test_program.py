"""Programs: what they are given, what they may cost, what they can make, and that hostile ones end."""

import random
from collections.abc import Iterator
from typing import Any

import pytest

from lightship import cel
from lightship.cel import library, types
from lightship.cel.functions import Library, Macro, Overload, Range
from lightship.cel.standard import BINDINGS
from lightship.cel.types import Field, ListType, MapType, ObjectType
from lightship.cel.values import ListValue, MapValue, Optional, UInt, equal

SPEC = ObjectType("object.spec", {"replicas": Field(types.INT), "a__dash__b": Field(types.STRING, "a-b")})
SELF = ObjectType("object", {"spec": Field(SPEC), "names": Field(ListType(types.STRING))})


def evaluate(text: str, **values: Any) -> Any:
    return cel.compile(text, dict.fromkeys(values, types.DYN), libraries=library.KUBERNETES).evaluate(values)


def test_a_field_is_read_by_the_name_that_the_object_has() -> None:
    program = cel.compile("self.spec.a__dash__b == 'x' && has(self.spec.a__dash__b)", {"self": SELF})
    assert program.evaluate({"self": {"spec": {"a-b": "x"}}}) is True
    assert program.result == types.BOOL
    assert program.variables == ("self",)


def test_an_undefined_field_is_told_with_its_place() -> None:
    with pytest.raises(cel.CelError) as caught:
        cel.compile("self.spec.replica > 1", {"self": SELF})
    assert str(caught.value) == "ERROR: <input>:1:10: undefined field 'replica'\n | self.spec.replica > 1\n | .........^"
    assert [(issue.line, issue.column) for issue in caught.value.issues] == [(1, 9)]


def test_a_program_gives_what_is_asked_for() -> None:
    with pytest.raises(cel.CelError, match="must evaluate to bool"):
        cel.compile("1 + 1", {}, result=types.BOOL)
    assert cel.compile("1 + 1", {}, result=types.INT).evaluate({}) == 2


def test_a_missing_variable_is_told() -> None:
    with pytest.raises(cel.EvaluationError, match=r"no such attribute\(s\): self"):
        cel.compile("self == 1", {"self": types.INT}).evaluate({})


def test_a_budget_counts_what_several_programs_cost() -> None:
    program = cel.compile("self.names.all(n, n.startsWith('abc'))", {"self": SELF})
    budget = cel.Budget()
    program.evaluate({"self": {"names": ["abcd", "abce"]}}, budget)
    once = budget.spent
    program.evaluate({"self": {"names": ["abcd", "abce"]}}, budget)
    assert once == 2 + 2 * (3 + 1 + 1) + 1
    assert budget.spent == 2 * once
    assert program.cost({"self": {"names": []}}) == 3


def test_a_spent_budget_stops_a_program_and_says_which_limit_it_was() -> None:
    program = cel.compile("[1, 2, 3].all(x, x > 0)", {})
    with pytest.raises(cel.CostExceeded) as caught:
        program.evaluate({}, cel.Budget(per_call=10))
    assert not caught.value.total
    assert str(caught.value) == "operation cancelled: actual cost limit exceeded"
    with pytest.raises(cel.CostExceeded) as caught:
        program.evaluate({}, cel.Budget(total=10))
    assert caught.value.total


HUGE = list(range(3000))
BOMBS = (
    ("l.all(a, l.all(b, l.all(c, a + b + c >= 0)))", {"l": HUGE}),
    ("l.map(a, l.map(b, l.map(c, l)))", {"l": HUGE}),
    ("l.exists(a, [l] == [l.map(x, x)])", {"l": HUGE}),
    ("l.filter(a, l + l == l).size() > 0", {"l": [*HUGE, *HUGE]}),
    ("l.all(a, o == p)", {"l": HUGE, "o": {"x": HUGE}, "p": {"x": list(HUGE)}}),
    ("l.all(a, [a] in [l, [l.size()]] || true)", {"l": HUGE}),
    ("s + s + s + s + s + s + s + s + s + s + s", {"s": "x" * 1_000_000}),
    ("l.map(a, s.matches('(x+x+)+y')).size()", {"l": HUGE, "s": "x" * 30}),
    ("optional.of(l)" + "".join(f".optMap(x{i}, x{i} + x{i})" for i in range(100)) + ".value().size()", {"l": HUGE}),
)


@pytest.mark.parametrize(("text", "values"), BOMBS, ids=[text[:40] for text, _ in BOMBS])
def test_a_bomb_is_stopped(text: str, values: dict[str, Any]) -> None:
    kinds: dict[str, types.Type] = {"l": ListType(types.INT), "s": types.STRING, "o": types.DYN, "p": types.DYN}
    program = cel.compile(text, {name: kinds[name] for name in values}, libraries=library.KUBERNETES, homogeneous=False)
    budget = cel.Budget(work=100_000)
    try:
        program.evaluate(values, budget)
    except (cel.CostExceeded, cel.EvaluationError):
        pass
    assert budget.spent < 3 * cel.PER_CALL


DEEP = (
    "(" * 5000 + "1" + ")" * 5000,
    "[" * 400 + "]" * 400,
    "1" + " + 1" * 20000,
    "a" + ".a" * 20000,
    "!" * 50000 + "true",
    "true ? 1 : " * 400 + "1",
    "{'a': " * 300 + "1" + "}" * 300,
    "a.b(" * 300 + ")" * 300,
    " " * 100_001,
    "'" + "\\" * 50001,
    '"""' * 20000,
)


@pytest.mark.parametrize("text", DEEP, ids=[text[:12] for text in DEEP])
def test_a_text_that_is_too_deep_or_too_long_is_refused_in_time(text: str) -> None:
    try:
        cel.compile(text, {"a": types.DYN}).evaluate({"a": 1})
    except (cel.CelError, cel.EvaluationError):
        pass


def test_junk_is_judged_and_never_crashes() -> None:
    chance = random.Random(7)
    words = ["self", "in", "has", "all", "map", "x", "'a'", "1", "2u", "3.0", "null", "true", "==", "&&", "||", *".[](){},:?!-+*/%<@\\`\né"]
    for _ in range(3000):
        text = " ".join(chance.choices(words, k=chance.randint(1, 12)))
        try:
            cel.compile(text, {"self": types.DYN, "x": types.INT}).evaluate({"self": {"a": [1]}, "x": 1})
        except (cel.CelError, cel.EvaluationError):
            pass


def test_objects_are_made_by_literals() -> None:
    spec = ObjectType("Object.spec", {"replicas": Field(types.INT), "a__dash__b": Field(types.STRING, "a-b")})
    root = ObjectType("Object", {"spec": Field(spec)})
    objects = {"Object": root, "Object.spec": spec}
    made = cel.compile("Object{spec: Object.spec{replicas: n + 1, ?a__dash__b: optional.none()}}", {"n": types.INT},
                       libraries=library.KUBERNETES, objects=objects)  # fmt: skip
    assert made.result == root
    assert made.evaluate({"n": 2}) == {"spec": {"replicas": 3}}
    assert made.cost({"n": 2}) == 40 + 40 + 2 + 1
    for text, said in (
        ("Object{spc: 1}", "undefined field 'spc'"),
        ("Object.spec{replicas: 'x'}", "expected type of field 'replicas' is 'int' but provided type is 'string'"),
        ("Objekt{}", "undeclared reference to 'Objekt' (in container '')"),
    ):
        with pytest.raises(cel.CelError) as caught:
            cel.compile(text, {}, objects=objects)
        assert said in str(caught.value)


class Lazy(MapValue):
    """A map whose values are worked out when asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __getitem__(self, key: str) -> Any:
        if key != "answer":
            raise KeyError(key)
        self.asked.append(key)
        return 42

    def __iter__(self) -> Iterator[str]:
        return iter(("answer",))

    def __len__(self) -> int:
        return 1


def test_a_variable_may_be_a_map_that_works_out_its_values() -> None:
    lazy = Lazy()
    assert evaluate("has(variables.answer) && !has(variables.other)", variables=lazy) is True
    assert evaluate("variables.answer == 42 || variables.other == 1", variables=lazy) is True
    assert lazy.asked[-1:] == ["answer"]
    with pytest.raises(cel.EvaluationError, match="no such key: other"):
        evaluate("variables.other", variables=lazy)


class Unordered(ListValue):
    def __init__(self, items: list[Any]) -> None:
        self._items = items

    def __getitem__(self, index: Any) -> Any:
        return self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    def equals(self, other: Any) -> bool:
        return sorted(self, key=id) == sorted(other, key=id)


def test_a_list_may_have_an_equality_of_its_own() -> None:
    assert evaluate("a == b && a.exists(x, x == 1) && 2 in a && a.size() == 2", a=Unordered([1, 2]), b=[2, 1]) is True
    assert evaluate("b == a", a=Unordered([1, 2]), b=[2, 1]) is False  # the left one decides


def test_comparing_values_that_compare_themselves_is_work_too() -> None:
    deep = Unordered([Unordered(list(range(1000))) for _ in range(3)])
    program = cel.compile("a == a", {"a": types.DYN})
    budget = cel.Budget()
    assert program.evaluate({"a": deep}, budget) is True
    assert budget.work == cel.Budget().work - 3 - 1 - 3 * 1001


def test_functions_and_macros_are_added_by_libraries() -> None:
    def twice(of: Any, target: Any, args: list[Any]) -> Any:
        return of.fail(args[0], "not again") if type(args[0]).__name__ == "Literal" else args[0]

    tripled = Overload("triple", (types.INT,), types.INT, lambda n: 3 * n, member=True, cost=lambda args, result: result, id="int_triple")
    mine = Library("mine", (tripled,), (Macro("same", 1, False, twice),))
    program = cel.compile("same(n).triple()", {"n": types.INT}, libraries=(mine,))
    assert program.evaluate({"n": 5}) == 15
    assert program.cost({"n": 5}) == 1 + 15
    with pytest.raises(cel.CelError, match="not again"):
        cel.compile("same(1)", {}, libraries=(mine,))
    with pytest.raises(cel.EvaluationError, match=r"no such overload: triple\(string\)"):
        cel.compile("n.triple()", {"n": types.DYN}, libraries=(mine,)).evaluate({"n": "x"})


def test_names_for_values_are_worked_out_once_and_only_when_asked() -> None:
    assert cel.compile("cel.bind(x, 1 / 0, true)", {}, libraries=(BINDINGS,)).evaluate({}) is True
    program = cel.compile("cel.bind(x, l.map(i, i + 1), x.size() + x.size())", {"l": ListType(types.INT)}, libraries=(BINDINGS,))
    assert program.evaluate({"l": [1, 2, 3]}) == 6
    assert program.cost({"l": [1, 2]}) == 5 + (1 + 2 * (13 + 1) + 2 - 1) + 0


def test_estimates_use_the_bounds_of_types() -> None:
    bounded = ObjectType("o", {"names": Field(ListType(types.STRING.bounded(20), bound=7)), "n": Field(types.INT.bounded(0))})
    assert cel.compile("self.names.all(n, n == 'abc')", {"self": bounded}).estimate() == Range(3, 3 + 7 * (3 + 1 + 1))
    assert cel.compile("self.n == 1", {"self": bounded}).estimate() == Range(2, 2)
    unbounded = ObjectType("o", {"names": Field(ListType(types.STRING))})
    assert cel.compile("self.names.all(n, n == 'abc')", {"self": unbounded}).estimate().max == 2**64 - 1


def test_a_bad_constant_is_told_before_anything_runs() -> None:
    for text, said in (("int('x') == 1", "type conversion error from 'string' to 'int'"),):
        with pytest.raises(cel.ProgramError) as caught:
            cel.compile(text, {})
        assert str(caught.value) == said
    for text in ("duration('x') > duration('1s')", "timestamp('x') == t", "'a'.matches('(')"):
        with pytest.raises(cel.CelError, match=r"invalid (duration|timestamp|matches) argument"):
            cel.compile(text, {"t": types.TIMESTAMP})


def test_equality_tells_what_python_does_not() -> None:
    assert equal(1, 1.0)
    assert equal(UInt(1), 1)
    assert not equal(True, 1)
    assert not equal({"a": True}, {"a": 1})
    assert not equal([1, True], [1, 1])
    assert equal({"a": [1, {"b": 2.0}]}, {"a": [1.0, {"b": 2}]})
    assert not equal(float("nan"), float("nan"))
    assert equal(Optional(1), Optional(1))
    assert not equal(Optional.NONE, Optional(None))


def test_keys_of_maps_tell_true_from_one() -> None:
    program = cel.compile("m[k]", {"m": MapType(types.DYN, types.INT), "k": types.DYN})
    assert program.evaluate({"m": {True: 5}, "k": True}) == 5
    with pytest.raises(cel.EvaluationError, match="no such key: 1"):
        program.evaluate({"m": {True: 5}, "k": 1})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("m.x == 1 || true", True),
        ("true || m.x == 1", True),
        ("m.x == 1 && false", False),
        ("false && m.x == 1", False),
        ("[1, 0].exists(x, 1 / x == 1)", True),
        ("[0, 1].exists(x, 1 / x == 1)", True),
        ("[0, 1].all(x, 1 / x == 2)", False),
        ("[].all(x, m.x == 1)", True),
    ],
)
def test_logic_absorbs_errors(text: str, value: bool) -> None:
    assert cel.compile(text, {"m": types.DYN}).evaluate({"m": {}}) is value


@pytest.mark.parametrize(
    "text",
    [
        *("m.x == 1 || false", "m.x == 1 && true", "m.x == 1 ? 1 : 2"),
        *("[0, 1].all(x, 1 / x == 1)", "[0, 2].exists(x, 1 / x == 1)", "[1, 0].map(x, 1 / x)", "[0].filter(x, 1 / x == 1)"),
    ],
)
def test_errors_that_decide_are_told(text: str) -> None:
    with pytest.raises(cel.EvaluationError, match=r"no such key: x|division by zero"):
        cel.compile(text, {"m": types.DYN}).evaluate({"m": {}})
