"""The two forms of a submit body: the labels form, and the old one that is turned into it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from entrance_gateway.errors import wrong_field

# A caller's names for fields, where they differ from those of the labels form.
Spelling: TypeAlias = Mapping[str, str]

AS_IN_PROTO: Spelling = {}
_CODE, _ENGINE, _CREATOR = _OLD_FORM = (
    "executionCode",
    "executeApplicationName",
    "requestApplicationName",
)
_RUN_TYPE = "runType"
_OLD_SPELLING: Spelling = {
    "executionContent.code": _CODE,
    "executionContent.runType": _RUN_TYPE,
    "labels.engineType": _ENGINE,
    "labels.userCreator": _CREATOR,
}


def labels_form(body: Mapping[str, Any]) -> tuple[dict[str, Any], Spelling]:
    """A submit body in the labels form; one that has that form already stays as it is.

    Raises:
        Refusal: a field that only the old form has is not a text.
    """
    has_content = body.get("executionContent") is not None
    if has_content or not any(name in body for name in _OLD_FORM):
        return dict(body), AS_IN_PROTO
    content = {"code": _text(body, _CODE), "runType": _text(body, _RUN_TYPE) or "sql"}
    own = {
        "engineType": _text(body, _ENGINE),
        "creator": _text(body, _CREATOR) or "IDE",
        "formatCode": body.get("formatCode"),
    }
    given = body.get("labels")
    changed = {**body, "executionContent": content, "labels": _extended(own, given)}
    return changed, _without_labels(given)


def _text(body: Mapping[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is None or isinstance(value, str):
        return value
    raise wrong_field(name, "must be a text")


def _extended(own: dict[str, Any], given: Any) -> Any:
    """Own entries under the given ones; what is not an object stays, to be refused by its name."""
    if given is None:
        return own
    return {**own, **given} if isinstance(given, dict) else given


def _without_labels(given: Any) -> Spelling:
    """The old names, but for labels that the caller gives as such."""
    own = given if isinstance(given, dict) else {}
    names = _OLD_SPELLING.items()
    return {new: old for new, old in names if new.removeprefix("labels.") not in own}
