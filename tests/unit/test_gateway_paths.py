"""How paths are told apart."""

from __future__ import annotations

import pytest

from entrance_gateway.paths import PathTemplate, method_of, segments_of

STATUS = PathTemplate.parse("/entrance/{id}/status")


def test_a_variable_takes_one_segment() -> None:
    assert STATUS.match(("entrance", "7", "status")) == {"id": "7"}
    assert STATUS.match(("entrance", "7", "8", "status")) is None


@pytest.mark.parametrize(
    "segments",
    [("entrance", "", "status"), ("entrance", "7", "log"), ("entrance", "7"), ("", "7", "status")],
)
def test_another_path_does_not_match(segments: tuple[str, ...]) -> None:
    assert STATUS.match(segments) is None


def test_a_literal_is_tried_before_a_variable_at_its_place() -> None:
    literal, variable = PathTemplate.parse("/e/jobs/x"), PathTemplate.parse("/e/{id}/x")
    assert sorted([variable, literal], key=lambda path: path.rank) == [literal, variable]


@pytest.mark.parametrize(
    "text", ["entrance", "/a/{b=*}", "/a/**", "/a/{b}:kill", "/a/{B}", "/a//b"]
)
def test_a_template_of_another_kind_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"path"):
        PathTemplate.parse(text)


@pytest.mark.parametrize(
    ("raw", "segments"),
    [
        (b"/a/b", ("a", "b")),
        (b"/a%2Fb/c", ("a/b", "c")),
        (b"/%00%0A/x", ("\0\n", "x")),
        (b"/%C3%A4", ("ä",)),
        (b"/%FF", ("\ufffd",)),
        (b"/%", ("%",)),
        (b"/a/", ("a", "")),
    ],
)
def test_each_segment_is_decoded_by_itself(raw: bytes, segments: tuple[str, ...]) -> None:
    assert segments_of({"raw_path": raw, "path": "unused"}) == segments


def test_an_undecoded_path_may_be_missing() -> None:
    assert segments_of({"path": "/a/ä"}) == ("a", "ä")


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/api/rest_j/v1/entrance/execute", "/api/entrance/execute"),
        ("/api/rest_j/v1/entrance/7/status", "/api/entrance/7/status"),
        ("/api/rest_j/v1/jobhistory/7/get", "/api/rest_j/v1/jobhistory/7/get"),
        ("/api/rest_j/v1/entrance", "/api/rest_j/v1/entrance"),
        ("/health", "/health"),
    ],
)
def test_an_operation_on_jobs_is_named_under_the_documented_root_and_any_other_by_its_path(
    path: str, method: str
) -> None:
    assert method_of(path) == method
