"""Make `src/lightship/kinds/data/protobuf.json` from the published Go modules of Kubernetes, so that no field number is ever typed.

    go mod download k8s.io/api@v0.36.3 k8s.io/apimachinery@v0.36.3 k8s.io/apiextensions-apiserver@v0.36.3 k8s.io/kube-aggregator@v0.36.3
    python tools/make_protobuf_data.py "$(go env GOMODCACHE)" --version v0.36.3

Each package has a `generated.proto` (field numbers and wire types) and Go structs (JSON names, what is inlined, what JSON leaves out when
it is empty). Taken are the kinds in `schemas.json`, which must be there first, and what they reach. The JSON names of every message are
compared with its schema; a difference ends the run. Only the standard library is used.

Into `schemas.json` goes `x-lightship-left-out` of every struct: the texts, numbers and truth values that its JSON leaves out when they are
zero, which OpenAPI does not tell. Run this after tools/make_kinds_data.py, always.

The file: `kinds` maps `apiVersion/kind` to a message, `messages` maps a message to field number → [JSON name, type, how]. `how` is left
out for a single value that is always shown, else `omitempty` (not shown when zero), `repeated`, `map` (string to type) or `inline` (the
fields of the message stand in its parent).
"""

import argparse
import json
import pathlib
import re
from typing import Any, NamedTuple

DATA = pathlib.Path(__file__).parent.parent / "src" / "lightship" / "kinds" / "data"
MODULES = ("api", "apimachinery", "apiextensions-apiserver", "kube-aggregator")
PREFIXES = (
    "k8s.io.apimachinery.pkg.apis.",
    "k8s.io.apimachinery.pkg.",
    "k8s.io.apiextensions_apiserver.pkg.apis.",
    "k8s.io.kube_aggregator.pkg.apis.",
    "k8s.io.api.",
)
"""What is cut off message names; the rest is unique."""

NO_BODIES = {"WatchEvent"}
"""Kinds in the schemas that nobody sends or is sent as they are."""
ALSO = {
    **{f"meta.k8s.io/{version}/PartialObjectMetadata": "meta.v1.PartialObjectMetadata" for version in ("v1", "v1beta1")},
    **{f"v1/{kind}": f"meta.v1.{kind}" for kind in ("APIVersions", "APIGroup", "APIGroupList", "APIResourceList")},
}
"""What is sent and has no schema in our data."""
ENVELOPE = "runtime.Unknown"
RAW = {("meta.v1.FieldsV1", "Raw"), ("runtime.RawExtension", "raw"), ("apiextensions.v1.JSON", "raw")}
"""Bytes that hold JSON, and are shown as what they hold."""
MARK = "x-lightship-left-out"
SCALARS = {"string", "bytes", "bool", "int32", "int64", "double"}


class Part(NamedTuple):
    """A field in a .proto file: `label` is optional, repeated or map."""

    name: str
    type: str
    label: str


class Tag(NamedTuple):
    """A field of a Go struct, as its tags tell."""

    json: str
    inline: bool
    pointer: bool
    omitempty: bool
    omitzero: bool


def main() -> None:
    parser = argparse.ArgumentParser(description="make the protobuf tables of built-in kinds")
    parser.add_argument("directory", type=pathlib.Path, help="a Go module cache, or any folder with k8s.io/<module>@<version> in it")
    parser.add_argument("--version", default="v0.36.3")
    options = parser.parse_args()
    parts: dict[str, dict[int, Part]] = {}
    tags: dict[str, dict[int, Tag]] = {}
    for module in MODULES:
        for path in sorted((options.directory / "k8s.io" / f"{module}@{options.version}").rglob("generated.proto")):
            package, found = read_proto(path.read_text())
            parts.update(found)
            for source in sorted(path.parent.glob("*.go")):
                if not source.name.endswith("_test.go"):
                    tags.update(read_structs(source.read_text(), package))
    if ENVELOPE not in parts:
        raise SystemExit(f"no k8s.io/*@{options.version} with generated.proto under {options.directory}: run `go mod download` first")
    schemas = json.loads((DATA / "schemas.json").read_text())
    kinds = kinds_of(schemas) | ALSO
    messages = reach([ENVELOPE, *kinds.values()], parts, tags)
    compare(messages, schemas)
    write(kinds, messages)
    mark(messages, schemas)


def short(name: str) -> str:
    for prefix in PREFIXES:
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    return name


def read_proto(text: str) -> tuple[str, dict[str, dict[int, Part]]]:
    """(package, message → number → field). Messages in these files are flat."""
    text = re.sub(r"//[^\n]*", "", text)
    package = re.search(r"^package ([\w.]+);", text, re.M)
    assert package
    found = {}
    for name, body in re.findall(r"^message (\w+) \{\n(.*?)^\}", text, re.M | re.S):
        fields = {}
        for label, pair, single, field, number in re.findall(
            r"^\s+(?:(optional|repeated)\s+)?(?:map<string,\s*([\w.]+)>|([\w.]+))\s+(\w+)\s*=\s*(\d+)", body, re.M
        ):
            type = pair or single
            if type not in SCALARS:
                type = short(type.lstrip(".") if "." in type else f"{package[1]}.{type}")
            fields[int(number)] = Part(field, type, "map" if pair else label)
        found[f"{short(package[1])}.{name}"] = fields
    return short(package[1]), found


