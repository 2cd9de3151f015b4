"""What stands inside the braces of a template: pipelines of commands, fields, variables and literals. Pure; called by `tree`.

Contract: Go's text/template; `and` and `or` look at their arguments only as far as they have to.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from lightship.emulation.templates.lexer import Word, string_of
from lightship.emulation.templates.values import TemplateError, is_true, text_of


class Scope:
    """The variables that can be seen at one place."""

    __slots__ = ("_names", "_outer", "functions")

    def __init__(self, root: Any, functions: Mapping[str, Callable[..., Any]], outer: "Scope | None" = None) -> None:
        self.functions = functions
        self._names: dict[str, Any] = {"$": root} if outer is None else {}
        self._outer = outer

    def inner(self) -> "Scope":
        return Scope(None, self.functions, self)

    def get(self, name: str) -> Any:
        scope: Scope | None = self
        while scope is not None:
            if name in scope._names:
                return scope._names[name]
            scope = scope._outer
        raise TemplateError(f"undefined variable: {name}")

    def put(self, name: str, value: Any, *, declares: bool) -> None:
        """A new variable here, or another value for one that there is."""
        scope: Scope | None = self
        while not declares and scope is not None and name not in scope._names:
            scope = scope._outer
        (scope or self)._names[name] = value


Evaluate: TypeAlias = Callable[[Any, Scope], Any]


class Words:
    """The words of an action, read from left to right."""

    def __init__(self, words: tuple[Word, ...], functions: Mapping[str, Any], names: set[str], text: str) -> None:
        self._words = words
        self._at = 0
        self._text = text.strip()
        self.functions = functions
        self.names = names

    def peek(self, ahead: int = 0) -> Word | None:
        at = self._at + ahead
        return self._words[at] if at < len(self._words) else None

    def take(self) -> Word:
        word = self.peek()
        if word is None:
            raise self.error("something is missing")
        self._at += 1
        return word

    def skip(self, text: str) -> bool:
        word = self.peek()
        if word is None or word.kind != "sign" or word.text != text:
            return False
        self._at += 1
        return True

    def finish(self) -> None:
        word = self.peek()
        if word is not None:
            raise self.error(f'unexpected "{word.text}"')

    def error(self, why: str) -> TemplateError:
        return TemplateError(f'{why} in "{self._text}"')


def pipeline(words: Words, most: int = 1) -> tuple[list[str], bool, Evaluate]:
    """(variables that it sets, whether they are new, what gives the value)."""
    variables, declares = _variables(words, most)
    evaluate = _command(words, None)
    while words.skip("|"):
        evaluate = _command(words, evaluate)
    if declares:
        words.names.update(variables)
    return variables, declares, evaluate


def _variables(words: Words, most: int) -> tuple[list[str], bool]:
    found: list[str] = []
    ahead = 0
    while (word := words.peek(ahead)) is not None and word.kind == "variable":
        found.append(word.text)
        sign = words.peek(ahead + 1)
        if sign is None or sign.kind != "sign" or sign.text not in (":=", "=", ","):
            return [], False
        ahead += 2
        if sign.text != ",":
            if len(found) > most:
                raise words.error("too many declarations")
            for _ in range(ahead):
                words.take()
            if sign.text == "=" and not set(found) <= words.names:
                raise words.error(f"undefined variable: {found[0]}")
            return found, sign.text == ":="
    return [], False


def _command(words: Words, piped: Evaluate | None) -> Evaluate:
    word = words.peek()
    if word is None:
        raise words.error("missing value for command")
    if word.kind == "name" and word.text not in ("true", "false", "nil"):
        words.take()
        arguments = _arguments(words)
        if piped is not None:
            arguments.append(piped)
        return _called(words, word.text, arguments)
    operand = _operand(words)
    if piped is not None or _arguments(words):
        raise words.error(f'"{word.text}" is no function and takes nothing')
    return operand


def _arguments(words: Words) -> list[Evaluate]:
    found: list[Evaluate] = []
    while (word := words.peek()) is not None and not (word.kind == "sign" and word.text in ("|", ")", ",", ":=", "=")):
        if word.kind == "name" and word.text not in ("true", "false", "nil"):
            words.take()
            found.append(_fields(words, _called(words, word.text, [])))
        else:
            found.append(_operand(words))
    return found


def _operand(words: Words) -> Evaluate:
    word = words.take()
    match word.kind:
        case "sign" if word.text == "(":
            _, _, inner = pipeline(words, 0)
            if not words.skip(")"):
                raise words.error('")" is missing')
            return _fields(words, inner)
        case "sign" if word.text == ".":
            return lambda dot, scope: dot
        case "field":
            return _fields(words, _field(lambda dot, scope: dot, word.text[1:]))
        case "variable":
            if word.text not in words.names:
                raise words.error(f"undefined variable: {word.text}")
            return _fields(words, lambda dot, scope: scope.get(word.text))
        case "string":
            return _constant(string_of(word.text))
        case "char":
            return _constant(ord(string_of('"' + word.text[1:-1].replace('"', '\\"') + '"')))
        case "number":
            return _constant(_number(word.text))
        case "name":
            return _constant({"true": True, "false": False, "nil": None}[word.text])
    raise words.error(f'unexpected "{word.text}"')


def _number(text: str) -> int | float:
    try:
        return int(text, 0)
    except ValueError:
        return float(text)


def _constant(value: Any) -> Evaluate:
    return lambda dot, scope: value


def _fields(words: Words, target: Evaluate) -> Evaluate:
    """What follows without a space: `.metadata.name` of it."""
    while (word := words.peek()) is not None and word.kind == "field" and word.glued:
        words.take()
        target = _field(target, word.text[1:])
    return target


def _field(target: Evaluate, name: str) -> Evaluate:
    def get(dot: Any, scope: Scope) -> Any:
        found = target(dot, scope)
        if found is None:
            return None
        if isinstance(found, dict):
            return found.get(name)
        raise TemplateError(f"can't evaluate field {name} in {text_of(found)}")

    return get


def _called(words: Words, name: str, arguments: list[Evaluate]) -> Evaluate:
    if name in ("and", "or"):
        if not arguments:
            raise words.error(f"wrong number of args for {name}")
        return _short(arguments, until=name == "or")
    if name not in words.functions:
        raise words.error(f'function "{name}" not defined')

    def call(dot: Any, scope: Scope) -> Any:
        return scope.functions[name](*(argument(dot, scope) for argument in arguments))

    return call


def _short(arguments: list[Evaluate], *, until: bool) -> Evaluate:
    def call(dot: Any, scope: Scope) -> Any:
        found = None
        for argument in arguments:
            found = argument(dot, scope)
            if is_true(found) == until:
                break
        return found

    return call
