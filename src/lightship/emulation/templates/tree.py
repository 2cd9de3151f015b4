"""A template as nested closures that write into a list of texts. Pure; `expressions` reads what stands in actions.

Contract: Go's text/template, without methods and `call`.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from lightship.emulation.templates.expressions import Evaluate, Scope, Words, pipeline
from lightship.emulation.templates.lexer import Piece, Word, pieces, string_of
from lightship.emulation.templates.values import TemplateError, is_true, text_of

Write: TypeAlias = Callable[[Any, Scope, list[str]], None]
Functions: TypeAlias = Mapping[str, Callable[..., Any]]


class _Break(Exception):  # noqa: N818 - it is no error
    """`{{ break }}`"""


class _Continue(Exception):  # noqa: N818 - it is no error
    """`{{ continue }}`"""


class Template:
    """A parsed template; renders as often as one likes."""

    def __init__(self, write: Write) -> None:
        self._write = write

    def render(self, data: Any, functions: Functions) -> str:
        """The text for `data`; `functions` are those that were known by name when it was parsed. Raises `TemplateError`."""
        out: list[str] = []
        try:
            self._write(data, Scope(data, functions), out)
        except TemplateError:
            raise
        except (TypeError, ValueError, KeyError, IndexError, AttributeError, ArithmeticError, RecursionError) as error:
            raise TemplateError(f"{type(error).__name__}: {error}") from error
        return "".join(out)


def parse(text: str, functions: Functions) -> Template:
    """Raises `TemplateError`; also for functions that are not among those given."""
    return Template(_Parser(text, functions).template())


class _Parser:
    def __init__(self, text: str, functions: Functions) -> None:
        self._pieces = list(pieces(text))
        self._at = 0
        self._functions = functions
        self._defined: dict[str, Write] = {}

    def template(self) -> Write:
        write, end = self._block({"$"})
        if end:
            raise TemplateError(f'"{{{{ {end[0].text} }}}}" closes nothing')
        return write

    def _block(self, names: set[str]) -> tuple[Write, tuple[Word, ...]]:
        """What stands up to an `end` or `else`, and the words of that; none at the end of the template."""
        names = set(names)
        parts: list[Write] = []
        while self._at < len(self._pieces):
            piece = self._pieces[self._at]
            self._at += 1
            if piece.words is None:
                if piece.text:
                    parts.append(_text(piece.text))
                continue
            if not piece.words:
                raise TemplateError("missing value for command: an action is empty")
            first = piece.words[0].text
            if first in ("end", "else") and piece.words[0].kind == "name":
                return _sequence(parts), piece.words
            parts.append(self._action(piece, piece.words, names))
        return _sequence(parts), ()

    def _action(self, piece: Piece, words: tuple[Word, ...], names: set[str]) -> Write:
        rest = words[1:]
        match words[0].text if words[0].kind == "name" else "":
            case "if":
                return self._condition(rest, names, moves=False)
            case "with":
                return self._condition(rest, names, moves=True)
            case "range":
                return self._loop(rest, names)
            case "define":
                self._define(rest)
                return _text("")
            case "template":
                return self._call(rest, names)
            case "block":
                return self._named_block(rest, names)
            case "break":
                return _leave(_Break)
            case "continue":
                return _leave(_Continue)
        reader = Words(words, self._functions, names, piece.text)
        variables, declares, evaluate = pipeline(reader)
        reader.finish()
        return _assign(variables[0], evaluate, declares=declares) if variables else _print(evaluate)

    def _condition(self, words: tuple[Word, ...], names: set[str], *, moves: bool) -> Write:
        inner = set(names)
        reader = Words(words, self._functions, inner, " ".join(word.text for word in words))
        variables, declares, test = pipeline(reader)
        reader.finish()
        then, end = self._block(inner)
        other = self._otherwise(end, inner)
        name = variables[0] if variables else ""

        def write(dot: Any, scope: Scope, out: list[str]) -> None:
            found = test(dot, scope)
            inner = scope.inner()
            if name:
                inner.put(name, found, declares=declares)
            if is_true(found):
                then(found if moves else dot, inner, out)
            else:
                other(dot, inner, out)

        return write

    def _otherwise(self, end: tuple[Word, ...], names: set[str]) -> Write:
        if not end:
            raise TemplateError("unexpected EOF: an action has no {{ end }}")
        if end[0].text == "end":
            return _text("")
        if len(end) > 1 and end[1].text in ("if", "with"):
            return self._condition(end[2:], names, moves=end[1].text == "with")
        other, last = self._block(names)
        if not last or last[0].text != "end":
            raise TemplateError("{{ else }} has no {{ end }}")
        return other

    def _loop(self, words: tuple[Word, ...], names: set[str]) -> Write:
        inner = set(names)
        reader = Words(words, self._functions, inner, " ".join(word.text for word in words))
        variables, declares, source = pipeline(reader, most=2)
        reader.finish()
        body, end = self._block(inner)
        other = self._otherwise(end, names)

        def write(dot: Any, scope: Scope, out: list[str]) -> None:
            pairs = _pairs(source(dot, scope))
            if not pairs:
                other(dot, scope.inner(), out)
            for key, item in pairs:
                turn = scope.inner()
                for name, value in zip(variables, (key, item) if len(variables) == 2 else (item,), strict=False):
                    turn.put(name, value, declares=declares)
                try:
                    body(item, turn, out)
                except _Continue:
                    continue
                except _Break:
                    break

        return write

    def _define(self, words: tuple[Word, ...]) -> None:
        self._defined[self._name(words)] = self._whole({"$"})

    def _named_block(self, words: tuple[Word, ...], names: set[str]) -> Write:
        self._defined[self._name(words[:1])] = self._whole({"$"})
        return self._call(words, names)

    def _whole(self, names: set[str]) -> Write:
        write, end = self._block(names)
        if not end or end[0].text != "end":
            raise TemplateError("a definition has no {{ end }}")
        return write

    def _name(self, words: tuple[Word, ...]) -> str:
        if not words or words[0].kind != "string":
            raise TemplateError("the name of a template is a string")
        return string_of(words[0].text)

    def _call(self, words: tuple[Word, ...], names: set[str]) -> Write:
        name, defined = self._name(words[:1]), self._defined
        given: Evaluate | None = None
        if len(words) > 1:
            reader = Words(words[1:], self._functions, names, name)
            _, _, given = pipeline(reader)
            reader.finish()

        def write(dot: Any, scope: Scope, out: list[str]) -> None:
            if name not in defined:
                raise TemplateError(f'template "{name}" not defined')
            data = given(dot, scope) if given else None
            defined[name](data, Scope(data, scope.functions), out)

        return write


def _pairs(found: Any) -> list[tuple[Any, Any]]:
    if found is None:
        return []
    if isinstance(found, dict):
        return [(key, found[key]) for key in sorted(found)]
    if isinstance(found, list | tuple):
        return list(enumerate(found))
    if isinstance(found, int) and not isinstance(found, bool):
        return [(number, number) for number in range(found)]
    raise TemplateError(f"range can't iterate over {text_of(found)}")


def _text(text: str) -> Write:
    def write(dot: Any, scope: Scope, out: list[str]) -> None:
        out.append(text)

    return write


def _leave(how: type[Exception]) -> Write:
    def write(dot: Any, scope: Scope, out: list[str]) -> None:
        raise how

    return write


def _sequence(parts: list[Write]) -> Write:
    if len(parts) == 1:
        return parts[0]

    def write(dot: Any, scope: Scope, out: list[str]) -> None:
        for part in parts:
            part(dot, scope, out)

    return write


def _print(evaluate: Evaluate) -> Write:
    def write(dot: Any, scope: Scope, out: list[str]) -> None:
        out.append(text_of(evaluate(dot, scope)))

    return write


def _assign(name: str, evaluate: Evaluate, *, declares: bool) -> Write:
    def write(dot: Any, scope: Scope, out: list[str]) -> None:
        scope.put(name, evaluate(dot, scope), declares=declares)

    return write
