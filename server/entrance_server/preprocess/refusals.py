"""The errors by which a step refuses code, with their documented numbers."""

from __future__ import annotations

from entrance_server.domain.errors import FieldViolation, InvalidRequest

CODE = "executionContent.code"
VARIABLE = "params.variable"

CODE_BLANK = 20007
VARIABLE_WRONG = 20041
EXPRESSION_WRONG = 20042
SQL_REFUSED = 20051
PYTHON_REFUSED = 20073
SHELL_REFUSED = 50081

_REASONS = {
    CODE_BLANK: "CODE_BLANK",
    VARIABLE_WRONG: "VARIABLE_WRONG",
    EXPRESSION_WRONG: "EXPRESSION_WRONG",
    SQL_REFUSED: "SQL_REFUSED",
    PYTHON_REFUSED: "PYTHON_REFUSED",
    SHELL_REFUSED: "SHELL_REFUSED",
}


def refusal(err_code: int, message: str, *, field: str = CODE) -> InvalidRequest:
    """The error with this number; `message` says what to change."""
    return InvalidRequest(
        message,
        reason=_REASONS[err_code],
        err_code=err_code,
        violations=[FieldViolation(field, message)],
    )


def line_of(code: str, position: int) -> int:
    """The number of the line, from 1, that a position is on."""
    return code.count("\n", 0, position) + 1
