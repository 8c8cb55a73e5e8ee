"""Wires the server together and runs it until it is told to stop."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import grpc.aio
import psutil
import structlog
from grpc_health.v1 import health, health_pb2

from entrance.descriptors import allow_descriptors
from entrance.tls import TlsError, TlsFiles, TlsSource
from entrance_server import data_dir as directories
from entrance_server.archive import BucketRefused, BucketUnavailable, Cache
from entrance_server.audit_log import AuditLog
from entrance_server.clock import SteadyClock, kept_clock
from entrance_server.config import ServerSettings
from entrance_server.domain.instances import Instance, Lease
from entrance_server.engines.authority import Authority
from entrance_server.engines.companions import Companions
from entrance_server.engines.connections import Connections
from entrance_server.engines.isolation import IsolationUnavailable, SessionIsolation
from entrance_server.engines.isolation import prepare as prepare_isolation
from entrance_server.engines.launcher import LocalLauncher
from entrance_server.engines.parameters import of_every_session, of_every_session_on_ray
from entrance_server.engines.pool import SessionPool
from entrance_server.engines.ray_launcher import RayLauncher, RayMissing
from entrance_server.engines.registry import EngineRegistry
from entrance_server.engines.runners import Launcher
from entrance_server.logs import LogStore
from entrance_server.machine import boot_id, machine_name
from entrance_server.results import Exports, ResultFiles
from entrance_server.rpc.administration import AdministrationServicer
from entrance_server.rpc.files import FileServicer
from entrance_server.rpc.history import HistoryServicer
from entrance_server.rpc.hops import Seal
from entrance_server.rpc.listen import listen, listen_locally, protection
from entrance_server.rpc.operation import OperationServicer
from entrance_server.rpc.peers import Peers
from entrance_server.rpc.places import Places
from entrance_server.rpc.routing import Routing
from entrance_server.rpc.server import (
    SERVICE,
    Limits,
    Service,
    administration,
    create_server,
    entrance,
    files,
    history,
    operation,
    users,
)
from entrance_server.rpc.servicer import EntranceServicer
from entrance_server.rpc.users import UserServicer
from entrance_server.rpc.yarn import Machine
from entrance_server.scheduling import Scheduler
from entrance_server.service.administration import AdministrationService
from entrance_server.service.admission import Admission
from entrance_server.service.archived import ArchivedFiles
from entrance_server.service.archivist import Archivist
from entrance_server.service.attempts import AttemptLimits, Attempts
from entrance_server.service.auth import Authenticator
from entrance_server.service.background import Background
from entrance_server.service.control import ControlService
from entrance_server.service.disk_guard import DiskGuard
from entrance_server.service.dispatch import Dispatcher
from entrance_server.service.endings import Endings
from entrance_server.service.execution import Executor
from entrance_server.service.files import FileLimits, FileService
from entrance_server.service.grant_watch import GrantWatch
from entrance_server.service.group_places import GroupPlaces
from entrance_server.service.history import HistoryService
from entrance_server.service.intake import Intake
from entrance_server.service.job_log import JobLog
from entrance_server.service.jobs import Jobs
from entrance_server.service.lease import LeaseKeeper, Takeover
from entrance_server.service.leftovers import Leftovers
from entrance_server.service.live import LiveJobs
from entrance_server.service.login import LoginService
from entrance_server.service.login_key import LoginKey
from entrance_server.service.observe import ObserveService
from entrance_server.service.operation import OperationService
from entrance_server.service.passwords import Passwords
from entrance_server.service.recovery import Recovery
from entrance_server.service.requests import RequestParser
from entrance_server.service.results import ResultService
from entrance_server.service.retention import Retention
from entrance_server.service.runs import ActiveRuns
from entrance_server.service.steering import Steering
from entrance_server.service.submit import SubmitService
from entrance_server.service.timeouts import Timeouts
from entrance_server.service.tokens import ADMIN_USER, ensure_administrator
from entrance_server.store import SqlStore
from entrance_server.store.groups import freed_in
from entrance_server.store.listener import MISSED
from entrance_server.store.members import LEFT
from entrance_server.store.port import NameTaken, SchemaTooNew, StoreUnavailable
from entrance_server.store.revocations import revoked_in
from entrance_server.tenure import Tenure

if TYPE_CHECKING:  # it needs the extra `s3`
    from entrance_server.archive.bucket import Bucket

STORE_RETRY = 0.5  # seconds
AUTHORITY_FILE = "runners.pem"
ARCHIVE_CHECK = 20.0  # seconds that object storage has to answer before the server starts without
OTHER_FILES = 1_000  # that a server has open beside its connections, at most

log = structlog.get_logger(__name__)


class StartError(Exception):
    """The server can't start; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers calls."""

    port: int
    instance: str
    tls: bool


