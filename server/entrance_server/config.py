"""Every setting of the server, read once and passed down as typed values."""

from __future__ import annotations

import os
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, IPvAnyNetwork, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from entrance import variables
from entrance_server.archive import Place
from entrance_server.domain.addresses import LOOPBACK
from entrance_server.domain.run_policy import RETRIES_MOST, RunPolicies, RunPolicy
from entrance_server.engines.connections import Connection
from entrance_server.engines.isolation import Level, Limits, Wanted
from entrance_server.preprocess import PreprocessSettings
from entrance_server.scheduling import GroupLimits, GroupRule, LimitRules
from entrance_server.service.archivist import ArchiveRules
from entrance_server.service.retention import RetentionRules
from entrance_server.service.retries import ENGINE_DIED, ENGINE_LOST, ENGINE_REFUSED, Retries

PREFIX = "ENTRANCE_"  # of the variables of the environment
CONFIG_VARIABLE = "ENTRANCE_CONFIG"  # names the file of settings

PositiveInt = Annotated[int, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0)]


def default_data_dir() -> Path:
    """`$XDG_DATA_HOME/entrance`, or `~/.local/share/entrance`."""
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "entrance"


class ServerSettings(BaseSettings):
    """Settings of one server; each is also read from `ENTRANCE_<NAME>` in the environment."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        frozen=True,
        use_attribute_docstrings=True,
    )

    data_dir: Path = Field(default_factory=default_data_dir)
    """Where the database, logs, results and the administrator's token are."""
    shared_dir: Path | None = None
    """Where logs, results and `login.key` are, for servers that share a store: one directory that
    all of them mount, as the same user; unset means `data_dir`."""
    host: str = "127.0.0.1"
    """The address to listen on."""
    port: Annotated[int, Field(ge=0, le=65535)] = 9104
    """The gRPC port; 0 takes a free one."""
    instance: str = ""
    """The instance name in execIDs; empty means `<host name>:<port>` of the first start."""
    tls_cert: Path | None = None
    """The server's certificate, followed by those of the authorities in between, as PEM."""
    tls_key: Path | None = None
    """The key of the certificate, as PEM, not encrypted."""
    tls_client_ca: Path | None = None
    """Authorities, as PEM, by one of which every caller's certificate must be issued."""
    allow_insecure: bool = False
    """Listen beyond this machine without TLS all the same."""
    local_socket: Path | None = None
    """A Unix socket for calls of the server's own user, such as those of a gateway beside it."""
    advertise: str = ""
    """`host:port` at which the other servers of the store reach this one; empty means `host` and
    `port`, with the machine's name where it listens at all of its addresses."""
    peer_tls_ca: Path | None = None
    """Authorities, as PEM, that the other servers of the store are certified by, when servers have
    a certificate; unset means those of the system."""
    store_url: SecretStr = SecretStr("")
    """The store: `postgresql://user:password@host:port/database`, which several servers may share,
    or `sqlite:////path/to/file`; empty means SQLite in the data directory."""
    store_wait: Annotated[float, Field(ge=0)] = 10.0
    """Seconds that a server that starts waits for a store that does not answer."""
    lease_seconds: Annotated[float, Field(ge=2)] = 10.0
    """Seconds after which the other servers of a store take over from one that does not answer;
    of no meaning with SQLite. The same on all of them."""

    engines: tuple[str, ...] = ()
    """Engine types to offer; empty means all that are installed."""
    engine_aliases: dict[str, str] = Field(default_factory=dict)
    """Further names of engine types, such as `{"hive": "duckdb"}`."""
    engine_defaults: dict[str, dict[str, str]] = Field(default_factory=dict)
    """Startup settings by engine, for sessions whose jobs say nothing else."""
    connections: dict[str, Connection] = Field(default_factory=dict)
    """Databases by the names that jobs call them by; see "Databases" in running-jobs.md."""
    working_directories: tuple[Path, ...] = ()
    """Directories in which sessions may work, beside their own ones."""
    isolation: Level = "limits"
    """What keeps user code apart: `none`; `limits` of what it uses; `user`, another account of the
    machine; `sandbox`, its own view of the machine."""
    isolation_limits: Limits = Field(default_factory=Limits)
    """What user code may use, at every level but `none`."""
    run_as: str = ""
    """The account of the machine that user code runs as, when the server runs as root."""
    user_map: dict[str, str] = Field(default_factory=dict)
    """Accounts of the machine for users of the service; others have `run_as`, or none."""
    sessions_dir: Path | None = None
    """Where sessions have their directories; unset means in the data directory, or, at the level
    `user`, beside it, with `-sessions` after its name."""
    sandbox_network: bool = True
    """Whether code in a sandbox reaches the network."""
    sandbox_paths: tuple[Path, ...] = ()
    """Files and directories that code in a sandbox may read, beside the system's programs."""
    bwrap: Path | None = None
    """The program bubblewrap; unset means that of the package, or the one in PATH."""
    cgroup: Path | None = None
    """A cgroup (version 2) below which each session has its own; unset means one that is found."""
    python_executable: str = ""
    """The Python of runners and of Python jobs; empty means the server's own."""

    launcher: Literal["local", "ray"] = "local"
    """Where runners are: `local`, on the server's machine, or `ray`, on the nodes of a Ray cluster;
    see "Ray" in operating.md."""
    ray_address: str = "auto"
    """The Ray cluster: `host:port` of its head when the server's machine is one of its nodes,
    `ray://host:port` else; `auto` finds the one that this machine is a node of."""

    max_code_bytes: PositiveInt = 1024 * 1024
    """The largest code that a submit may carry."""
    group_running: PositiveInt = 30
    """Jobs of one group (user, creator, engine type) that run at once."""
    group_waiting: PositiveInt = 1_000
    """Jobs of one group that wait at most."""
    group_limits: tuple[GroupRule, ...] = ()
    """Other limits for some groups; the first rule that fits a group counts."""
    max_running: PositiveInt = 32
    """Jobs of all groups that run at once."""
    max_sessions: PositiveInt = 64
    """Engine sessions, busy and idle; the oldest idle one is closed when another is needed."""
    warm_runners: Annotated[int, Field(ge=0)] = 1
    """Runner processes that wait, started, for a session."""
    session_idle_timeout: Seconds = 1_800.0
    """Seconds after which an idle session is closed, and its variables are gone."""
    session_open_timeout: Seconds = 60.0
    """Seconds that an engine may take to start."""
    orphan_timeout: Seconds = 600.0
    """Seconds after which a runner that no server asks for ends by itself."""
    kill_grace: Seconds = 3.0
    """Seconds that a killed job has to end by itself, before its processes are ended by force."""

    job_running_timeout: Seconds | None = None
    """Seconds that a try of a job may run, unless its label jobRunningTimeout says otherwise."""
    job_queuing_timeout: Seconds | None = None
    """Seconds that a job may wait to run, unless its label jobQueuingTimeout says otherwise."""
    retry_num: Annotated[int, Field(ge=0, le=RETRIES_MOST)] = 0
    """Tries of a job beyond the first, unless its label retryNum says otherwise."""
    retry_error_codes: frozenset[int] = frozenset({ENGINE_DIED, ENGINE_LOST, ENGINE_REFUSED})
    """Errors after which there is another try: by default those of an engine that ended or did not
    start."""
    retry_delay: Seconds = 5.0
    """Seconds between the first try and the second; the delay before each further one doubles."""
    retry_delay_most: Seconds = 300.0
    """Seconds between two tries at most."""

    max_log_bytes: PositiveInt = 10 * 1024**3
    """Bytes of a job's log; what its code prints beyond is dropped, and a line says so."""
    max_result_bytes: PositiveInt = 10 * 1024**3
    """Bytes of all result sets of a job; one that goes beyond is not kept, and a line says so."""
    min_free_bytes: Annotated[int, Field(ge=0)] = 1024**3
    """Bytes that the disk of logs and results keeps for the jobs that there are: with less, new
    ones are refused."""

    audit_bytes: PositiveInt = 64 * 1024**2
    """Bytes of `audit.log` in the data directory, with which it becomes `audit.log.1`."""
    audit_files: Annotated[int, Field(ge=0)] = 10
    """How many such older files are kept."""
    retention_age: Seconds | None = None
    """Seconds after a job's end when its log and results are removed; unset keeps them."""
    retention_bytes: PositiveInt | None = None
    """Bytes that logs and results of ended jobs may have in all, before those of the job that ended
    longest ago are removed; unset is without a limit."""
    retention_spared: Annotated[float, Field(ge=0)] = 600.0
    """Seconds after a job's end in which `retention_bytes` does not touch it."""
    history_age: Seconds | None = None
    """Seconds after a job's end when the job itself is forgotten; unset keeps it."""
    retention_interval: Seconds = 60.0
    """Seconds between two looks for what is to be removed, or to be brought to object storage."""

    archive_url: str = ""
    """Object storage for logs and results of ended jobs, as `s3://bucket/prefix`; empty is none.
    All servers of a store have the same."""
    archive_endpoint: str = ""
    """The URL of a service with the interface of S3; empty means that of AWS, or the one in
    `AWS_ENDPOINT_URL`."""
    archive_region: str = ""
    """The region of the bucket; empty means the one in `AWS_REGION`."""
    archive_access_key_id: str = ""
    """The id of the key for object storage; empty means what AWS's variables of the environment, or
    the role of the machine, give."""
    archive_secret_access_key: SecretStr | None = None
    """The secret of that key."""
    archive_after: Annotated[float, Field(ge=0)] = 60.0
    """Seconds after a job's end, at least, when its log and results are brought there."""
    archive_local_age: Annotated[float, Field(ge=0)] | None = None
    """Seconds after a job's end when what is there is removed here; unset is when the disk has less
    than twice `min_free_bytes` left, and then it is removed in any case."""
    archive_cache_bytes: PositiveInt = 10 * 1024**3
    """Bytes of `cache` in the data directory, where copies of what is only there are kept while
    they are read; a larger file is kept alone."""

    preprocess: PreprocessSettings = PreprocessSettings()
    """What is done to the code before it runs."""

    login_idle_timeout: Annotated[float, Field(ge=60)] = 21_600.0
    """Seconds without a call after which a login's session expires."""
    login_attempts: PositiveInt = 10
    """Wrong logins with one user name within `login_window`, after which it has to wait."""
    login_attempts_per_address: PositiveInt = 100
    """Wrong logins from one address within `login_window`, after which it has to wait."""
    login_window: Seconds = 300.0
    """Seconds in which wrong logins are counted."""
    trusted_gateways: tuple[IPvAnyNetwork, ...] = LOOPBACK
    """Networks of gateways, whose word is taken for the address of a caller; who calls at
    `local_socket` is believed too."""

    open_page_rows: PositiveInt = 5_000
    """Rows that openFile gives at once, unless fewer are asked for."""
    open_page_bytes: PositiveInt = 16 * 1024 * 1024
    """Text that openFile gives at once; a page with more is refused, or not displayed."""
    open_cell_characters: PositiveInt = 10_000
    """Characters of a cell that openFile gives for display."""
    open_log_bytes: Annotated[int, Field(ge=128 * 1024)] = 8 * 1024 * 1024
    """Text that openLog gives; of a longer log it is the end."""
    export_rows: PositiveInt = 5_000
    """Rows that resultsetToExcel gives unless it is asked for more."""

    max_connections: PositiveInt = 4_000
    """Connections at once, at each address that is listened on; further ones are closed at once."""
    max_calls: PositiveInt = 20_000
    """Calls at once, streams included; further ones are RESOURCE_EXHAUSTED."""
    max_streams_per_user: PositiveInt = 1_000
    """Streams (log, progress, watch, results) that one user may have open at once."""
    shutdown_grace: Seconds = 5.0
    """Seconds that calls have to finish when the server stops."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least serious lines of the server's own log; `debug` has one for each call."""

    @property
    def is_shared(self) -> bool:
        """Whether other servers may use the store too."""
        return not self.database_url.startswith("sqlite")

    @property
    def files_dir(self) -> Path:
        """Where logs and results are."""
        return self.shared_dir or self.data_dir

    @property
    def wanted_isolation(self) -> Wanted:
        """What is to keep user code apart."""
        return Wanted(
            level=self.isolation,
            limits=self.isolation_limits,
            run_as=self.run_as,
            user_map=self.user_map,
            bwrap=self.bwrap,
            network=self.sandbox_network,
            readable=self.sandbox_paths,
            cgroup=self.cgroup,
        )

    @property
    def database_url(self) -> str:
        """The store's URL, with the default filled in."""
        return self.store_url.get_secret_value() or f"sqlite:///{self.data_dir / 'entrance.db'}"

    @property
    def limit_rules(self) -> LimitRules:
        """How many jobs of each group may run and wait."""
        default = GroupLimits(self.group_running, self.group_waiting)
        return LimitRules(default, self.group_limits)

    @property
    def run_policies(self) -> RunPolicies:
        """How jobs are run whose labels say nothing else."""
        return RunPolicies(
            RunPolicy(
                running_timeout=_duration(self.job_running_timeout),
                queuing_timeout=_duration(self.job_queuing_timeout),
                retries=self.retry_num,
            )
        )

    @property
    def retention(self) -> RetentionRules:
        """How long what ended jobs left behind is kept."""
        return RetentionRules(
            age=_duration(self.retention_age),
            size=self.retention_bytes,
            spared=timedelta(seconds=self.retention_spared),
            history_age=_duration(self.history_age),
            interval=timedelta(seconds=self.retention_interval),
        )

    @property
    def archive(self) -> Place | None:
        """Where logs and results of ended jobs go; None is nowhere."""
        if not self.archive_url:
            return None
        return Place.of(
            self.archive_url,
            endpoint=self.archive_endpoint,
            region=self.archive_region,
            access_key_id=self.archive_access_key_id,
            secret_access_key=self.archive_secret_access_key,
        )

    @property
    def archive_rules(self) -> ArchiveRules:
        """When they go there, and from here."""
        return ArchiveRules(
            after=timedelta(seconds=self.archive_after),
            local_age=_duration(self.archive_local_age),
            interval=timedelta(seconds=self.retention_interval),
        )

    @property
    def retries(self) -> Retries:
        """Which failed tries are followed by another one, and when."""
        return Retries(
            self.retry_error_codes,
            first_delay=timedelta(seconds=self.retry_delay),
            most_delay=timedelta(seconds=self.retry_delay_most),
        )

    @field_validator("archive_url")
    @classmethod
    def _names_a_bucket(cls, url: str) -> str:
        if url:
            Place.of(url)
        return url

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The sources, the strongest first: the command line, the environment, the file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


