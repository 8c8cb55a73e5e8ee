"""Takes jobs, gives them their turn, runs them, and tells of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import psutil

from entrance_server.config import ServerSettings
from entrance_server.rpc.files import FileServicer
from entrance_server.rpc.history import HistoryServicer
from entrance_server.rpc.operation import OperationServicer
from entrance_server.rpc.server import Service, entrance, files, history, operation
from entrance_server.rpc.servicer import EntranceServicer
from entrance_server.rpc.yarn import Machine
from entrance_server.scheduling import Scheduler
from entrance_server.service.admission import Admission
from entrance_server.service.background import Background
from entrance_server.service.control import ControlService
from entrance_server.service.dispatch import Dispatcher
from entrance_server.service.endings import Endings
from entrance_server.service.execution import Executor
from entrance_server.service.files import FileLimits, FileService
from entrance_server.service.group_places import GroupPlaces
from entrance_server.service.history import HistoryService
from entrance_server.service.intake import Intake
from entrance_server.service.job_log import JobLog
from entrance_server.service.jobs import Jobs
from entrance_server.service.live import LiveJobs
from entrance_server.service.observe import ObserveService
from entrance_server.service.operation import OperationService
from entrance_server.service.recovery import Recovery
from entrance_server.service.requests import RequestParser
from entrance_server.service.results import ResultService
from entrance_server.service.runs import ActiveRuns
from entrance_server.service.steering import Steering
from entrance_server.service.submit import SubmitService
from entrance_server.service.timeouts import Timeouts
from entrance_server.store.groups import freed_in
from entrance_server.store.listener import MISSED
from entrance_server.wiring.base import Base
from entrance_server.wiring.files import Files, keep_files, wire_files
from entrance_server.wiring.runners import Runners, wire_runners


@dataclass(frozen=True, slots=True)
class JobParts:
    """The services that are about jobs, and what starts and stops them."""

    services: Sequence[Service]
    recovery: Recovery
    admission: Admission


@dataclass(frozen=True, slots=True)
class _Work:
    """What takes a job from its turn to its end."""

    jobs: Jobs
    job_log: JobLog
    steering: Steering
    scheduler: Scheduler
    executor: Executor
    dispatcher: Dispatcher
    background: Background


async def wire_jobs(base: Base, live: LiveJobs) -> JobParts:
    """Everything about jobs; none runs before `recovery` is called.

    Raises:
        StartError: something is not there as the settings want it.
    """
    kept = await wire_files(base, live)
    runners = await wire_runners(base)
    work = await _wire_work(base, live, kept, runners)
    disk = await keep_files(base, kept, live)
    admission = Admission(store=base.store, instance=base.instance, disk=disk)
    await admission.load()
    recovery = Recovery(
        instance=base.instance,
        tenure=base.tenure,
        logs=kept.logs,
        store=base.store,
        live=live,
        dispatcher=work.dispatcher,
        executor=work.executor,
        pool=runners.pool,
        launcher=runners.launcher,
        results=kept.results,
    )
    services = [
        entrance(_entrance(base, live, kept, runners, work, admission)),
        history(
            HistoryServicer(HistoryService(jobs=work.jobs, store=base.store, clock=base.clock))
        ),
        files(FileServicer(_by_path(base, kept, work))),
        operation(
            OperationServicer(
                OperationService(
                    live=live,
                    scheduler=work.scheduler,
                    admission=admission,
                    engines=runners.engines,
                )
            )
        ),
    ]
    return JobParts(services, recovery, admission)


async def _wire_work(base: Base, live: LiveJobs, kept: Files, runners: Runners) -> _Work:
    settings, store = base.settings, base.store
    jobs = Jobs(store=store, live=live, logs=kept.logs)
    job_log = JobLog(kept.logs, max_bytes=settings.max_log_bytes, clock=base.clock)
    runs = ActiveRuns()
    policies = settings.run_policies
    steering = Steering(
        jobs=jobs, store=store, job_log=job_log, runs=runs, kill_grace=settings.kill_grace
    )
    scheduler = Scheduler(limits=settings.limit_rules, max_running=settings.max_running)
    executor = Executor(
        jobs=jobs,
        logs=kept.logs,
        results=kept.results,
        pool=runners.pool,
        engines=runners.engines,
        job_log=job_log,
        policies=policies,
        runs=runs,
        intake=Intake(
            jobs=jobs,
            store=store,
            logs=kept.logs,
            results=kept.results,
            job_log=job_log,
            max_result_bytes=settings.max_result_bytes,
        ),
        endings=Endings(
            jobs=jobs,
            store=store,
            results=kept.results,
            job_log=job_log,
            policies=policies,
            retries=settings.retries,
            clock=base.clock,
        ),
        steering=steering,
        places=GroupPlaces(store=store, scheduler=scheduler),
    )
    background = Background()
    dispatcher = await base.stack.enter_async_context(
        Dispatcher(
            scheduler=scheduler,
            executor=executor,
            timeouts=Timeouts(policies=policies, steering=steering, background=background),
            live=live,
            shares_groups=store.is_shared,
        )
    )
    store.hear(partial(_open_groups, dispatcher))
    # left before the runs are, so that kills can end
    await base.stack.enter_async_context(background)
    return _Work(jobs, job_log, steering, scheduler, executor, dispatcher, background)


def _entrance(
    base: Base, live: LiveJobs, kept: Files, runners: Runners, work: _Work, admission: Admission
) -> EntranceServicer:
    settings, store = base.settings, base.store
    submit = SubmitService(
        instance=base.instance,
        parser=RequestParser(
            engines=runners.engines,
            connections=runners.connections,
            policies=settings.run_policies,
            max_code_bytes=settings.max_code_bytes,
        ),
        preprocess=settings.preprocess,
        store=store,
        live=live,
        admission=admission,
        scheduler=work.scheduler,
        dispatcher=work.dispatcher,
        background=work.background,
        clock=base.clock,
    )
    return EntranceServicer(
        submit=submit,
        control=ControlService(
            jobs=work.jobs,
            steering=work.steering,
            dispatcher=work.dispatcher,
            background=work.background,
        ),
        observe=ObserveService(
            jobs=work.jobs, store=store, logs=kept.logs, engines=runners.engines
        ),
        results=ResultService(jobs=work.jobs, store=store, files=kept.results),
        machine=Machine(cores=os.cpu_count() or 1, memory_bytes=psutil.virtual_memory().total),
    )


def _by_path(base: Base, kept: Files, work: _Work) -> FileService:
    return FileService(
        jobs=work.jobs,
        store=base.store,
        logs=kept.logs,
        files=kept.results,
        exports=kept.exports,
        limits=_file_limits(base.settings),
        clock=base.clock,
    )


def _file_limits(settings: ServerSettings) -> FileLimits:
    return FileLimits(
        page_rows=settings.open_page_rows,
        page_bytes=settings.open_page_bytes,
        cell_characters=settings.open_cell_characters,
        log_bytes=settings.open_log_bytes,
        export_rows=settings.export_rows,
    )


def _open_groups(dispatcher: Dispatcher, notice: str) -> None:
    """Takes a notice of a place that has become free, or of anything at all."""
    if notice == MISSED:
        dispatcher.open()
    elif (group := freed_in(notice)) is not None:
        dispatcher.open(group)