@asynccontextmanager
async def running(
    settings: ServerSettings, *, lease_ended: Callable[[], None]
) -> AsyncIterator[Server]:
    """A server from here to the end of the block; runs that go on then are left to the next one.

    Args:
        settings: The server's settings.
        lease_ended: Called, in a thread, when the server may not go on, since others of its store
            may have taken over from it. It must end everything at once.

    Raises:
        StartError, ListenError, DataDirError, StoreUnavailable: it can't start.
    """
    credentials = protection(
        settings.host,
        certificate=settings.tls_cert,
        key=settings.tls_key,
        client_authorities=settings.tls_client_ca,
        allow_insecure=settings.allow_insecure,
    )
    if not allow_descriptors(settings.max_connections + OTHER_FILES):
        log.warning("the limit of open files is lower than max_connections needs")
    async with AsyncExitStack() as stack:
        stack.enter_context(directories.locked(settings.data_dir))
        directories.made(settings.files_dir)
        port = settings.port or _free_port(settings.host)
        instance = directories.instance_name(settings.data_dir, settings.instance, port)
        clock = await stack.enter_async_context(
            kept_clock(settings.data_dir / "clock.json", boot_id=boot_id())
        )
        store = SqlStore(settings.database_url, clock=clock)
        await _open(store, settings.store_wait)
        stack.push_async_callback(store.close)
        tenure = Tenure()
        lease = await _join(stack, store, settings, instance, port, tenure, lease_ended)
        authenticator, identities = await _wire_identities(stack, settings, store, instance, clock)
        live = LiveJobs(clock=clock)
        services, recovery, admission = await _wire_jobs(
            stack, settings, store, instance, clock, live, tenure
        )
        seal, routing = await _wire_routing(stack, settings, store, instance, clock, live)
        audit = await stack.enter_async_context(
            AuditLog(
                settings.data_dir / "audit.log",
                max_bytes=settings.audit_bytes,
                old_files=settings.audit_files,
            )
        )
        status = health.aio.HealthServicer()
        server = create_server(
            [*services, *identities],
            authenticator=authenticator,
            health_servicer=status,
            trusted_gateways=settings.trusted_gateways,
            limits=Limits(
                connections=settings.max_connections,
                concurrent_calls=settings.max_calls,
                streams_per_user=settings.max_streams_per_user,
            ),
            audit=audit,
            seal=seal,
            routing=routing,
        )
        listen(server, settings.host, port, credentials)
        if settings.local_socket is not None:
            listen_locally(server, settings.local_socket)
        await recovery.recover()
        if store.is_shared:
            await _take_over(stack, store, settings, lease, recovery)
        await server.start()
        stack.push_async_callback(_stop, server, status, settings.shutdown_grace)
        stack.callback(admission.stop)
        for service in ("", SERVICE):
            await status.set(service, health_pb2.HealthCheckResponse.SERVING)
        tls = credentials is not None
        log.info("serving", host=settings.host, port=port, tls=tls, instance=instance)
        yield Server(port, instance, tls)


