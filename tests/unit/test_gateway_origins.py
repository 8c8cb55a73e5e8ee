"""Whose page sent a request."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from entrance_gateway.errors import Refusal
from entrance_gateway.origins import Origins

HOST = "entrance.example:9001"
OWN = f"http://{HOST}"
HOSTILE = "http://hostile.example"
BROWSER = {"User-Agent": "Mozilla/5.0 (X11)"}


def passes(
    headers: Mapping[str, str],
    *,
    allowed: str = "",
    https: bool = False,
    scheme: str = "http",
    acts: bool = True,
) -> bool:
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    scope = {
        "type": "http",
        "scheme": scheme,
        "server": None,
        "path": "/",
        "query_string": b"",
        "headers": [(b"host", HOST.encode()), *raw],
    }
    try:
        Origins([allowed] if allowed else [], https=https).check(Request(scope), acts=acts)
    except Refusal:
        return False
    return True


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"User-Agent": "python-requests/2"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": OWN},
        {"Origin": OWN.upper()},
        {"Origin": f"https://{HOST}"},
        {"Referer": f"{OWN}/console?a=b"},
    ],
)
def test_programs_and_pages_of_ours_pass(headers: dict[str, str]) -> None:
    assert passes(headers)


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": OWN},
        {"Sec-Fetch-Site": "something new"},
        {"Origin": HOSTILE},
        {"Origin": "null"},
        {"Origin": HOSTILE, "Referer": f"{OWN}/"},
        {"Origin": "http://entrance.example"},
        {"Origin": f"{OWN}.hostile.example"},
        {"Origin": "http://[broken"},
        {"Referer": f"{HOSTILE}/?{OWN}"},
        {"Referer": f"http://{HOST}@hostile.example/"},
    ],
)
@pytest.mark.parametrize("acts", [True, False])
def test_pages_of_other_sites_do_not(headers: dict[str, str], acts: bool) -> None:
    assert not passes(headers | BROWSER, acts=acts)


def test_a_browser_that_hides_its_page_reads_and_does_not_act() -> None:
    assert passes(BROWSER, acts=False)
    assert not passes(BROWSER, acts=True)


@pytest.mark.parametrize("given", [{"https": True}, {"scheme": "https"}])
def test_a_page_without_tls_is_another_site_for_one_with_it(given: dict[str, bool]) -> None:
    assert passes({"Origin": f"https://{HOST}"}, **given)  # type: ignore[arg-type]
    assert not passes({"Origin": OWN}, **given)  # type: ignore[arg-type]


def test_an_allowed_origin_passes_and_its_neighbours_do_not() -> None:
    allowed = "https://console.example"
    assert passes({"Sec-Fetch-Site": "same-site", "Origin": allowed}, allowed=allowed)
    assert passes({"Referer": f"{allowed}/page"}, allowed=allowed)
    assert not passes({"Origin": f"{allowed}:8443"}, allowed=allowed)
    assert not passes({"Origin": "http://console.example"}, allowed=allowed)


@given(st.text(st.characters(codec="latin-1")), st.sampled_from(["Origin", "Referer"]))
def test_no_page_by_chance_is_ours(url: str, header: str) -> None:
    if OWN not in url.lower():
        assert not passes({header: url} | BROWSER)
