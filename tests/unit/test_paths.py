"""Names of logs and results: one way to write each, and nothing else is a name."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from entrance_server.domain import errors, paths
from entrance_server.domain.ids import TASK_ID_MAX
from entrance_server.domain.paths import JobPath, LogPath, ResultSetPath, ResultsPath

NUMBERS = st.integers(1, TASK_ID_MAX)
NAMES: st.SearchStrategy[JobPath] = st.one_of(
    st.builds(LogPath, NUMBERS),
    st.builds(ResultsPath, NUMBERS),
    st.builds(ResultSetPath, NUMBERS, st.integers(0, paths.MAX_INDEX)),
)
# What a path trick is made of.
PIECES = st.sampled_from(
    [
        *("entrance:", "file:", "ENTRANCE:", "hdfs:", "//", "/", "///", "..", ".", "~", "\\"),
        *("%2e", "%2F", "%252e", "%00", "\0", "\n", " ", ";", "#", "?", "*", "$HOME", "7", "07"),
        *("log", "results", "_0.dolphin", "etc", "passwd", "proc", "self", "．", "／", "７", "‥"),  # noqa: RUF001
    ]
)


@given(NAMES)
def test_what_is_written_is_read(path: JobPath) -> None:
    assert paths.parse(str(path)) == path


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("entrance:///7/log", LogPath(7)),
        ("entrance:///7/results", ResultsPath(7)),
        ("entrance:///7/results/_0.dolphin", ResultSetPath(7, 0)),
        ("entrance:///9223372036854775807/results/_12.dolphin", ResultSetPath(TASK_ID_MAX, 12)),
    ],
)
def test_the_names(text: str, path: JobPath) -> None:
    assert paths.parse(text) == path


def test_a_result_set_knows_its_name_and_its_place() -> None:
    path = ResultSetPath(7, 3)
    assert path.name == "_3.dolphin"
    assert str(path.parent) == "entrance:///7/results"


@pytest.mark.parametrize("text", ["", " ", "\t\n", "\u2003"])
def test_an_empty_path_is_told_so(text: str) -> None:
    with pytest.raises(errors.InvalidRequest) as told:
        paths.parse(text)
    assert told.value.err_code == 80004


@pytest.mark.parametrize(
    "text",
    [
        "/etc/passwd",
        "file:///etc/passwd",
        "file:///7/log",
        "hdfs:///7/log",
        "http://127.0.0.1/7/log",
        "entrance://7/log",
        "entrance:/7/log",
        "entrance:////7/log",
        "entrance://host/7/log",
        "ENTRANCE:///7/log",
        "entrance:///7",
        "entrance:///",
        "entrance:///7/",
        "entrance:///7/log/",
        "entrance:///7/LOG",
        "entrance:///7/log.idx",
        "entrance:///7/../8/log",
        "entrance:///../../etc/passwd",
        "entrance:///7/results/../log",
        "entrance:///7/results/..",
        "entrance:///7/results/",
        "entrance:///7/results/0.parquet",
        "entrance:///7/results/_0.dolphin/",
        "entrance:///7/results/_00.dolphin",
        "entrance:///7/results/_-1.dolphin",
        "entrance:///7/results/_2147483648.dolphin",
        "entrance:///7/results/_0xdolphin",
        "entrance:///07/log",
        "entrance:///0/log",
        "entrance:///-7/log",
        "entrance:///+7/log",
        "entrance:///9223372036854775808/log",
        "entrance:///7/log\n",
        "entrance:///7/log\0",
        "entrance:///7/log\0.txt",
        " entrance:///7/log",
        "entrance:///7\\log",
        "entrance:///7%2Flog",
        "entrance:///7/%6Cog",
        "entrance:///%37/log",
        "entrance:///7/results/%2e%2e/log",
        "entrance:///7/results/%252e%252e/log",
        "entrance:///7/log?x=1",
        "entrance:///7/log#x",
        "entrance:///\uff17/log",
        "entrance:///\u0667/log",
        "entrance:///7\uff0flog",
        "entrance:///7/l\u03bfg",  # a Greek omicron
        "entrance:///7/results/_²\uff0edolphin",
        "\u202eentrance:///7/log",
        "x" * 10_000,
        "entrance:///" + "7" * 10_000 + "/log",
        "entrance:///7/" + "../" * 3_000 + "log",
        "../" * 3_333,
    ],
)
def test_a_trick_is_no_name(text: str) -> None:
    with pytest.raises(errors.PermissionDenied) as told:
        paths.parse(text)
    assert told.value.err_code == 80010
    assert len(told.value.message) < 1_000
    assert "\n" not in told.value.message


@given(st.lists(PIECES, max_size=12).map("".join))
@example("entrance:///7/log")
def test_pieces_of_tricks_are_the_one_spelling_or_refused(text: str) -> None:
    assert_only_the_one_spelling(text)


@given(st.text(max_size=200))
def test_any_text_is_the_one_spelling_or_refused(text: str) -> None:
    assert_only_the_one_spelling(text)


@given(NAMES, st.data())
def test_a_name_with_one_character_changed_is_another_name_or_none(
    path: JobPath, data: st.DataObject
) -> None:
    text = str(path)
    place = data.draw(st.integers(0, len(text)))
    changed = text[:place] + data.draw(st.characters()) + text[place + 1 :]
    assert_only_the_one_spelling(changed)


def assert_only_the_one_spelling(text: str) -> None:
    with contextlib.suppress(errors.InvalidRequest, errors.PermissionDenied):
        path = paths.parse(text)
        assert str(path) == text
        assert text.isascii()
