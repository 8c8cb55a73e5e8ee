"""Tokens that lead from page to page."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrance_server.domain import errors
from entrance_server.service import page_tokens


@given(st.integers(0, 2**63 - 1), st.text())
def test_a_token_leads_back_to_its_position(position: int, query: str) -> None:
    assert page_tokens.decode(page_tokens.encode(position, query), query, first=0) == position


def test_no_token_is_the_first_page() -> None:
    assert page_tokens.decode("", "query", first=7) == 7


def test_the_token_of_another_query_is_refused() -> None:
    token = page_tokens.encode(5, {"user": "alice"})
    with pytest.raises(errors.InvalidRequest, match="not one of this query"):
        page_tokens.decode(token, {"user": "bob"}, first=0)


@given(st.text(min_size=1), st.text())
def test_a_token_leads_back_to_a_text(position: str, query: str) -> None:
    token = page_tokens.encode_text(position, query)
    assert page_tokens.decode_text(token, query) == position


def test_a_position_that_no_store_can_hold_is_refused() -> None:
    token = page_tokens.encode(2**63, "query")
    with pytest.raises(errors.InvalidRequest):
        page_tokens.decode(token, "query", first=0)


@given(st.text(min_size=1))
def test_a_forged_token_is_refused(token: str) -> None:
    with pytest.raises(errors.InvalidRequest):
        page_tokens.decode(token, "query", first=0)


def test_a_page_size_has_a_default_and_a_limit() -> None:
    assert page_tokens.size(0, default=50, most=1000) == 50
    assert page_tokens.size(7, default=50, most=1000) == 7
    assert page_tokens.size(5000, default=50, most=1000) == 1000


def test_a_negative_page_size_is_refused() -> None:
    with pytest.raises(errors.InvalidRequest, match="pageSize is -1"):
        page_tokens.size(-1, default=50, most=1000)
