"""What the command shows on a terminal: colours, a bar, and nothing that harms."""

from __future__ import annotations

import re

import pytest

from entrance.v1 import entrance_pb2 as pb
from tests.contract.cli.terminal import TerminalCommand
from tests.contract.client.fake_service import FakeService

COLOR = re.compile(r"\x1b\[[0-9;]*3[0-9]")


def test_a_followed_log_has_the_colours_of_its_levels_above_a_bar(
    entrance: TerminalCommand, service: FakeService
) -> None:
    code = "info one\nerror two\nwarn three\nhang"
    with entrance.on_terminal("submit", "-f", "-e", code, "--engine", "shell") as terminal:
        terminal.wait_for("━━━━")
        terminal.wait_for("Running")
        terminal.wait_for("three")
        service.end(1, pb.JOB_STATUS_SUCCEED)
        assert terminal.wait() == 0

    assert "one\r\n" in terminal.shown
    assert "\x1b[31mtwo\x1b[0m" in terminal.shown
    assert "\x1b[33mthree\x1b[0m" in terminal.shown
    assert "\x1b[32mjob 1 ended as Succeed" in terminal.shown
    assert terminal.shown.rindex("\x1b[?25h") > terminal.shown.rindex("\x1b[?25l")


def test_control_codes_of_a_job_do_nothing_to_the_terminal(
    entrance: TerminalCommand, service: FakeService
) -> None:
    service.create("info a\x1b[2Jb\x07\x1b]0;title\x07 \x1b[35mpurple\x1b[0m")

    with entrance.on_terminal("log", "1") as terminal:
        assert terminal.wait() == 0

    assert "a␛[2Jb␇␛]0;title␇" in terminal.shown
    assert "\x1b[35mpurple\x1b[0m" in terminal.shown


@pytest.mark.parametrize(("option", "variable"), [(["--no-color"], ""), ([], "1")])
def test_colours_can_be_turned_off(
    entrance: TerminalCommand, service: FakeService, option: list[str], variable: str
) -> None:
    service.create("error one\ninfo \x1b[35mpurple\nfail two")

    with entrance.on_terminal("log", "-f", "1", *option, NO_COLOR=variable) as terminal:
        assert terminal.wait() == 1

    assert "purple" in terminal.shown
    assert not COLOR.search(terminal.shown)


def test_ctrl_c_takes_the_bar_away_and_leaves_the_job(
    entrance: TerminalCommand, service: FakeService
) -> None:
    code = "info one\nhang"
    with entrance.on_terminal("submit", "-f", "-e", code, "--engine", "shell") as terminal:
        terminal.wait_for("one\r\n")
        terminal.press(b"\x03")
        assert terminal.wait() == 130

    assert "detached; the job goes on. entrance log -f 1 to come back" in terminal.shown
    assert terminal.shown.rindex("\x1b[?25h") > terminal.shown.rindex("\x1b[?25l")
    assert service.jobs[1].record.status == pb.JOB_STATUS_RUNNING


def test_a_dumb_terminal_gets_plain_lines(entrance: TerminalCommand, service: FakeService) -> None:
    service.create("error one")

    with entrance.on_terminal("log", "-f", "1", TERM="dumb") as terminal:
        assert terminal.wait() == 0

    assert terminal.shown.startswith("one\r\njob 1 ended as Succeed")
    assert "\x1b" not in terminal.shown


def test_binary_is_not_written_to_a_terminal(
    entrance: TerminalCommand, service: FakeService
) -> None:
    service.create("table")

    with entrance.on_terminal("result", "1", "--format", "parquet") as terminal:
        assert terminal.wait() == 2

    assert "save it by -o FILE or pipe it" in terminal.shown


def test_columns_without_room_are_counted(entrance: TerminalCommand, service: FakeService) -> None:
    service.create("table")

    with entrance.on_terminal("result", "1", columns=40) as terminal:
        assert terminal.wait() == 0

    assert "people" in terminal.shown
    assert "tags" not in terminal.shown
    assert "3 of 5 columns shown; --format csv gives all" in terminal.shown
