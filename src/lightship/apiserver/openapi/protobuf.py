"""An OpenAPI version 2 document in the protobuf form that kubectl up to 1.28 insists on.

`openapi` calls `encode_v2` with the document that others get as JSON. The form is gnostic's: maps are lists of named values, what may be
one of several things is wrapped in a message that says which, and extensions are kept as YAML. Only what our documents contain is written.
Contract: github.com/google/gnostic-models openapiv2/OpenAPIv2.proto (package openapi.v2), whose field numbers these are.
"""

from collections.abc import Mapping
from typing import Any

from lightship.meta import codec
from lightship.meta.objects import Obj
from lightship.meta.protobuf import Tables
from lightship.meta.protobuf_encoder import Encoder

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch")
TABLES: Tables = {
    "Document": {
        "1": ["swagger", "string"],
        "2": ["info", "Info"],
        "8": ["paths", "Paths"],
        "9": ["definitions", "NamedSchemas"],
        "12": ["security", "Requirement", "repeated"],
        "13": ["securityDefinitions", "SecurityDefinitions"],
    },
    "Info": {"1": ["title", "string"], "2": ["version", "string"]},
    "Paths": {"2": ["path", "NamedPath", "repeated"]},
    "NamedPath": {"1": ["name", "string"], "2": ["value", "Path"]},
    "Path": {
        **{str(number): [method, "Operation"] for number, method in enumerate(_METHODS, 2)},
        "9": ["parameters", "ParametersItem", "repeated"],
    },
    "Operation": {
        "1": ["tags", "string", "repeated"],
        "3": ["description", "string"],
        "5": ["operationId", "string"],
        "6": ["produces", "string", "repeated"],
        "7": ["consumes", "string", "repeated"],
        "8": ["parameters", "ParametersItem", "repeated"],
        "9": ["responses", "Responses"],
        "10": ["schemes", "string", "repeated"],
        "13": ["extensions", "NamedAny", "repeated"],
    },
    "ParametersItem": {"1": ["parameter", "Parameter"]},
    "Parameter": {"1": ["body", "BodyParameter"], "2": ["other", "NonBody"]},
    "NonBody": {"3": ["query", "QueryParameter"], "4": ["path", "PathParameter"]},
    "BodyParameter": {"2": ["name", "string"], "3": ["in", "string"], "4": ["required", "bool"], "5": ["schema", "Schema"]},
    "QueryParameter": {"2": ["in", "string"], "4": ["name", "string"], "6": ["type", "string"], "20": ["uniqueItems", "bool"]},
    "PathParameter": {
        "1": ["required", "bool"],
        "2": ["in", "string"],
        "4": ["name", "string"],
        "5": ["type", "string"],
        "19": ["uniqueItems", "bool"],
    },
    "Responses": {"1": ["codes", "NamedResponse", "repeated"]},
    "NamedResponse": {"1": ["name", "string"], "2": ["value", "ResponseValue"]},
    "ResponseValue": {"1": ["response", "Response"]},
    "Response": {"1": ["description", "string"], "2": ["schema", "SchemaItem"]},
    "SchemaItem": {"1": ["schema", "Schema"]},
    "NamedSchemas": {"1": ["values", "NamedSchema", "repeated"]},
    "NamedSchema": {"1": ["name", "string"], "2": ["value", "Schema"]},
    "Schema": {
        "1": ["$ref", "string"],
        "2": ["format", "string"],
        "3": ["title", "string"],
        "4": ["description", "string"],
        "5": ["default", "Any"],
        "6": ["multipleOf", "double"],
        "7": ["maximum", "double"],
        "8": ["exclusiveMaximum", "bool"],
        "9": ["minimum", "double"],
        "10": ["exclusiveMinimum", "bool"],
        "11": ["maxLength", "int64"],
        "12": ["minLength", "int64"],
        "13": ["pattern", "string"],
        "14": ["maxItems", "int64"],
        "15": ["minItems", "int64"],
        "16": ["uniqueItems", "bool"],
        "17": ["maxProperties", "int64"],
        "18": ["minProperties", "int64"],
        "19": ["required", "string", "repeated"],
        "20": ["enum", "Any", "repeated"],
        "21": ["additionalProperties", "AdditionalProperties"],
        "22": ["type", "TypeItem"],
        "23": ["items", "ItemsItem"],
        "25": ["properties", "NamedSchemas"],
        "31": ["extensions", "NamedAny", "repeated"],
    },
    "AdditionalProperties": {"1": ["schema", "Schema"], "2": ["boolean", "bool"]},
    "TypeItem": {"1": ["values", "string", "repeated"]},
    "ItemsItem": {"1": ["schemas", "Schema", "repeated"]},
    "NamedAny": {"1": ["name", "string"], "2": ["value", "Any"]},
    "Any": {"2": ["yaml", "string"]},
    "Requirement": {"1": ["values", "NamedTexts", "repeated"]},
    "NamedTexts": {"1": ["name", "string"], "2": ["value", "Texts"]},
    "Texts": {"1": ["values", "string", "repeated"]},
    "SecurityDefinitions": {"1": ["values", "NamedSecurity", "repeated"]},
    "NamedSecurity": {"1": ["name", "string"], "2": ["value", "Security"]},
    "Security": {"2": ["key", "ApiKey"]},
    "ApiKey": {"1": ["type", "string"], "2": ["name", "string"], "3": ["in", "string"], "4": ["description", "string"]},
}


def encode_v2(document: Obj) -> bytes:
    """A document of `document.v2_document` as protobuf."""
    return _ENCODER.encode("Document", document)


def _extended(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """The `x-` fields of a value in the place that the message has for them."""
    extensions = [{"name": key, "value": each} for key, each in value.items() if key.startswith("x-")]
    return {**value, "extensions": extensions} if extensions else value


def _named(values: Mapping[str, Any]) -> list[Obj]:
    return [{"name": name, "value": value} for name, value in values.items()]


def _parameter(value: Mapping[str, Any]) -> Mapping[str, Any]:
    place = value["in"]
    return {"parameter": {"body": value} if place == "body" else {"other": {place: value}}}


class _Null:
    """A null that is meant, where None would be nothing at all."""


def _schema(value: Mapping[str, Any]) -> Mapping[str, Any]:
    found = dict(_extended(value))
    if "type" in found:
        found["type"] = {"values": [found["type"]]}
    if "items" in found:
        found["items"] = {"schemas": [found["items"]]}
    if None in found.get("enum", ()):
        found["enum"] = [_Null() if value is None else value for value in found["enum"]]
    if "additionalProperties" in found:
        given = found["additionalProperties"]
        found["additionalProperties"] = {"boolean": given} if isinstance(given, bool) else {"schema": given}
    return found


_ENCODER = Encoder(
    TABLES,
    {
        "Paths": lambda value: {"path": _named(value)},
        "Operation": _extended,
        "ParametersItem": _parameter,
        "Responses": lambda value: {"codes": _named({code: {"response": response} for code, response in value.items()})},
        "SchemaItem": lambda value: {"schema": value},
        "NamedSchemas": lambda value: {"values": _named(value)},
        "Schema": _schema,
        "Any": lambda value: {"yaml": "null\n" if isinstance(value, _Null) else codec.encode(value).decode() + "\n"},
        "Requirement": lambda value: {"values": [{"name": name, "value": {"values": each}} for name, each in value.items()]},
        "SecurityDefinitions": lambda value: {"values": _named({name: {"key": each} for name, each in value.items()})},
    },
)
