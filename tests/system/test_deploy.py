"""What `deploy/` tells others to run: linted, and run as far as that goes without a container."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.daemon import Daemon

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
HOST = "127.0.0.1"
SERVER = "entrance_server"


def checked(program: str, *arguments: str | Path) -> None:
    """Runs a linter, which must find nothing."""
    command = [str(Path(sys.executable).with_name(program)), *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_dockerfile_has_no_fault_that_a_linter_knows() -> None:
    checked("hadolint", DEPLOY / "Dockerfile")


def test_the_compose_file_is_one() -> None:
    checked("check-jsonschema", "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yaml")


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.name)
def test_a_manifest_has_only_what_kubernetes_knows(manifest: Path) -> None:
    checked("kubernetes-validate", "--strict", manifest)


def test_yaml_is_in_order() -> None:
    checked("yamllint", "--strict", DEPLOY)


def objects() -> Mapping[tuple[str, str], Any]:
    """Every object of the manifests, by kind and name."""
    found = [one for path in MANIFESTS for one in yaml.safe_load_all(path.read_text())]
    return {(one["kind"], one["metadata"]["name"]): one for one in found}


WORKLOADS = [
    ("StatefulSet", "entrance-server"),
    ("Deployment", "entrance-gateway"),
    ("StatefulSet", "entrance-postgres"),
]


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda key: key[1])
def test_no_pod_runs_as_root_or_may_become_it(workload: tuple[str, str]) -> None:
    pod = objects()[workload]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    for container in pod["containers"]:
        assert not container["securityContext"]["allowPrivilegeEscalation"]
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_no_pod_of_ours_gets_settings_from_the_names_of_services() -> None:
    for key in WORKLOADS[:2]:
        assert objects()[key]["spec"]["template"]["spec"]["enableServiceLinks"] is False, key


def test_secrets_are_named_and_never_told() -> None:
    for key in WORKLOADS:
        for container in objects()[key]["spec"]["template"]["spec"]["containers"]:
            for one in container["env"]:
                if "PASSWORD" in one["name"] or "URL" in one["name"]:
                    assert "secretKeyRef" in one["valueFrom"], one["name"]


def test_services_and_budgets_select_pods_that_there_are() -> None:
    every = objects()
    pods = [
        one["spec"]["template"]["metadata"]["labels"].items()
        for (kind, _), one in every.items()
        if kind in ("StatefulSet", "Deployment")
    ]
    for (kind, name), one in every.items():
        spec = one["spec"]
        if kind in ("Service", "PodDisruptionBudget", "NetworkPolicy"):
            selector = spec.get("podSelector") or spec["selector"]
            wanted = selector.get("matchLabels", selector).items()
            assert sum(wanted <= labels for labels in pods) == 1, name


class Composed:
    """The services of the compose file, run as processes: its commands, environments and probes."""

    def __init__(self, root: Path, store_url: str) -> None:
        self._services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
        self._root = root
        self._ports: dict[str, int] = {}
        self._places = {
            "/srv/entrance": str(root / "files"),
            "postgresql://entrance:${POSTGRES_PASSWORD:?write it into deploy/.env}"
            "@postgres/entrance": store_url,
            "0.0.0.0": HOST,
        }

    @contextmanager
    def running(self, name: str) -> Iterator[Daemon]:
        """One of the services; it has a free port of this machine instead of its own."""
        (command,) = self._services[name]["command"]
        program = {"server": SERVER, "gateway": "entrance_gateway"}[command]
        daemon = Daemon(name, [program], root=self._root, environment=self.environment(name))
        try:
            self._ports[name] = daemon.start("--port", "0")["port"]
            yield daemon
        finally:
            if daemon.runs:
                daemon.kill()

    def environment(self, name: str) -> Mapping[str, str]:
        given = {
            key: self._here(value) for key, value in self._services[name]["environment"].items()
        }
        return {**os.environ, "ENTRANCE_DATA_DIR": str(self._root / name), **given}

    def probe(self, name: str) -> subprocess.CompletedProcess[str]:
        """What the service's health check says."""
        _, _, *arguments = self._services[name]["healthcheck"]["test"]
        for own in ("9104", "9001"):
            arguments = [one.replace(f"{HOST}:{own}", self._place(name)) for one in arguments]
        return subprocess.run(
            [sys.executable, *arguments], capture_output=True, text=True, check=False
        )

    def _place(self, name: str) -> str:
        return f"{HOST}:{self._ports[name]}"

    def _here(self, value: str) -> str:
        for there, here in self._places.items():
            value = value.replace(there, here)
        for name in self._ports:
            value = value.replace(f"{name}:9104", self._place(name))
        return value


def test_what_compose_runs_gets_healthy_and_tells_when_it_is_not(
    postgres_url: str, tmp_path: Path
) -> None:
    composed = Composed(tmp_path, postgres_url)
    with ExitStack() as running:
        servers = [running.enter_context(composed.running(f"server{n}")) for n in (1, 2)]
        running.enter_context(composed.running("gateway"))
        for name in ("server1", "server2", "gateway"):
            probed = composed.probe(name)
            assert probed.returncode == 0, probed.stderr
        for server in servers:
            assert server.stop() == 0
        assert composed.probe("server1").returncode != 0
        assert composed.probe("gateway").returncode != 0
