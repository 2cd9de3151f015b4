"""jq's tokens as a tree, by the precedence of its operators. Pure; called by `program`.

A node is a tuple: its kind first, its parts after it. Contract: the jq manual's grammar without modules, `def`, `label`, `try ... catch`
with a handler, formats (`@base64`), `?//`, `input` and update operators; each of these is refused by name.
"""

from typing import Any, TypeAlias

from lightship.emulation.jq.lexer import Token, tokens
from lightship.emulation.jq.values import JqError

Node: TypeAlias = tuple[Any, ...]

_COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")
_UPDATES = ("=", "|=", "+=", "-=", "*=", "/=", "%=", "//=")
_REFUSED = ("def", "label", "import", "include", "foreach", "break")


def parse(text: str) -> Node:
    """Raises `JqError`."""
    reader = _Reader(text)
    node = reader.pipe()
    reader.expect("end", "")
    return node


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokens(text)
        self._at = 0

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._next
        self._at += 1
        return token

    def _is(self, *signs: str) -> bool:
        return self._next.kind == "sign" and self._next.text in signs

    def _word(self, *words: str) -> bool:
        return self._next.kind == "name" and self._next.text in words

    def expect(self, kind: str, text: str) -> Token:
        if self._next.kind != kind or (text and self._next.text != text):
            wanted = f'"{text}"' if text else f"the {kind}"
            raise JqError(f'{wanted} is wanted where "{self._next.text}" stands, at {self._next.at} of "{self._text}"')
        return self._take()

    def pipe(self) -> Node:
        left = self._comma()
        if self._word("as"):
            self._take()
            name = self.expect("variable", "").text
            self.expect("sign", "|")
            return ("as", left, name, self.pipe())
        if self._is("|"):
            self._take()
            return ("pipe", left, self.pipe())
        return left

    def _comma(self) -> Node:
        left = self._alternative()
        while self._is(","):
            self._take()
            left = ("comma", left, self._alternative())
        return left

    def _alternative(self) -> Node:
        left = self._update()
        if self._is("//"):
            self._take()
            return ("alternative", left, self._alternative())
        return left

    def _update(self) -> Node:
        left = self._or()
        if self._is(*_UPDATES):
            raise JqError(f'"{self._next.text}" changes values, which is not known here: "{self._text}"')
        return left

    def _or(self) -> Node:
        left = self._and()
        while self._word("or"):
            self._take()
            left = ("or", left, self._and())
        return left

    def _and(self) -> Node:
        left = self._comparison()
        while self._word("and"):
            self._take()
            left = ("and", left, self._comparison())
        return left

    def _comparison(self) -> Node:
        left = self._sum()
        if self._is(*_COMPARISONS):
            return ("binary", self._take().text, left, self._sum())
        return left

    def _sum(self) -> Node:
        left = self._product()
        while self._is("+", "-"):
            left = ("binary", self._take().text, left, self._product())
        return left

    def _product(self) -> Node:
        left = self._unary()
        while self._is("*", "/", "%"):
            left = ("binary", self._take().text, left, self._unary())
        return left

    def _unary(self) -> Node:
        if self._is("-"):
            self._take()
            return ("negate", self._unary())
        return self._postfix()

    def _postfix(self) -> Node:
        node = self._primary()
        while True:
            if self._is("?"):
                self._take()
                node = ("try", node)
            elif self._next.kind == "field":
                node = ("index", node, ("literal", self._take().text[1:]))
            elif self._next.kind == "dotted":
                node = ("index", node, self._string(self._take()))
            elif self._is("[") or (self._is(".") and self._tokens[self._at + 1].text == "["):
                if self._is("."):
                    self._take()
                node = self._bracket(node)
            else:
                return node

    def _bracket(self, node: Node) -> Node:
        self.expect("sign", "[")
        if self._is("]"):
            self._take()
            return ("each", node)
        begin = None if self._is(":") else self.pipe()
        if self._is(":"):
            self._take()
            end = None if self._is("]") else self.pipe()
            self.expect("sign", "]")
            return ("slice", node, begin, end)
        self.expect("sign", "]")
        return ("index", node, begin)

    def _primary(self) -> Node:
        token = self._take()
        match token.kind:
            case "number":
                number = float(token.text)
                return ("literal", int(number) if number == int(number) else number)
            case "string":
                return self._string(token)
            case "field":
                return ("index", ("this",), ("literal", token.text[1:]))
            case "dotted":
                return ("index", ("this",), self._string(token))
            case "variable":
                return ("variable", token.text)
            case "name":
                return self._named(token)
            case "sign":
                return self._signed(token)
        raise self._unexpected(token)

    def _signed(self, token: Token) -> Node:
        match token.text:
            case ".":
                return ("this",)
            case "..":
                return ("call", "recurse", ())
            case "(":
                node = self.pipe()
                self.expect("sign", ")")
                return node
            case "[":
                if self._is("]"):
                    self._take()
                    return ("array", None)
                node = self.pipe()
                self.expect("sign", "]")
                return ("array", node)
            case "{":
                return self._object()
        raise self._unexpected(token)

    def _named(self, token: Token) -> Node:
        match token.text:
            case "true" | "false" | "null":
                return ("literal", {"true": True, "false": False, "null": None}[token.text])
            case "if":
                return self._condition()
            case "try":
                node = self._postfix()
                if self._word("catch"):
                    raise JqError(f'"catch" is not known here: "{self._text}"')
                return ("try", node)
            case "reduce":
                source = self._postfix()
                self.expect("name", "as")
                name = self.expect("variable", "").text
                self.expect("sign", "(")
                begin = self.pipe()
                self.expect("sign", ";")
                step = self.pipe()
                self.expect("sign", ")")
                return ("reduce", source, name, begin, step)
        if token.text in _REFUSED:
            raise JqError(f'"{token.text}" is not known here: "{self._text}"')
        return ("call", token.text, self._arguments())

    def _arguments(self) -> tuple[Node, ...]:
        if not self._is("("):
            return ()
        self._take()
        found = [self.pipe()]
        while self._is(";"):
            self._take()
            found.append(self.pipe())
        self.expect("sign", ")")
        return tuple(found)

    def _condition(self) -> Node:
        test = self.pipe()
        self.expect("name", "then")
        then = self.pipe()
        if self._word("elif"):
            self._take()
            return ("if", test, then, self._condition())
        other: Node = ("this",)
        if self._word("else"):
            self._take()
            other = self.pipe()
        self.expect("name", "end")
        return ("if", test, then, other)

    def _object(self) -> Node:
        entries: list[tuple[Node, Node]] = []
        while not self._is("}"):
            token = self._take()
            if token.kind == "variable":
                entries.append((("literal", token.text[1:]), ("variable", token.text)))
            else:
                key = self._key(token)
                value: Node = ("index", ("this",), key)
                if self._is(":"):
                    self._take()
                    value = self._alternative()
                entries.append((key, value))
            if not self._is(","):
                break
            self._take()
        self.expect("sign", "}")
        return ("object", tuple(entries))

    def _key(self, token: Token) -> Node:
        if token.kind == "name":
            return ("literal", token.text)
        if token.kind == "string":
            return self._string(token)
        if token.text == "(":
            node = self.pipe()
            self.expect("sign", ")")
            return node
        raise self._unexpected(token)

    def _string(self, token: Token) -> Node:
        if len(token.parts) == 1:
            return ("literal", token.parts[0])
        return ("text", tuple(parse(part[0]) if isinstance(part, tuple) else ("literal", part) for part in token.parts))

    def _unexpected(self, token: Token) -> JqError:
        return JqError(f'unexpected "{token.text or "end"}" at {token.at} of "{self._text}"')