def read_structs(text: str, package: str) -> dict[str, dict[int, Tag]]:
    """Struct → field number → what its tags say; structs without protobuf tags are left out."""
    found = {}
    for name, body in re.findall(r"^type (\w+) struct \{\n(.*?)^\}", text, re.M | re.S):
        fields = {}
        for names, pointer, type, tag in re.findall(r"^\s+(?:(\w+)\s+)?(\*?)([\w.\[\]*]+)\s+`([^`]*)`", body, re.M):
            number = re.search(r'protobuf:"\w+,(\d+)', tag)
            shown = re.search(r'json:"([^"]*)"', tag)
            if number and shown:
                word, *flags = shown[1].split(",")
                given = word or names or type.rpartition(".")[2]
                fields[int(number[1])] = Tag(given, "inline" in flags, bool(pointer), "omitempty" in flags, "omitzero" in flags)
        if fields:
            found[f"{package}.{name}"] = fields
    return found


def kinds_of(schemas: dict[str, Any]) -> dict[str, str]:
    """`apiVersion/kind` → message, for every schema that names its kind. DeleteOptions is in every group: one entry stands for all."""
    found = {}
    for name, schema in schemas.items():
        for gvk in schema.get("x-kubernetes-group-version-kind", ()):
            api_version = "/".join(filter(None, (gvk["group"], gvk["version"])))
            if gvk["kind"] not in NO_BODIES:
                key = "*/DeleteOptions" if gvk["kind"] == "DeleteOptions" else f"{api_version}/{gvk['kind']}"
                found[key] = message_of(name)
    return found


def message_of(schema: str) -> str:
    return short(re.sub(r"(apiextensions|kube)-", r"\1_", schema.replace("io.k8s.", "k8s.io.", 1)))


def reach(roots: list[str], parts: dict[str, dict[int, Part]], tags: dict[str, dict[int, Tag]]) -> dict[str, dict[int, list[str]]]:
    found: dict[str, dict[int, list[str]]] = {}
    todo = list(roots)
    while todo:
        name = todo.pop()
        if name in found:
            continue
        found[name] = {n: field(name, part, tags.get(name, {}).get(n)) for n, part in sorted(parts[name].items())}
        todo.extend(part.type for part in parts[name].values() if part.type not in SCALARS)
    return found


def field(message: str, part: Part, tag: Tag | None) -> list[str]:
    type = "json" if (message, part.name) in RAW else "slice" if message == ENVELOPE and part.type == "bytes" else part.type
    if tag is None or message.startswith("runtime.") or type == "json" or tag.json == "-":
        # What is no Go struct, or does its JSON by hand: the decoder knows it by its proto names.
        return [part.name, type] + ([part.label] if part.label in ("repeated", "map") else [])
    if tag.inline:
        return ["", type, "inline"]
    if part.label in ("repeated", "map"):
        return [tag.json, type, part.label]
    # A pointer that is there is shown, whatever it points to; a struct is never empty to Go's JSON, unless it is asked.
    dropped = not tag.pointer and ((tag.omitempty and part.type in SCALARS) or tag.omitzero)
    return [tag.json, type, "omitempty"] if dropped else [tag.json, type]


def compare(messages: dict[str, dict[int, list[str]]], schemas: dict[str, Any]) -> None:
    """Every message that has a schema with properties shows exactly those properties."""

    def names(message: str) -> set[str]:
        own = {name for name, _, *how in messages[message].values() if how != ["inline"]}
        return own.union(*(names(type) for _, type, *how in messages[message].values() if how == ["inline"]))

    wrong = []
    compared = 0
    for name, schema in schemas.items():
        message = message_of(name)
        if message in messages and "properties" in schema:
            compared += 1
            wanted = set(schema["properties"]) - ({"apiVersion", "kind"} if "x-kubernetes-group-version-kind" in schema else set())
            if names(message) != wanted:
                wrong.append(f"{message}: {sorted(names(message) ^ wanted)}")
    if wrong:
        raise SystemExit("these messages differ from their schemas:\n" + "\n".join(wrong))
    print(f"{compared} of {len(messages)} messages agree with their schemas")


def write(kinds: dict[str, str], messages: dict[str, dict[int, list[str]]]) -> None:
    """One line for each message, so that a new version of Kubernetes can be read as a diff."""
    lines = ['{\n"kinds":' + json.dumps(dict(sorted(kinds.items())), separators=(",", ":")) + ',\n"messages":{']
    lines.append(",\n".join(f"{json.dumps(n)}:{json.dumps(messages[n], separators=(',', ':'))}" for n in sorted(messages)))
    lines.append("}\n}\n")
    text = "\n".join(lines)
    (DATA / "protobuf.json").write_text(text)
    print(f"protobuf.json: {len(kinds)} kinds, {len(messages)} messages, {len(text)} bytes")


def mark(messages: dict[str, dict[int, list[str]]], schemas: dict[str, Any]) -> None:
    """Tell in `schemas.json` what is left out, one line for each schema."""

    def left_out(message: str) -> set[str]:
        fields = messages[message].values()
        own = {name for name, type, *how in fields if how == ["omitempty"] and type in SCALARS}
        return own.union(*(left_out(type) for _, type, *how in fields if how == ["inline"]))

    marked = 0
    for name, schema in schemas.items():
        message = message_of(name)
        zeros = left_out(message) & schema.get("properties", {}).keys() if message in messages else set()
        schema.pop(MARK, None)
        if zeros:
            schema[MARK] = sorted(zeros)
            marked += 1
    lines = [f"{json.dumps(name)}:{json.dumps(schema, separators=(',', ':'))}" for name, schema in schemas.items()]
    (DATA / "schemas.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"schemas.json: {marked} structs leave something out")


if __name__ == "__main__":
    main()
