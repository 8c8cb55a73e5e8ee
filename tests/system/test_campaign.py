"""A short campaign: random work under random faults breaks no rule."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system.campaign.campaign import Settings, run
from tests.system.campaign.installation import Size

SEED = 5
SECONDS = 10.0  # of traffic and faults; starting and ending come on top


async def test_random_work_under_random_faults_breaks_no_rule(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    verdict = await run(Settings(SEED, SECONDS, users=12, faults_per_second=1.0), tmp_path)
    with capsys.disabled():
        print(f"\ncampaign: {'; '.join(verdict.lines()[:3])}")
    assert not verdict.violations, "\n".join([*verdict.lines(), f"report: {tmp_path}"])


async def test_random_work_on_several_servers_that_are_killed_breaks_no_rule(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    size = Size(servers=3, gateways=2)
    verdict = await run(
        Settings(SEED, SECONDS, users=8, faults_per_second=0.7, size=size), tmp_path
    )
    with capsys.disabled():
        print(f"\ncampaign on three servers: {'; '.join(verdict.lines()[:3])}")
    assert not verdict.violations, "\n".join([*verdict.lines(), f"report: {tmp_path}"])
