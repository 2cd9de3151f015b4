"""Write tests/cel/cases.jsonl from CEL's own conformance tests: `python tools/make_cel_cases.py <cel-spec>/tests/simple/testdata`.

The tests are data of github.com/google/cel-spec (Apache 2.0): expressions, the variables they see, the values or errors they give. Kept is
what speaks of CEL itself and of the libraries that Kubernetes has; what is about protocol buffer messages is left out. One test a line.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parent.parent / "tests" / "cel" / "cases.jsonl"
FILES = (
    *("basic", "bindings_ext", "comparisons", "conversions", "fields", "fp_math", "integer_math", "lists", "logic", "macros", "macros2"),
    *("namespace", "optionals", "parse", "plumbing", "string", "string_ext", "timestamps", "type_deduction"),
)
_STRING = r"""(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')"""
_TOKEN = re.compile(rf"\s+|\#[^\n]*|{_STRING}|(?P<word>[-\w.+]+)|(?P<any>\[[\w./]+\])|(?P<mark>[{{}}:;,<>\[\]])")
_ESCAPE = re.compile(rb"\\(?:([abfnrtv\\\"'?])|x([0-9a-fA-F]{1,2})|([0-7]{1,3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))")
_ONE = {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}

Message = dict[str, list[Any]]


def _tokens(text: str) -> list[tuple[str, str]]:
    out, at = [], 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise ValueError(f"not a token: {text[at : at + 40]!r}")
        if found.lastgroup:
            out.append((found.lastgroup, found.group()))
        at = found.end()
    return out


class Reader:
    """Protocol buffers in text form, as far as these files use it: every field is a list of what was written for it."""

    def __init__(self, text: str) -> None:
        self._tokens = [*_tokens(text), ("mark", "")]
        self._at = 0

    def _take(self) -> tuple[str, str]:
        self._at += 1
        return self._tokens[self._at - 1]

    def message(self, end: str) -> Message:
        out: Message = {}
        while self._tokens[self._at][1] != end:
            name = self._take()[1]
            if self._tokens[self._at][1] == ":":
                self._at += 1
            out.setdefault(name, []).extend(self._values())
            while self._tokens[self._at][1] in (",", ";"):
                self._at += 1
        self._at += 1
        return out

    def _values(self) -> list[Any]:
        kind, word = self._take()
        if word == "{":
            return [self.message("}")]
        if word == "[":
            out: list[Any] = []
            while self._tokens[self._at][1] != "]":
                out += self._values()
                if self._tokens[self._at][1] == ",":
                    self._at += 1
            self._at += 1
            return out
        if kind != "string":
            return [word]
        data = _bytes(word)
        while self._tokens[self._at][0] == "string":
            data += _bytes(self._take()[1])
        return [data]


def _bytes(word: str) -> bytes:
    def one(found: re.Match[bytes]) -> bytes:
        plain, hexa, octal, short, long = found.groups()
        if plain:
            return _ONE.get(plain, plain)
        if hexa or octal:
            return bytes((int(hexa, 16) if hexa else int(octal, 8) & 255,))
        return chr(int(short or long, 16)).encode()

    return _ESCAPE.sub(one, word[1:-1].encode())


class Skip(Exception):  # noqa: N818
    """The test is about something that is not kept."""


def _value(message: Message) -> Any:
    ((kind, (value, *_)),) = message.items()
    if kind in ("int64_value", "uint64_value"):
        return [kind.removesuffix("64_value"), int(value, 0)]
    if kind == "double_value":
        return ["double", str(float(value))]
    if kind == "string_value":
        return ["string", value.decode()]
    if kind == "bytes_value":
        return ["bytes", value.decode("latin-1")]
    if kind == "bool_value":
        return ["bool", value == "true"]
    if kind == "null_value":
        return ["null", None]
    if kind == "type_value":
        return ["type", value.decode()]
    if kind == "list_value":
        return ["list", [_value(one) for one in value.get("values", [])]]
    if kind == "map_value":
        return ["map", [[_value(one["key"][0]), _value(one["value"][0])] for one in value.get("entries", [])]]
    if kind == "object_value":
        return _object(value)
    raise Skip


def _object(message: Message) -> Any:
    ((name, (inner, *_)),) = message.items()
    short = name.strip("[]").rpartition("/")[2]
    if short in ("google.protobuf.Timestamp", "google.protobuf.Duration"):
        nanos = int(inner.get("seconds", ["0"])[0]) * 10**9 + int(inner.get("nanos", ["0"])[0])
        return [short.rpartition(".")[2].lower(), nanos]
    raise Skip


_PRIMITIVES = {"BOOL": "bool", "INT64": "int", "UINT64": "uint", "DOUBLE": "double", "STRING": "string", "BYTES": "bytes"}


def _type(message: Message) -> Any:
    ((kind, (value, *_)),) = message.items()
    if kind == "primitive":
        return _PRIMITIVES[value]
    if kind == "list_type":
        return ["list", _type(value["elem_type"][0])]
    if kind == "map_type":
        return ["map", _type(value["key_type"][0]), _type(value["value_type"][0])]
    if kind == "well_known" and value in ("TIMESTAMP", "DURATION"):
        return value.lower()
    if kind == "abstract_type":
        return ["optional", _type(value["parameter_types"][0])]
    if kind == "type":
        return ["type", _type(value)] if value else "type"
    if kind in ("dyn", "null"):
        return kind
    raise Skip


def _case(file: str, section: str, test: Message) -> dict[str, Any]:
    expr = test["expr"][0].decode()
    if re.search(r"TestAllTypes|google\.protobuf\.(?!Timestamp\b|Duration\b)|Enum|proto\d", expr + str(test.get("container", ""))):
        raise Skip
    if "container" in test:
        raise Skip
    if "disable_check" in test and test["disable_check"] == ["true"] and "eval_error" not in test:
        raise Skip
    case: dict[str, Any] = {"name": f"{file}/{section}/{test['name'][0].decode()}", "expr": expr}
    declared = {}
    for one in test.get("type_env", []):
        if "ident" not in one:
            raise Skip
        declared[one["name"][0].decode()] = _type(one["ident"][0]["type"][0])
    if declared:
        case["variables"] = declared
    bound = {one["key"][0].decode(): _value(one["value"][0]["value"][0]) for one in test.get("bindings", [])}
    if bound:
        case["values"] = bound
    if "typed_result" in test:
        typed = test["typed_result"][0]
        case["type"] = _type(typed["deduced_type"][0])
        if "result" in typed:
            case["value"] = _value(typed["result"][0])
    elif "eval_error" in test:
        case["error"] = True
    else:
        case["value"] = _value(test["value"][0]) if "value" in test else ["bool", True]
    return case


def main(folder: str) -> None:
    lines, left_out = [], 0
    for file in FILES:
        for section in Reader((Path(folder) / f"{file}.textproto").read_text()).message("").get("section", []):
            for test in section.get("test", []):
                try:
                    lines.append(json.dumps(_case(file, section["name"][0].decode(), test), ensure_ascii=True, separators=(",", ":")))
                except Skip:
                    left_out += 1
    PAGE.write_text("\n".join(lines) + "\n")
    print(f"{len(lines)} tests kept, {left_out} left out")


if __name__ == "__main__":
    main(sys.argv[1])