async def _open(store: SqlStore, patience: float) -> None:
    """Opens the store; a shared one may come a little later than its servers.

    Raises:
        StartError: it can't be this release's store.
        StoreUnavailable: it did not answer for so many seconds.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience
    while True:
        try:
            return await store.open()
        except (SchemaTooNew, ValueError) as error:
            raise StartError(str(error)) from None
        except StoreUnavailable as error:
            if not store.is_shared or loop.time() >= deadline:
                raise
            log.warning("waiting for the store", error=str(error))
        await asyncio.sleep(STORE_RETRY)


async def _join(
    stack: AsyncExitStack,
    store: SqlStore,
    settings: ServerSettings,
    instance: str,
    port: int,
    tenure: Tenure,
    lease_ended: Callable[[], None],
) -> Lease:
    """Joins the servers of the store, and keeps the lease until the stack ends.

    Raises:
        StartError: another server has the same name, and renews its lease.
    """
    length = timedelta(seconds=settings.lease_seconds) if store.is_shared else None
    first_holder: Instance | None = None
    while True:
        taken = tenure.now()
        try:
            lease = await store.join(
                instance,
                address=settings.advertise or _address(settings.host, port),
                home=f"{machine_name()}:{settings.data_dir.resolve()}",
                lease=length,
            )
            break
        except NameTaken as refused:
            holder = first_holder = first_holder or refused.holder
            if refused.holder.lease_expire_time != holder.lease_expire_time:
                raise StartError(
                    f"Another server of this store is named {instance} and runs at "
                    f"{refused.holder.address}; give this one another name by ENTRANCE_INSTANCE."
                ) from None
            log.warning("waiting for the end of a lease", instance=instance, at=holder.address)
        await asyncio.sleep(STORE_RETRY)  # it may be the lease of a server that is gone
    if length is not None:
        stack.enter_context(tenure.watched(lease_ended))
        await stack.enter_async_context(
            LeaseKeeper(members=store, lease=lease, length=length, taken=taken, tenure=tenure)
        )
    return lease


async def _take_over(
    stack: AsyncExitStack,
    store: SqlStore,
    settings: ServerSettings,
    lease: Lease,
    recovery: Recovery,
) -> None:
    """Takes over from other servers of the store that are gone, until the stack ends."""
    takeover = Takeover(
        members=store,
        lease=lease,
        interval=timedelta(seconds=settings.lease_seconds / 3),
        inherit=recovery.inherit,
    )
    await stack.enter_async_context(takeover)
    store.hear(lambda text: takeover.look() if text in (LEFT, MISSED) else None)


async def _wire_routing(
    stack: AsyncExitStack,
    settings: ServerSettings,
    store: SqlStore,
    instance: str,
    clock: SteadyClock,
    live: LiveJobs,
) -> tuple[Seal | None, Routing | None]:
    """What lets servers of one store answer for each other's jobs."""
    if not settings.is_shared:
        return None, None
    seal = Seal(await asyncio.to_thread(directories.cluster_key, settings.files_dir))
    source = await asyncio.to_thread(_peer_tls, settings)
    peers = await stack.enter_async_context(
        Peers(instance=instance, owners=store, seal=seal, tls=source)
    )
    places = Places(
        instance=instance,
        owners=store,
        is_here=lambda task_id: live.get(task_id) is not None,
        clock=clock,
    )
    return seal, Routing(places, peers)


def _peer_tls(settings: ServerSettings) -> TlsSource | None:
    """What calls to other servers are protected by: TLS where this one has it too. Blocks."""
    if settings.tls_cert is None:
        return None
    try:
        return TlsSource(TlsFiles(settings.tls_cert, settings.tls_key, settings.peer_tls_ca))
    except TlsError as error:
        raise StartError(f"TLS between servers: {error}.") from None


async def _wire_identities(
    stack: AsyncExitStack,
    settings: ServerSettings,
    store: SqlStore,
    instance: str,
    clock: SteadyClock,
) -> tuple[Authenticator, Sequence[Service]]:
    # each server has a file with a token of its own
    token_id = f"{ADMIN_USER}@{instance}" if settings.is_shared else ADMIN_USER
    await ensure_administrator(store, settings.data_dir, token_id=token_id)
    session_idle = timedelta(seconds=settings.login_idle_timeout)
    authenticator = Authenticator(store, session_idle=session_idle, clock=clock)
    if settings.is_shared:
        watch = await stack.enter_async_context(GrantWatch(authenticator))
        store.hear(partial(_end_grants, authenticator, watch))
    passwords = await stack.enter_async_context(Passwords())
    background = await stack.enter_async_context(Background())
    limits = AttemptLimits(
        per_name=settings.login_attempts,
        per_address=settings.login_attempts_per_address,
        window=settings.login_window,
    )
    login = LoginService(
        store=store,
        authenticator=authenticator,
        passwords=passwords,
        key=LoginKey(settings.files_dir),
        attempts=Attempts(limits),
        background=background,
        session_idle=session_idle,
        clock=clock,
    )
    management = AdministrationService(
        store=store,
        authenticator=authenticator,
        passwords=passwords,
        background=background,
        clock=clock,
    )
    return authenticator, [
        users(UserServicer(login)),
        administration(AdministrationServicer(management)),
    ]


