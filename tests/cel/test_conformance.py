"""CEL's own conformance tests (`cases.jsonl`, made by tools/make_cel_cases.py): expressions with the values or errors they must give."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lightship import cel
from lightship.cel import library, types
from lightship.cel.standard import BINDINGS
from lightship.cel.types import Type
from lightship.cel.values import Duration, Timestamp, UInt

CASES = [json.loads(line) for line in (Path(__file__).parent / "cases.jsonl").read_text().splitlines()]
PLAIN = {t.name: t for t in (types.BOOL, types.INT, types.UINT, types.DOUBLE, types.STRING, types.BYTES, types.DYN)}
OTHERS = {"timestamp": types.TIMESTAMP, "duration": types.DURATION, "null": types.NULL, "type": types.TYPE}
# What cel-go 0.26 in Kubernetes' configuration does differently, by the names of the tests or their beginnings.
PARTED: dict[str, Any] = {"list": types.ListType, "map": types.MapType, "optional": types.OptionalType, "type": types.TypeOf}
MISSES = {
    "fields/quoted_map_fields/": "Kubernetes does not switch on field names in backquotes",
    "fields/qualified_identifier_resolution/map_key_float": "cel-go takes keys of any type in literals",
    "fields/qualified_identifier_resolution/map_key_null": "cel-go takes keys of any type in literals",
    "fields/qualified_identifier_resolution/map_value_repeat_key": "cel-go lets the last of equal keys win",
    "namespace/namespace_shadowing/comprehension_shadowing_selector": "cel-go 0.26 takes the longer name first",
    "optionals/optionals/map_null_entry_no_such_key": "cel-go answers none",
    "optionals/optionals/map_present_key_invalid_field": "cel-go answers none",
    "type_deduction/legacy_nullable_types/null_assignable_to_abstract_parameter_candidate": "cel-go deduces null",
    "string_ext/format/": "Kubernetes has version 2 of the library of strings, whose format() is another",
    "string_ext/format_errors/": "Kubernetes has version 2 of the library of strings, whose format() is another",
    "string_ext/value_errors/indexof_out_of_range": "version 2 answers -1",
    "string_ext/value_errors/lastindexof_out_of_range": "version 2 answers -1",
    "string_ext/reverse/": "not in version 2",
}


def of_type(form: Any) -> Type:
    if isinstance(form, str):
        return PLAIN.get(form) or OTHERS[form]
    made: Type = PARTED[form[0]](*(of_type(one) for one in form[1:]))
    return made


def of_value(form: Any) -> Any:
    kind, value = form
    match kind:
        case "uint":
            return UInt(value)
        case "double":
            return float(value)
        case "bytes":
            return value.encode("latin-1")
        case "list":
            return [of_value(one) for one in value]
        case "map":
            return {of_value(key): of_value(one) for key, one in value}
        case "timestamp":
            return Timestamp(value)
        case "duration":
            return Duration(value)
    return value


def same(form: Any, got: Any) -> bool:
    """Whether a value is the wanted one, of the wanted type."""
    kind, value = form
    match kind:
        case "type":
            return isinstance(got, Type) and got.name == value
        case "double":
            return type(got) is float and (got == float(value) or (math.isnan(got) and math.isnan(float(value))))
        case "list":
            return isinstance(got, list) and len(got) == len(value) and all(map(same, value, got))
        case "map":
            return isinstance(got, Mapping) and len(got) == len(value) and all(same(one, got[of_value(key)]) for key, one in value)
    wanted = of_value(form)
    return type(got) is type(wanted) and bool(got == wanted)


def run(case: Mapping[str, Any]) -> tuple[Any, str]:
    variables = {name: of_type(form) for name, form in case.get("variables", {}).items()}
    program = cel.compile(case["expr"], variables, libraries=(*library.KUBERNETES, BINDINGS), homogeneous=False)
    value = None
    if "value" in case or "error" in case:
        value = program.evaluate({name: of_value(form) for name, form in case.get("values", {}).items()})
    return value, str(program.result)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_an_expression_gives_what_the_specification_says(case: dict[str, Any]) -> None:
    for name, reason in MISSES.items():
        if case["name"].startswith(name):
            pytest.skip(reason)
    if case.get("error"):
        with pytest.raises((cel.CelError, cel.EvaluationError)):
            run(case)
        return
    got, kind = run(case)
    if "value" in case:
        assert same(case["value"], got), f"{case['expr']} gives {got!r}"
    if "type" in case:
        assert kind == str(of_type(case["type"]))
