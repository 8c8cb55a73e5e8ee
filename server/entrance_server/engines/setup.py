"""What a session is opened with: its directory, its environment, the settings of its engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from entrance_server.engines.failures import SessionRefused
from entrance_server.engines.parameters import ENVIRONMENT, RAY, WORKING_DIRECTORY, is_allowed


@dataclass(frozen=True, slots=True)
class Setup:
    """How a session is opened; `options` are those that the engine itself takes."""

    working_directory: Path
    environment: Mapping[str, str]
    options: Mapping[str, str]


def set_up(
    options: Mapping[str, str],
    *,
    own_directory: Path,
    environment: Mapping[str, str],
    fixed_environment: Mapping[str, str],
    allowed: Sequence[Path],
) -> Setup:
    """Makes what settings ask for. Blocks.

    Args:
        options: The startup settings, which were checked.
        own_directory: The session's own directory.
        environment: What every session's environment has, unless a setting says otherwise.
        fixed_environment: What it has whatever a setting says.
        allowed: Directories in which sessions may work beside their own.

    Raises:
        SessionRefused: the working directory is not there or not allowed.
    """
    variables = {
        name.removeprefix(ENVIRONMENT): text
        for name, text in options.items()
        if name.startswith(ENVIRONMENT)
    }
    return Setup(
        _directory(options.get(WORKING_DIRECTORY, "."), own_directory, allowed),
        {**environment, **variables, **fixed_environment},
        {
            name: text
            for name, text in options.items()
            if name != WORKING_DIRECTORY and not name.startswith((ENVIRONMENT, RAY))
        },
    )


def _directory(text: str, own: Path, allowed: Sequence[Path]) -> Path:
    path = Path(text or ".")
    if path.is_absolute():
        # a symbolic link may lead elsewhere
        real = path.resolve()
        if not is_allowed(real, [directory.resolve() for directory in allowed]):
            raise SessionRefused(f"the working directory {path} is not in an allowed directory")
        if not real.is_dir():
            raise SessionRefused(f"the working directory {path} is not there")
        return real
    directory = own / path
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise SessionRefused(
            f"the working directory {path} can't be made: {error.strerror}"
        ) from None
    return directory