async def _wire_jobs(
    stack: AsyncExitStack,
    settings: ServerSettings,
    store: SqlStore,
    instance: str,
    clock: SteadyClock,
    live: LiveJobs,
    tenure: Tenure,
) -> tuple[Sequence[Service], Recovery, Admission]:
    engines = _engines(settings)
    connections = Connections(settings.connections)
    companions = Companions(
        engines,
        directory=settings.data_dir / "companions",
        python_executable=settings.python_executable,
        isolation=settings.isolation,
    )
    stack.push_async_callback(companions.aclose)
    directory = settings.files_dir / "jobs"
    runtime_dir = stack.enter_context(directories.runtime_dir(settings.data_dir))
    bucket = await _bucket(settings)
    archived = await _wire_archived(stack, settings, store, live, bucket)
    logs = LogStore(directory, elsewhere=archived, tenure=tenure)
    stack.push_async_callback(logs.aclose)
    results = ResultFiles(directory, elsewhere=archived)
    stack.push_async_callback(results.aclose)
    exports = await stack.enter_async_context(Exports(results, settings.data_dir / "exports"))
    jobs = Jobs(store=store, live=live, logs=logs)
    job_log = JobLog(logs, max_bytes=settings.max_log_bytes, clock=clock)
    runs = ActiveRuns()
    policies = settings.run_policies
    launcher = await _launcher(stack, settings, instance, runtime_dir)
    pool = await stack.enter_async_context(
        SessionPool(
            launcher=launcher,
            store=store,
            owner=instance,
            tenure=tenure,
            connections=connections,
            companions=companions,
            max_sessions=settings.max_sessions,
            # a runner on Ray has its cores and memory from the first moment on
            warm_runners=settings.warm_runners if settings.launcher == "local" else 0,
            idle_timeout=settings.session_idle_timeout,
            open_timeout=settings.session_open_timeout,
            visit_interval=settings.orphan_timeout / 4,
        )
    )
    steering = Steering(
        jobs=jobs, store=store, job_log=job_log, runs=runs, kill_grace=settings.kill_grace
    )
    scheduler = Scheduler(limits=settings.limit_rules, max_running=settings.max_running)
    executor = Executor(
        jobs=jobs,
        logs=logs,
        results=results,
        pool=pool,
        engines=engines,
        job_log=job_log,
        policies=policies,
        runs=runs,
        intake=Intake(
            jobs=jobs,
            store=store,
            logs=logs,
            results=results,
            job_log=job_log,
            max_result_bytes=settings.max_result_bytes,
        ),
        endings=Endings(
            jobs=jobs,
            store=store,
            results=results,
            job_log=job_log,
            policies=policies,
            retries=settings.retries,
            clock=clock,
        ),
        steering=steering,
        places=GroupPlaces(store=store, scheduler=scheduler),
    )
    background = Background()
    dispatcher = await stack.enter_async_context(
        Dispatcher(
            scheduler=scheduler,
            executor=executor,
            timeouts=Timeouts(policies=policies, steering=steering, background=background),
            live=live,
            shares_groups=store.is_shared,
        )
    )
    store.hear(partial(_open_groups, dispatcher))
    await stack.enter_async_context(background)  # left before the runs are, so that kills can end
    await stack.enter_async_context(
        Retention(
            ledger=store,
            live=live,
            logs=logs,
            root=directory,
            aside=settings.files_dir / "orphaned",
            instance=instance,
            rules=settings.retention,
            archived=archived,
            clock=clock,
            not_before=clock.trusted_from,
        )
    )
    disk = await stack.enter_async_context(
        DiskGuard(settings.files_dir, min_free=settings.min_free_bytes)
    )
    if bucket is not None:
        await stack.enter_async_context(
            Archivist(
                ledger=store,
                bucket=bucket,
                archived=archived,
                logs=logs,
                disk=disk,
                root=directory,
                instance=instance,
                rules=settings.archive_rules,
                clock=clock,
            )
        )
    admission = Admission(store=store, instance=instance, disk=disk)
    await admission.load()
    submit = SubmitService(
        instance=instance,
        parser=RequestParser(
            engines=engines,
            connections=connections,
            policies=policies,
            max_code_bytes=settings.max_code_bytes,
        ),
        preprocess=settings.preprocess,
        store=store,
        live=live,
        admission=admission,
        scheduler=scheduler,
        dispatcher=dispatcher,
        job_log=job_log,
        background=background,
        clock=clock,
    )
    servicer = EntranceServicer(
        submit=submit,
        control=ControlService(
            jobs=jobs, steering=steering, dispatcher=dispatcher, background=background
        ),
        observe=ObserveService(jobs=jobs, store=store, logs=logs, engines=engines),
        results=ResultService(jobs=jobs, store=store, files=results),
        machine=Machine(cores=os.cpu_count() or 1, memory_bytes=psutil.virtual_memory().total),
    )
    operators = OperationService(
        live=live, scheduler=scheduler, admission=admission, engines=engines
    )
    recovery = Recovery(
        instance=instance,
        tenure=tenure,
        logs=logs,
        store=store,
        live=live,
        dispatcher=dispatcher,
        executor=executor,
        pool=pool,
        launcher=launcher,
        results=results,
    )
    if store.is_shared:
        leftovers = Leftovers(
            store=store, files=launcher, instance=instance, interval=settings.lease_seconds
        )
        await stack.enter_async_context(leftovers)
    by_path = FileService(
        jobs=jobs,
        store=store,
        logs=logs,
        files=results,
        exports=exports,
        limits=_file_limits(settings),
        clock=clock,
    )
    services = [
        entrance(servicer),
        history(HistoryServicer(HistoryService(jobs=jobs, store=store, clock=clock))),
        files(FileServicer(by_path)),
        operation(OperationServicer(operators)),
    ]
    return services, recovery, admission


