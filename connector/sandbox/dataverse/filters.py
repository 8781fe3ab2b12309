"""`$filter` over rows: the parser's tree becomes one Python function per expression.

Dataverse compares text without regard to case, as its database's collation does; `gt`, `lt` and the like never hold
for an empty column, `ne` does. [inferred]
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from typing import Any

from odata_query import ast, exceptions
from odata_query.grammar import ODataLexer, ODataParser

from connector.sandbox.dataverse.errors import WebApiError, bad_query
from connector.sandbox.dataverse.rows import Rows, Values
from connector.sandbox.dataverse.schema import INTEGER_KINDS, STRING_KINDS, Column, Table
from connector.sandbox.dataverse.tables import TABLES

Test = Callable[[Values], bool]
Read = Callable[[Values], Any]

_ORDERINGS: dict[type, Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_TEXT_TESTS: dict[str, Callable[[str, str], bool]] = {
    "contains": lambda value, part: part in value,
    "startswith": str.startswith,
    "endswith": str.endswith,
}
_TEXT_CHANGES: dict[str, Callable[[str], Any]] = {
    "tolower": str.lower,
    "toupper": str.upper,
    "trim": str.strip,
    "length": len,
}
# The keywords that the lexer cuts off the front of a longer name such as `allowedcustomprocessingsteptype`.
_GREEDY_TOKENS = frozenset({"ANY", "ALL", "NULL", "BOOLEAN"})
_LEADING_WORD = re.compile("any|all|null|true|false", re.IGNORECASE)


def compile_filter(expression: str, table: Table, rows: Rows) -> Test:
    """A function that tells whether a row's values meet the expression; raises a 400 for one that cannot be read."""
    try:
        tree = ODataParser().parse(_tokens(expression))
    except exceptions.ODataException as error:
        raise bad_query(f"Syntax error in filter '{expression}': {type(error).__name__}") from error
    if tree is None:
        raise bad_query(f"Syntax error in filter '{expression}'.")
    return _Compiler(table, rows).test(tree)


def _tokens(expression: str) -> Iterator[Any]:
    """The lexer's tokens, with names put together again that it takes for a keyword and a rest."""
    held: Any = None
    for token in ODataLexer().tokenize(expression):
        if held is not None and token.type == "ODATA_IDENTIFIER" and token.index == _end(expression, held):
            token.value = ast.Identifier(expression[held.index : token.index] + token.value.name)
        elif held is not None:
            yield held
        held = token if token.type in _GREEDY_TOKENS else None
        if held is None:
            yield token
    if held is not None:
        yield held


def _end(expression: str, token: Any) -> int:
    word = _LEADING_WORD.match(expression, token.index)
    return word.end() if word else -1


class _Compiler:
    def __init__(self, table: Table, rows: Rows) -> None:
        self._table = table
        self._rows = rows

    def test(self, node: Any) -> Test:
        match node:
            case ast.BoolOp(op=ast.And()):
                left, right = self.test(node.left), self.test(node.right)
                return lambda values: left(values) and right(values)
            case ast.BoolOp():
                left, right = self.test(node.left), self.test(node.right)
                return lambda values: left(values) or right(values)
            case ast.UnaryOp(op=ast.Not()):
                inner = self.test(node.operand)
                return lambda values: not inner(values)
            case ast.Compare():
                return self._compare(node)
            case ast.Call() if node.func.name in _TEXT_TESTS:
                return self._text_test(node)
            case ast.CollectionLambda():
                return self._lambda(node)
            case ast.Identifier():
                read, column = self.property(node)
                _expect(column, column.kind == "Boolean")
                return lambda values: read(values) is True
        raise bad_query(f"The filter expression {type(node).__name__} is not supported.")

    def _compare(self, node: ast.Compare) -> Test:
        left, right = node.left, node.right
        if isinstance(node.comparator, ast.In):
            return self._one_of(left, right)
        if isinstance(left, ast._Literal) and not isinstance(right, ast._Literal):  # noqa: SLF001 - the only name it has
            raise bad_query("The left side of a comparison must be a property.")
        read, column = self._value(left)
        if isinstance(right, ast.Null):
            return self._null_test(node, read)
        if isinstance(right, (ast.Identifier, ast.Attribute)):
            other, _ = self._value(right)
            return _comparison(type(node.comparator), read, other)
        wanted = literal(right, column)
        return _comparison(type(node.comparator), read, lambda _values: wanted)

    @staticmethod
    def _null_test(node: ast.Compare, read: Read) -> Test:
        if isinstance(node.comparator, ast.Eq):
            return lambda values: read(values) is None
        if isinstance(node.comparator, ast.NotEq):
            return lambda values: read(values) is not None
        return lambda _values: False

    def _one_of(self, left: Any, right: Any) -> Test:
        read, column = self._value(left)
        wanted = {literal(item, column) for item in right.val}
        return lambda values: read(values) in wanted

    def _text_test(self, node: ast.Call) -> Test:
        read, column = self._value(node.args[0])
        _expect(column, column.kind in STRING_KINDS)
        part, holds = literal(node.args[1], column), _TEXT_TESTS[node.func.name]

        def test(values: Values) -> bool:
            value = read(values)
            return value is not None and holds(value, part)

        return test

    def _lambda(self, node: ast.CollectionLambda) -> Test:
        name = node.owner.name if isinstance(node.owner, ast.Identifier) else ""
        if name not in self._table.collections:
            raise bad_query(f"Could not find a property named '{name}' on type '{_type(self._table)}'.")
        other, link = self._table.collections[name]
        wire, key = TABLES[other].by_name[link].wire, self._table.primary_id
        inner = _Compiler(TABLES[other], self._rows).test(_strip(node.lambda_)) if node.lambda_ else lambda _row: True
        joined = all if isinstance(node.operator, ast.All) else any
        return lambda values: joined(inner(row.values) for row in self._rows.related(other, wire, values[key]))

    def _value(self, node: Any) -> tuple[Read, Column]:
        """A reader for a property or a function of one; text is read in lower case, for comparing."""
        if isinstance(node, ast.Call) and node.func.name in _TEXT_CHANGES:
            inner, column = self._value(node.args[0])
            change = _TEXT_CHANGES[node.func.name]
            result = Column("length", "Integer") if node.func.name == "length" else column
            return lambda values: None if (value := inner(values)) is None else _fold(change(value)), result
        read, column = self.property(node)
        if column.kind in STRING_KINDS:
            return lambda values: _fold(read(values)), column
        return read, column

    def property(self, node: Any) -> tuple[Read, Column]:
        """A reader for a column, here or in the row that a lookup points to."""
        if isinstance(node, ast.Attribute) and isinstance(node.owner, ast.Identifier):
            return self._through(node.owner.name, node.attr)
        name = node.name if isinstance(node, ast.Identifier) else type(node).__name__
        column = self._table.by_wire.get(name)
        if column is None:
            raise bad_query(f"Could not find a property named '{name}' on type '{_type(self._table)}'.")
        wire = column.wire
        return lambda values: values.get(wire), column

    def _through(self, nav: str, attribute: str) -> tuple[Read, Column]:
        """A column of the row that a lookup points to, as in `msdyn_agentid/fullname`."""
        link = self._table.by_nav.get(nav)
        if link is None:
            raise bad_query(f"Could not find a property named '{nav}' on type '{_type(self._table)}'.")
        inner, column = _Compiler(TABLES[link.target], self._rows).property(ast.Identifier(attribute))

        def read(values: Values) -> Any:
            target = self._rows.get(link.target, values.get(link.wire) or "")
            return inner(target.values) if target else None

        return read, column