class ConfigError(Exception):
    """A setting or its file is wrong; the message says what to change."""


def read_settings(file: Path | None = None, **given: Any) -> ServerSettings:
    """The settings of the command line, of the environment and of a file.

    Args:
        file: A TOML file; None means the one that ENTRANCE_CONFIG names, if it names one.
        given: What the command line says; it wins over the environment, and that over the file.

    Raises:
        ConfigError: something in them is wrong.
    """
    named = file or os.environ.get(CONFIG_VARIABLE)
    path = Path(named) if named else None
    if path is not None and not path.is_file():
        raise ConfigError(f"there is no file of settings {path}; name another with --config")

    class WithFile(ServerSettings):
        model_config = SettingsConfigDict(toml_file=path)

    try:
        return WithFile(**given)
    except ValidationError as error:
        raise ConfigError("\n".join(map(_sentence, error.errors()))) from None
    except SettingsError as error:
        raise ConfigError(variables.sentence(error, PREFIX)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        where = f" in {path}" if isinstance(error, ValueError) else ""
        raise ConfigError(f"{error}{where}") from None


def _duration(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)


def _sentence(problem: Any) -> str:
    name = ".".join(map(str, problem["loc"]))
    if problem["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"{name}: there is no such setting"
    return f"{name}: {problem['msg'].removeprefix('Value error, ')}"