async def _wire_archived(
    stack: AsyncExitStack,
    settings: ServerSettings,
    store: SqlStore,
    live: LiveJobs,
    bucket: Bucket | None,
) -> ArchivedFiles:
    """What ended jobs have in object storage; also where there is none now, but was before."""
    cache = await stack.enter_async_context(
        Cache(
            settings.data_dir / "cache",
            max_bytes=settings.archive_cache_bytes,
            min_free=settings.min_free_bytes,
        )
    )
    # what is on its way ends with the server: nobody waits for it any more
    background = await stack.enter_async_context(Background(within=0))
    return ArchivedFiles(ledger=store, bucket=bucket, cache=cache, live=live, background=background)


async def _bucket(settings: ServerSettings) -> Bucket | None:
    """Object storage, unless there is none; the server starts while it is only away."""
    place = settings.archive
    if place is None:
        return None
    try:
        from entrance_server.archive.bucket import Bucket
    except ImportError:
        raise StartError(
            "archive_url needs the extra s3: install entrance[server,s3], or leave it out."
        ) from None
    bucket = Bucket(place)
    try:
        async with asyncio.timeout(ARCHIVE_CHECK):
            await bucket.check()
    except BucketRefused as error:
        raise StartError(str(error)) from None
    except (BucketUnavailable, TimeoutError) as error:
        log.warning("object storage is away", place=str(place), error=str(error))
    return bucket


def _end_grants(authenticator: Authenticator, watch: GrantWatch, notice: str) -> None:
    """Takes a notice of who is not let in any more, or of anything at all."""
    if notice == MISSED:
        watch.look()
    elif (revocation := revoked_in(notice)) is not None:
        authenticator.end(revocation)


def _open_groups(dispatcher: Dispatcher, notice: str) -> None:
    """Takes a notice of a place that has become free, or of anything at all."""
    if notice == MISSED:
        dispatcher.open()
    elif (group := freed_in(notice)) is not None:
        dispatcher.open(group)