def literal(node: Any, column: Column) -> Any:
    """A literal in the form in which the column's values are compared; a 400 where the types do not fit."""
    try:
        return _literal(node, column)
    except (ValueError, TypeError, AttributeError) as error:
        raise bad_query(f"The literal does not fit the type of '{column.name}'.") from error


def _literal(node: Any, column: Column) -> Any:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_literal(node.operand, column)
    if isinstance(node, ast.Null):
        return None
    kind = column.kind
    if kind in STRING_KINDS:
        _expect(column, isinstance(node, ast.String))
        return _fold(node.val)
    if kind in {"Lookup", "Uniqueidentifier"}:
        # Dataverse takes GUIDs with and without quotes.
        _expect(column, isinstance(node, (ast.GUID, ast.String)) and re.fullmatch(r"[0-9a-fA-F-]{36}", node.val))
        return node.val.lower()
    if kind == "DateTime":
        _expect(column, isinstance(node, (ast.DateTime, ast.Date)))
        return iso(node.py_val)
    if kind in INTEGER_KINDS:
        _expect(column, isinstance(node, (ast.Integer, ast.Float)))
        return node.py_val
    _expect(column, isinstance(node, ast.Boolean))
    return node.py_val


def iso(value: date) -> str:
    """A moment in the one form in which all are stored, so that text order is time order."""
    moment = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day, tzinfo=UTC)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _comparison(kind: type, left: Read, right: Read) -> Test:
    if kind is ast.Eq:
        return lambda values: left(values) == right(values)
    if kind is ast.NotEq:
        return lambda values: left(values) != right(values)
    compare = _ORDERINGS[kind]

    def test(values: Values) -> bool:
        a, b = left(values), right(values)
        return a is not None and b is not None and compare(a, b)

    return test


def _strip(node: Any) -> Any:
    """The inner expression of `o: o/name eq 'x'` without the variable, so that it reads like a filter of its own."""
    variable = node.identifier.name

    def walk(part: Any) -> Any:
        match part:
            case ast.Attribute(owner=ast.Identifier(name=name)) if name == variable:
                return ast.Identifier(part.attr)
            case ast.BoolOp():
                return ast.BoolOp(part.op, walk(part.left), walk(part.right))
            case ast.Compare():
                return ast.Compare(part.comparator, walk(part.left), walk(part.right))
            case ast.UnaryOp():
                return ast.UnaryOp(part.op, walk(part.operand))
            case ast.Call():
                return ast.Call(part.func, [walk(argument) for argument in part.args])
        return part

    return walk(node.expression)


def _fold(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else value


def _type(table: Table) -> str:
    return f"Microsoft.Dynamics.CRM.{table.name}"


def _expect(column: Column, fits: object) -> None:
    if not fits:
        raise WebApiError(
            400, "0x80060888", f"A binary operator with incompatible types was detected: '{column.name}'."
        )
