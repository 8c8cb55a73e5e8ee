"""Words that Python and shell code may not have: for installations that need such a list.

It stops mistakes, not malice, since code can build any word as it runs; isolation is what protects.
Words count outside of strings and comments, but within the braces of f-strings and `$(…)`. Pygments
tells these apart: it reads code that has errors or IPython's magics, and reads without running the
compiler, which deep nesting can bring down.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection, Iterator

from pygments.lexer import Lexer
from pygments.lexers.python import PythonLexer
from pygments.lexers.shell import BashLexer
from pygments.token import Comment, Name, String, _TokenType, is_token_subtype

from entrance_server.preprocess import refusals
from entrance_server.preprocess.notes import shown

Word = tuple[int, str]  # where it stands, and what

_DOTTED_NAME = re.compile(r"(?<![\w.])[^\W\d]\w*+(?:\s*+\.\s*+[^\W\d]\w*+)*+")
_FROM_IMPORT = re.compile(r"\bfrom\s++([\w.]++)\s++import\b\s*+(\([^()]*+\)|[^\n;()]*+)")
_NAME = re.compile(r"[^\W\d]\w*+")
_SHELL_WORD = re.compile(r"[^\s;&|()<>{}=$`\"']++")


def refuse_python(code: str, denied: Collection[str]) -> None:
    """Checks that Python code has none of some names, such as `subprocess` or `sys.exit`.

    A name stands for all within it: `os` denies `os.path.join` and `from os import path` too, but
    not an attribute `thing.os`.

    Raises:
        InvalidRequest: it has one; the message tells which and where.
    """
    _refuse(code, _python_words(code), _dotted_in(denied), refusals.PYTHON_REFUSED)


def refuse_shell(code: str, denied: Collection[str]) -> None:
    r"""Checks that a shell script has none of some words, such as `rm`, by whatever path.

    Arguments count as well, since `sudo rm` and `xargs rm` are the same; so does `\rm`.

    Raises:
        InvalidRequest: it has one; the message tells which and where.
    """
    _refuse(code, _shell_words(code), lambda word: word in denied, refusals.SHELL_REFUSED)


def _refuse(
    code: str, words: Iterator[Word], is_denied: Callable[[str], bool], err_code: int
) -> None:
    for position, word in words:
        if is_denied(word):
            raise refusals.refusal(
                err_code,
                f"Line {refusals.line_of(code, position)}: '{shown(word)}' is not allowed here; "
                "remove it, or ask an administrator.",
            )


def _dotted_in(denied: Collection[str]) -> Callable[[str], bool]:
    def is_denied(name: str) -> bool:
        return any(name == word or name.startswith(f"{word}.") for word in denied)

    return is_denied


def _python_words(code: str) -> Iterator[Word]:
    bare = _without(code, PythonLexer(), (String, Comment))
    for match in _DOTTED_NAME.finditer(bare):
        yield match.start(), "".join(match[0].split())
    for match in _FROM_IMPORT.finditer(bare):
        for name in _NAME.finditer(match[2]):
            yield match.start(2) + name.start(), f"{match[1]}.{name[0]}"


def _shell_words(code: str) -> Iterator[Word]:
    # escapes in strings are part of their strings; those that are tokens are as in \rm
    bare = _without(code, BashLexer(), (String, Comment, Name.Variable), kept=String.Escape)
    for match in _SHELL_WORD.finditer(bare):
        yield match.start(), match[0].rpartition("/")[2].removeprefix("\\")


def _without(
    code: str, lexer: Lexer, kinds: tuple[_TokenType, ...], *, kept: _TokenType | None = None
) -> str:
    """The code with spaces for its tokens of some kinds."""

    @functools.cache
    def is_hidden(kind: _TokenType) -> bool:
        return kind is not kept and any(is_token_subtype(kind, hidden) for hidden in kinds)

    return "".join(
        re.sub(r"\S", " ", text) if is_hidden(kind) else text
        for _, kind, text in lexer.get_tokens_unprocessed(f"{code}\n")  # which ends a comment
    )
