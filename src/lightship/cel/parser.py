"""Makes a tree of an expression's text: recursive descent for what nests, precedence by folding for operators, macros on the way.

Called by `program.py`. Bounded: 100,000 code points, 250 levels of nesting, as cel-go. Complaints are worded as cel-go's generated parser
words them, but only the first syntax error is told: the generated parser goes on guessing, this one stops.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from lightship.cel import lexer
from lightship.cel.ast import Call, Entry, Expr, Ident, Literal, MakeList, MakeMap, MakeStruct, Select
from lightship.cel.errors import CelError, Issue
from lightship.cel.functions import Macro
from lightship.cel.lexer import BadLiteral, Token
from lightship.cel.values import INT_MAX, INT_MIN, UINT_MAX, UInt

MOST_CODE_POINTS = 100_000
MOST_LEVELS = 250

MacroTable = Mapping[tuple[str, int | None, bool], Macro]

_BINARY = {
    **{op: (1, f"_{op}_") for op in ("*", "/", "%")},
    **{op: (2, f"_{op}_") for op in ("+", "-")},
    **{op: (3, f"_{op}_") for op in ("<", "<=", ">", ">=", "==", "!=")},
    "in": (3, "@in"),
    "&&": (4, "_&&_"),
    "||": (5, "_||_"),
}
_RESERVED = frozenset(
    [
        "as",
        "break",
        "const",
        "continue",
        "else",
        "false",
        "for",
        "function",
        "if",
        "import",
        "in",
        "let",
        "loop",
        "package",
        "namespace",
        "null",
        "return",
        "true",
        "var",
        "void",
        "while",
    ]
)
_LITERALS = frozenset({"NUM_FLOAT", "NUM_INT", "NUM_UINT", "STRING", "BYTES", "true", "false", "null"})
_STARTERS = _LITERALS | {"[", "{", "(", ".", "-", "!", "IDENTIFIER"}
_START = "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}"
_START_OR_CLOSE = _START.replace("'(', '.'", "'(', ')', '.'")


class _SyntaxError(Exception):
    """Stops the parser; its complaint is already noted."""


class _TooDeep(Exception):  # noqa: N818
    """Stops the parser: more levels than allowed."""


def parse(text: str, macros: MacroTable) -> Expr:
    """The tree of an expression. Raises `CelError`."""
    if len(text) > MOST_CODE_POINTS:
        message = f"expression code point size exceeds limit: size: {len(text)}, limit {MOST_CODE_POINTS}"
        raise CelError([Issue(-1, -1, message)], text)
    parser = _Parser(text, macros)
    try:
        tree = parser.whole()
    except _SyntaxError:
        tree = Literal(0, None)
    except _TooDeep as deep:
        raise CelError([Issue(-1, -1, str(deep))], text) from None
    except RecursionError:
        raise CelError([Issue(-1, -1, f"expression recursion limit exceeded: {MOST_LEVELS}")], text) from None
    if parser.issues:
        raise CelError([lexer.locate(text, at, message) for at, message in parser.issues], text)
    return tree


class _Failed(Exception):  # noqa: N818
    """A macro refused; its complaint is noted, and the parser goes on behind the call."""


class _Parser:
    """One run over one text. Also the `Expander` that macros see."""

    def __init__(self, text: str, macros: MacroTable) -> None:
        self._text = text
        self._macros = macros
        self._unlexed: list[tuple[int, str]] = []
        self._tokens = list(lexer.tokens(text, self._unlexed))
        self._next = 0
        self._level = 0
        self._kind = self._tokens[0].kind
        self.issues: list[tuple[int, str]] = []
        self.at = 0

    def whole(self) -> Expr:
        tree = self._expression()
        if self._kind != "<EOF>":
            self._unexpected("<EOF>", deletable=self._peek() == "<EOF>")
        self.issues.extend(self._unlexed)
        return tree

    # Tokens

    def _advance(self) -> Token:
        token = self._tokens[self._next]
        self._next += 1
        self._kind = self._tokens[self._next].kind
        return token

    def _peek(self) -> str:
        after = self._next + 1
        return self._tokens[after].kind if after < len(self._tokens) else ""

    def _expect(self, kind: str) -> Token:
        if self._kind != kind:
            deletable = self._peek() == kind
            self._unexpected(f"'{kind}'", deletable=deletable, missing=not deletable)
        return self._advance()

    def _unexpected(self, wanted: str, *, deletable: bool, missing: bool = False) -> NoReturn:
        """Complain about the token ahead in the words of the generated parser."""
        token = self._tokens[self._next]
        word = token.text.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
        if deletable:
            said = f"extraneous input '{word}' expecting {wanted}"
        elif missing:
            said = f"missing {wanted} at '{word}'"
        else:
            said = f"mismatched input '{word}' expecting {wanted}"
        self._stop(token.at, said)

    def _stop(self, at: int, said: str) -> NoReturn:
        self.issues.extend(issue for issue in self._unlexed if issue[0] <= at)
        self.issues.append((at, f"Syntax error: {said}"))
        raise _SyntaxError

    # Expressions

    def _expression(self) -> Expr:
        self._level += 1
        if self._level > MOST_LEVELS:
            raise _TooDeep(f"expression recursion limit exceeded: {MOST_LEVELS}")
        left = self._binary()
        if self._kind == "?":
            at = self._advance().at
            then = self._binary()
            if self._kind != ":":
                self._unexpected("':'", deletable=self._peek() == ":")
            self._advance()
            left = self._call(at, "_?_:_", [left, then, self._expression()])
        self._level -= 1
        return left

    def _binary(self) -> Expr:
        first = self._operand()
        if self._kind not in _BINARY:
            return first
        operands, operators = [first], []
        while self._kind in _BINARY:
            operators.append(self._advance())
            operands.append(self._operand())
        for rank in (1, 2, 3):
            operands, operators = self._fold(operands, operators, rank)
        for rank in (4, 5):
            operands, operators = self._balance(operands, operators, rank)
        return operands[0]

    def _fold(self, operands: list[Expr], operators: list[Token], rank: int) -> tuple[list[Expr], list[Token]]:
        """Join what operators of a rank join, from the left."""
        out, rest, chain = [operands[0]], [], 0
        for operator, operand in zip(operators, operands[1:], strict=True):
            own, name = _BINARY[operator.kind]
            if own != rank:
                out.append(operand)
                rest.append(operator)
                chain = 0
                continue
            chain += 1
            if chain + self._level > MOST_LEVELS + 1:
                raise _TooDeep("max recursion depth exceeded")
            out[-1] = self._call(operator.at, name, [out[-1], operand])
        return out, rest

    def _balance(self, operands: list[Expr], operators: list[Token], rank: int) -> tuple[list[Expr], list[Token]]:
        """Join what `&&` or `||` join, into a balanced tree: a thousand of them nest ten deep."""
        out: list[Expr] = []
        rest: list[Token] = []
        group: list[Expr] = [operands[0]]
        joints: list[Token] = []
        for operator, operand in zip(operators, operands[1:], strict=True):
            if _BINARY[operator.kind][0] == rank:
                group.append(operand)
                joints.append(operator)
            else:
                out.append(_tree(group, joints, 0, len(joints) - 1))
                rest.append(operator)
                group, joints = [operand], []
        out.append(_tree(group, joints, 0, len(joints) - 1))
        return out, rest

    def _operand(self) -> Expr:
        """An operand with its signs and whatever is selected from it."""
        kind = self._kind
        if kind in ("!", "-"):
            return self._signed(kind)
        if kind == "(":
            self._advance()
            operand = self._expression()
            self._expect(")")
        elif kind == "IDENTIFIER" or kind == ".":
            operand = self._name()
        elif kind in _LITERALS:
            operand = self._literal(self._advance(), "")
        elif kind == "[":
            operand = self._list()
        elif kind == "{":
            operand = self._map()
        else:
            self._unexpected(_START, deletable=self._peek() in _STARTERS)
        return self._members(operand) if self._kind in (".", "[", "{") else operand

    def _signed(self, sign: str) -> Expr:
        first = self._advance()
        count = 1
        while self._kind == sign:
            self._advance()
            count += 1
        if sign == "-" and count == 1 and self._kind in ("NUM_INT", "NUM_FLOAT"):
            number = self._literal(self._advance(), "-", first.at)
            return self._members(number) if self._kind in (".", "[") else number
        if self._kind == "!" or (self._kind == "-" and self._peek() not in ("NUM_INT", "NUM_FLOAT")):
            self._unexpected(_START, deletable=True)
        operand = self._operand()
        return operand if count % 2 == 0 else self._call(first.at, f"{sign}_", [operand])

    def _literal(self, token: Token, sign: str, at: int | None = None) -> Literal:
        place = token.at if at is None else at
        try:
            return Literal(place, _read(token, sign))
        except BadLiteral as bad:
            self.issues.append((place, str(bad)))
            return Literal(place, None)

    def _name(self) -> Expr:
        """An identifier, or a call of a function that belongs to nothing."""
        dot = ""
        if self._kind == ".":
            self._advance()
            dot = "."
            if self._kind != "IDENTIFIER":
                self._stop(self._tokens[self._next].at, f"no viable alternative at input '.{self._shown()}'")
        token = self._advance()
        if token.text in _RESERVED:
            self.issues.append((token.at, f"reserved identifier: {token.text}"))
        if self._kind != "(":
            return Ident(token.at, dot + token.text)
        at, args = self._arguments()
        return self._call(at, dot + token.text, args)

    def _shown(self) -> str:
        return "" if self._kind == "<EOF>" else self._tokens[self._next].text

    def _arguments(self) -> tuple[int, list[Expr]]:
        at = self._advance().at
        args: list[Expr] = []
        if self._kind != ")":
            if self._kind not in _STARTERS:
                self._unexpected(_START_OR_CLOSE, deletable=self._peek() in _STARTERS or self._peek() == ")")
            args.append(self._expression())
            while self._kind == ",":
                self._advance()
                args.append(self._expression())
        self._expect(")")
        return at, args

    def _members(self, operand: Expr) -> Expr:
        """Selections, calls and indices, as many as follow."""
        count = 0
        while True:
            kind = self._kind
            if kind == ".":
                operand = self._member(operand)
            elif kind == "[":
                at = self._advance().at
                name = "_[_]"
                if self._kind == "?":
                    self._advance()
                    name = "_[?_]"
                index = self._expression()
                self._expect("]")
                operand = self._call(at, name, [operand, index])
            elif kind == "{" and (name := qualified(operand)):
                return self._struct(name)
            else:
                return operand
            count += 1
            if count + self._level > MOST_LEVELS + 1:
                raise _TooDeep("max recursion depth exceeded")

    def _member(self, operand: Expr) -> Expr:
        at = self._advance().at
        optional = self._kind == "?"
        if optional:
            self._advance()
        name = self._field(optional)
        if optional:
            return Call(at, "_?._", None, [operand, Literal(name.at, name.text)])
        if self._kind != "(":
            return Select(at, operand, name.text)
        at, args = self._arguments()
        return self._call(at, name.text, args, operand)

    def _field(self, optional: bool) -> Token:
        """The name behind a dot."""
        kind, token = self._kind, self._tokens[self._next]
        if kind == "ESC_IDENTIFIER":
            self.issues.append((token.at, "unsupported syntax: '`'"))
        elif kind != "IDENTIFIER":
            if optional:
                self._unexpected("{IDENTIFIER, ESC_IDENTIFIER}", deletable=False)
            if kind in ("true", "false", "null"):
                self._unexpected("IDENTIFIER", deletable=False)
            self._stop(token.at, f"no viable alternative at input '.{self._shown()}'")
        return self._advance()

    # Literals with parts

    def _list(self) -> Expr:
        at = self._advance().at
        elements: list[Expr] = []
        optional: set[int] = set()
        while self._kind not in ("]", ","):
            if self._kind == "?":
                self._advance()
                optional.add(len(elements))
            elements.append(self._expression())
            if not self._comma("]"):
                break
        self._close("]")
        return MakeList(at, elements, frozenset(optional))

    def _map(self) -> Expr:
        at = self._advance().at
        entries: list[Entry] = []
        while self._kind not in ("}", ","):
            optional = self._kind == "?"
            if optional:
                self._advance()
            key = self._expression()
            colon = self._colon()
            entries.append(Entry(colon, key, self._expression(), optional))
            if not self._comma("}"):
                break
        self._close("}")
        return MakeMap(at, entries)

    def _struct(self, name: str) -> Expr:
        at = self._advance().at
        entries: list[Entry] = []
        while self._kind not in ("}", ","):
            optional = self._kind == "?"
            if optional:
                self._advance()
            if self._kind not in ("IDENTIFIER", "ESC_IDENTIFIER"):
                self._unexpected("{'}', ',', '?', IDENTIFIER, ESC_IDENTIFIER}", deletable=False)
            field = self._field(optional)
            colon = self._colon()
            entries.append(Entry(colon, Literal(field.at, field.text), self._expression(), optional))
            if not self._comma("}"):
                break
        self._close("}")
        return MakeStruct(at, name, entries)

    def _colon(self) -> int:
        if self._kind != ":":
            self._unexpected("':'", deletable=self._peek() == ":", missing=self._kind in _STARTERS)
        return self._advance().at

    def _comma(self, close: str) -> bool:
        """Whether another part follows."""
        if self._kind != ",":
            return False
        if self._peek() == close:
            return False
        self._advance()
        return True

    def _close(self, close: str) -> None:
        if self._kind == ",":
            self._advance()
        if self._kind != close:
            self._unexpected(f"{{'{close}', ','}}", deletable=self._peek() in (close, ","))
        self._advance()

    # Calls and macros

    def _call(self, at: int, name: str, args: list[Expr], target: Expr | None = None) -> Expr:
        member = target is not None
        macro = self._macros.get((name, len(args), member)) or self._macros.get((name, None, member))
        if macro is None:
            return Call(at, name, target, args)
        self.at = at
        try:
            return macro.expand(self, target, args) or Call(at, name, target, args)
        except _Failed:
            return Literal(at, None)

    def fail(self, expr: Expr, message: str) -> NoReturn:
        self.issues.append((expr.at, message))
        raise _Failed


def _tree(terms: list[Expr], joints: list[Token], low: int, high: int) -> Expr:
    if low > high:
        return terms[low]
    middle = (low + high + 1) // 2
    left = _tree(terms, joints, low, middle - 1)
    right = _tree(terms, joints, middle + 1, high)
    return Call(joints[middle].at, _BINARY[joints[middle].kind][1], None, [left, right])


def qualified(expr: Expr) -> str:
    """The dotted name that an expression spells, "" where it spells none."""
    names: list[str] = []
    while isinstance(expr, Select) and not expr.test:
        names.append(expr.field)
        expr = expr.operand
    if not isinstance(expr, Ident):
        return ""
    return ".".join((expr.name, *reversed(names)))


def _read(token: Token, sign: str) -> Any:
    kind, word = token.kind, token.text
    if kind == "STRING":
        return lexer.string(word)
    if kind == "NUM_INT":
        return lexer.integer(sign + word, INT_MIN, INT_MAX, "int")
    if kind == "NUM_FLOAT":
        value = float(sign + word)
        if value in (float("inf"), float("-inf")):
            raise BadLiteral("invalid double literal")
        return value
    if kind == "NUM_UINT":
        return UInt(lexer.integer(word[:-1], 0, UINT_MAX, "uint"))
    if kind == "BYTES":
        return lexer.octets(word)
    return {"true": True, "false": False, "null": None}[kind]
