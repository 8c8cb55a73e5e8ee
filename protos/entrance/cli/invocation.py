"""One run of the command line: the options that every command takes, and what follows from them."""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from entrance.cli import problems
from entrance.cli.exits import ExitCode
from entrance.cli.output import Output

if TYPE_CHECKING:
    from entrance.client import AsyncClient, Client, ClientOptions
    from entrance.client.discovery import Access
    from entrance.tls import TlsFiles

_PANEL = "Options of every command"


@dataclass(frozen=True)
class Invocation:
    """How this run reaches the service and shows what it answers."""

    target: str | None = None
    token: str | None = None
    token_file: Path | None = None
    tls: bool = False
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    insecure: bool = False
    json: bool = False
    no_color: bool = False

    def overlaid(self, over: Invocation) -> Invocation:
        """These options, with those that are given in `over` in their place."""
        names = [field.name for field in fields(self)]
        return replace(self, **{name: getattr(over, name) for name in names if getattr(over, name)})

    @cached_property
    def output(self) -> Output:
        """Where to write."""
        return Output(json=self.json, color=not self.no_color)

    @cached_property
    def access(self) -> Access:
        """Where the service is, and the token for it."""
        from entrance.client import discovery

        token = self.token or self._token_of_file()
        return discovery.discover(self.target, token, tls=self._tls_files(), insecure=self.insecure)

    def client(self) -> Client:
        """A client that waits."""
        from entrance.client import Client

        return Client(self.access.target, **self._options())

    def async_client(self) -> AsyncClient:
        """A client for asyncio."""
        from entrance.client import AsyncClient

        return AsyncClient(self.access.target, **self._options())

    def _options(self) -> ClientOptions:
        from entrance.client import core

        return {"token": self.access.token, "credentials": core.credentials_of(self.access)}

    def _tls_files(self) -> TlsFiles | None:
        if not (self.tls or self.tls_ca or self.tls_cert or self.tls_key):
            return None
        from entrance.tls import TlsError, TlsFiles

        try:
            return TlsFiles(self.tls_cert, self.tls_key, self.tls_ca)
        except TlsError as error:
            raise problems.Problem(str(error)) from None

    def _token_of_file(self) -> str | None:
        if self.token_file is None:
            return None
        from entrance.client import discovery

        token = discovery.read_token(self.token_file)
        if not token:
            raise problems.Problem(
                f"there is no token in {self.token_file}; name another --token-file"
            )
        return token


def options(
    target: Annotated[
        str | None,
        typer.Option(
            help="Where the service listens; several servers with commas. Default: "
            "$ENTRANCE_TARGET, else what `entrance serve` wrote into the data directory, else "
            "127.0.0.1:9104.",
            metavar="HOST:PORT",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            help="The caller's token; other users of this machine can see it, so prefer "
            "$ENTRANCE_TOKEN. Default: for a service on this machine the administrator's, from the "
            "data directory.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(help="A file that holds the token.", metavar="FILE", rich_help_panel=_PANEL),
    ] = None,
    tls: Annotated[
        bool,
        typer.Option(
            "--tls",
            help="Call by TLS and trust the system's authorities. Default: $ENTRANCE_CLIENT_TLS.",
            rich_help_panel=_PANEL,
        ),
    ] = False,
    tls_ca: Annotated[
        Path | None,
        typer.Option(
            help="Call by TLS and trust the authorities in this file alone. Default: "
            "$ENTRANCE_CLIENT_TLS_CA.",
            metavar="FILE",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    tls_cert: Annotated[
        Path | None,
        typer.Option(
            help="The caller's own certificate, for a service that asks for one. Default: "
            "$ENTRANCE_CLIENT_TLS_CERT.",
            metavar="FILE",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    tls_key: Annotated[
        Path | None,
        typer.Option(
            help="The key of that certificate. Default: $ENTRANCE_CLIENT_TLS_KEY.",
            metavar="FILE",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    insecure: Annotated[
        bool,
        typer.Option(
            "--insecure",
            help="Send the token to another machine without TLS. Default: "
            "$ENTRANCE_CLIENT_INSECURE.",
            rich_help_panel=_PANEL,
        ),
    ] = False,
    json: Annotated[
        bool,
        typer.Option("--json", help="Write objects, one to a line.", rich_help_panel=_PANEL),
    ] = False,
    no_color: Annotated[
        bool,
        typer.Option("--no-color", help="No colours, as with $NO_COLOR.", rich_help_panel=_PANEL),
    ] = False,
) -> Invocation:
    """The options of every command; this signature is the one place where they stand."""
    return Invocation(
        target=target,
        token=token,
        token_file=token_file,
        tls=tls,
        tls_ca=tls_ca,
        tls_cert=tls_cert,
        tls_key=tls_key,
        insecure=insecure,
        json=json,
        no_color=no_color,
    )


_OPTIONS = inspect.signature(options, eval_str=True).parameters
_OUTPUT_OPTIONS = {name: _OPTIONS[name] for name in ("json", "no_color")}


def add(
    app: typer.Typer, name: str, run: Callable[..., ExitCode | None], *, calls: bool = True
) -> None:
    """Makes a function a command that also takes the options of every command.

    Args:
        app: Where the command is added.
        name: The command's name.
        run: Gets the Invocation first, then its own parameters. What it raises is told on stderr;
            its docstring is the help page.
        calls: Whether it calls the service, and so takes the options that say which one.
    """
    shared = _OPTIONS if calls else _OUTPUT_OPTIONS

    def call(ctx: typer.Context, **given: Any) -> None:
        over = options(**{key: given.pop(key) for key in shared})
        outer = ctx.find_object(Invocation) or Invocation()
        raise typer.Exit(_guarded(functools.partial(run, **given), outer.overlaid(over)))

    own = list(inspect.signature(run, eval_str=True).parameters.values())[1:]
    _sign(call, [*own, *shared.values()])
    app.command(name, help=run.__doc__)(call)


def _tell_version(asked: bool) -> None:
    if asked:
        from importlib import metadata  # here, since it takes a tenth of the time of help

        print("entrance", metadata.version("entrance"))
        raise typer.Exit


_Version = Annotated[
    bool,
    typer.Option("--version", callback=_tell_version, is_eager=True, help="Tell the version."),
]


def root(app: typer.Typer, help: str) -> None:
    """Lets the options of every command also stand before the command."""

    def call(ctx: typer.Context, version: bool, **given: Any) -> None:
        ctx.obj = options(**given)

    version = inspect.Parameter(
        "version", inspect.Parameter.KEYWORD_ONLY, annotation=_Version, default=False
    )
    _sign(call, [version, *_OPTIONS.values()])
    app.callback(help=help)(call)


def _sign(call: Callable[..., None], parameters: Iterable[inspect.Parameter]) -> None:
    """Gives a function the signature that typer reads."""
    kind = inspect.Parameter.KEYWORD_ONLY
    context = inspect.Parameter("ctx", kind, annotation=typer.Context)
    named = [context, *(each.replace(kind=kind) for each in parameters)]
    call.__signature__ = inspect.Signature(named)  # type: ignore[attr-defined]
    call.__annotations__ = {}


def _guarded(run: Callable[[Invocation], ExitCode | None], invocation: Invocation) -> int:
    try:
        code = run(invocation) or ExitCode.SUCCEED
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # the interpreter would complain when it flushes at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.PIPE_CLOSED
    except Exception as error:
        return problems.report(error, invocation)