def _file_limits(settings: ServerSettings) -> FileLimits:
    return FileLimits(
        page_rows=settings.open_page_rows,
        page_bytes=settings.open_page_bytes,
        cell_characters=settings.open_cell_characters,
        log_bytes=settings.open_log_bytes,
        export_rows=settings.export_rows,
    )


async def _launcher(
    stack: AsyncExitStack, settings: ServerSettings, instance: str, runtime_dir: Path
) -> Launcher:
    isolation = await _isolation(settings, runtime_dir)
    if settings.launcher == "local":
        return LocalLauncher(
            isolation=isolation,
            runtime_dir=runtime_dir,
            python_executable=settings.python_executable,
            orphan_timeout=settings.orphan_timeout,
            working_directories=settings.working_directories,
        )
    try:
        return await stack.enter_async_context(
            RayLauncher(
                address=settings.ray_address,
                owner=instance,
                authority=await asyncio.to_thread(_authority, settings.files_dir),
                isolation=isolation,
                python_executable=settings.python_executable,
                orphan_timeout=settings.orphan_timeout,
                open_timeout=settings.session_open_timeout,
                working_directories=settings.working_directories,
            )
        )
    except RayMissing as error:
        raise StartError(str(error)) from None


def _authority(directory: Path) -> Authority:
    """What certifies runners on other machines; made by the first server. Blocks."""
    path = directory / AUTHORITY_FILE
    try:
        return Authority(directories.private_once(path, Authority.new))
    except (OSError, ValueError) as error:
        raise StartError(
            f"{path}, by which runners on Ray are known, can't be used: {error}. Without it those "
            "that run are lost; a new one is made when there is none."
        ) from None


async def _isolation(settings: ServerSettings, runtime_dir: Path) -> SessionIsolation:
    try:
        return await asyncio.to_thread(
            prepare_isolation,
            settings.wanted_isolation,
            data_dir=settings.data_dir,
            shared_dir=settings.files_dir,
            sessions_dir=settings.sessions_dir,
            runtime_dir=runtime_dir,
            python=settings.python_executable or sys.executable,
            elsewhere=settings.launcher == "ray",
        )
    except IsolationUnavailable as error:
        raise StartError(str(error)) from None


def _engines(settings: ServerSettings) -> EngineRegistry:
    try:
        return EngineRegistry.installed(
            only=settings.engines,
            aliases=settings.engine_aliases,
            of_every_session=(
                *of_every_session(settings.working_directories),
                *(of_every_session_on_ray() if settings.launcher == "ray" else ()),
            ),
            defaults=settings.engine_defaults,
        )
    except ValueError as error:
        raise StartError(str(error)) from None


async def serve(
    settings: ServerSettings,
    *,
    ready_file: Path | None = None,
    restart: Callable[[int], None],
    rejoins: bool = False,
) -> None:
    """Runs a server until SIGTERM or SIGINT.

    Args:
        settings: The server's settings.
        ready_file: Where the port and the instance are written, as JSON, once calls are answered.
        restart: Begins this process anew, at a port; called in a thread when the server has lost
            its lease.
        rejoins: Whether it was begun anew by that, and so waits for its store as long as it takes.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)

    def lease_ended() -> None:
        """Called in a thread."""
        log.error("the lease has ended; nothing goes on in this process")
        if stop.is_set():
            os._exit(1)  # it was stopping, and the store holds that up
        restart(port)

    port = settings.port
    while not stop.is_set():
        try:
            async with running(settings, lease_ended=lease_ended) as server:
                port = server.port
                if ready_file is not None:
                    await asyncio.to_thread(_write_ready, ready_file, server)
                await stop.wait()
                log.info("stopping")
        except StoreUnavailable:
            if not rejoins:
                raise


async def _stop(server: grpc.aio.Server, status: health.aio.HealthServicer, grace: float) -> None:
    await status.enter_graceful_shutdown()
    await server.stop(grace)


def _address(host: str, port: int) -> str:
    """Where other servers reach this one, unless it was told."""
    if host in ("0.0.0.0", "::"):  # everywhere
        host = socket.gethostname()
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _free_port(host: str) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def _write_ready(path: Path, server: Server) -> None:
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(json.dumps(dataclasses.asdict(server)))
    temporary.replace(path)
