"""Tokens, passwords and tickets are nowhere in clear: not in files, answers, or process lists."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx
import psutil
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from entrance.client import EntranceError, JobStatus
from entrance.v1 import entrance_pb2 as pb
from tests.support.identities import BASE, WebClient, rpc_with
from tests.support.jobs import ended, said
from tests.support.rest import labels_form
from tests.support.service import HOST, SETTINGS, Service, running_service
from tests.support.waiting import until

FORM = labels_form("env", "shell", "shell")
OWN_FILES = {"admin.token"}  # kept for its owner, as the first administrator's only way in


@dataclass
class Session:
    """What was sent and answered in a session of calls by every protocol."""

    service: Service
    secrets: dict[str, str] = field(default_factory=dict)
    answers: list[str] = field(default_factory=list)
    command_lines: list[str] = field(default_factory=list)

    def secret(self, name: str) -> str:
        """A new secret to be sent somewhere."""
        self.secrets[name] = secrets.token_urlsafe(24)
        return self.secrets[name]

    def note_processes(self) -> None:
        """Remembers the command lines of all processes that there are now."""
        for process in psutil.process_iter(["cmdline"]):
            self.command_lines.append(" ".join(process.info["cmdline"] or ()))

    def run(self) -> None:
        self._administer()
        self._log_in()
        self._call()
        self._call_wrongly()

    def _administer(self) -> None:
        service = self.service
        self.secrets["the administrator's token"] = service.admin.token or ""
        self.secrets["alice's token"] = service.alice.token or ""
        password = self.secret("a password")
        service.admin.command.ok("user", "add", "eve", "--password-stdin", input=_line(password))
        password = self.secret("a changed password")
        service.admin.command.ok("user", "passwd", "eve", "--password-stdin", input=_line(password))
        (made,) = service.admin.command.json("token", "create", "--user", "eve", "--for-users", "*")
        self.secrets["eve's token"] = made["secret"]

    def _log_in(self) -> None:
        with WebClient(self.service) as web:
            web.log_in("eve", self.secret("a wrong password"))
            web.log_in(self.secret("a password in the place of the name"), "x" * 8)
            encrypted = _encrypted(web, self.secrets["a changed password"])
            self.secrets["an encrypted password"] = encrypted
            assert web.log_in("eve", encrypted, passwdEncrypt=True).is_ok
            assert web.log_in("eve", self.secrets["a changed password"]).is_ok
            assert web.ticket
            self.secrets["a ticket"] = web.ticket
            assert web.get("/user/userInfo").is_ok
            job = web.post("/entrance/submit", FORM).data["taskID"]
            web.get(f"/entrance/{job}/status")
            self.secrets["a ticket by gRPC"] = _ticket(self.service, web.ticket)

    def _call(self) -> None:
        service = self.service
        job = service.alice.client.submit("env; echo on; sleep 0.3", engine="shell")
        said(job, "on")
        self.note_processes()
        ended(job, JobStatus.SUCCEED)
        eve = service.caller_with(self.secrets["eve's token"])
        eve.command.ok("submit", "-e", "env", "--engine", "shell", "--follow")
        token = {"Token-Code": self.secrets["eve's token"], "Token-User": "frank"}
        self._send("POST", "/entrance/submit", headers=token, json=FORM)

    def _call_wrongly(self) -> None:
        for name, header in {
            "a wrong token": "Authorization",
            "a wrong code": "Token-Code",
            "a wrong scheme": "Authorization",
            "a header twice": "Authorization",
        }.items():
            scheme = "Basic " if name == "a wrong scheme" else "Bearer "
            value = ("" if header == "Token-Code" else scheme) + self.secret(name)
            times = 2 if name == "a header twice" else 1
            headers = [(header, value)] * times + [("Token-User", "frank")]
            self._send("POST", "/entrance/submit", headers=headers, json=FORM)
        cookie = {"Cookie": f"linkis_user_session_ticket_id_v1={self.secret('a wrong ticket')}"}
        self._send("GET", "/user/userInfo", headers=cookie)
        for name, body in {
            "a password in a list": '{"userName": "eve", "password": ["%s"]}',
            "a password in a torn body": '{"userName": "eve", "password": "%s"',
            "a password as the name": '{"userName": {"%s": 1}}',
            "a password twice": '{"userName": "eve", "password": "x", "password": "%s"}',
        }.items():
            content = body.replace("%s", self.secret(name))
            json = {"Content-Type": "application/json"}
            self._send("POST", "/user/login", headers=json, content=content)
        weak = {"name": "eve", "password": self.secrets["a changed password"][:7]}
        admin = {"Authorization": f"Bearer {self.service.admin.token}"}
        self._send("POST", "/administration/users/eve/password", headers=admin, json=weak)
        stranger = self.service.caller_with(self.secret("a wrong token by gRPC"))
        self.answers.append(str(stranger.rpc.refusal("Status", pb.StatusRequest(id="1"))))
        with pytest.raises(EntranceError) as caught:
            stranger.client.engines()
        self.answers.append(str(caught.value))

    def _send(self, verb: str, path: str, **options: object) -> None:
        url = f"http://{HOST}:{self.service.http_port}{BASE}{path}"
        response = httpx.request(verb, url, trust_env=False, **options)  # type: ignore[arg-type]
        assert response.status_code < 500, response.text
        self.answers.append(f"{response.headers}{response.text}")


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    settings = {**SETTINGS, "ENTRANCE_LOG_LEVEL": "debug", "ENTRANCE_LOGIN_ATTEMPTS": "1000"}
    with running_service(settings) as service:
        session = Session(service)
        session.run()
        until((service.data_dir / "audit.log").exists, "calls were told of")
        yield session


def test_no_file_has_a_secret(session: Session) -> None:
    files = [path for path in session.service.root.rglob("*") if path.is_file()]
    names = {path.name for path in files}
    assert {"server.log", "gateway.log", "entrance.db", "audit.log", "runner.log"} <= names
    for path in files:
        if path.name not in OWN_FILES:
            assert _found(session, path.read_bytes()) == [], path


def test_no_process_shows_a_secret_in_its_command_line(session: Session) -> None:
    session.note_processes()
    assert any("entrance_runner" in line for line in session.command_lines)
    assert _found(session, "\n".join(session.command_lines).encode()) == []


def test_no_error_tells_a_secret(session: Session) -> None:
    assert len(session.answers) > 10
    assert _found(session, "\n".join(session.answers).encode()) == []


def test_a_secret_that_is_kept_is_for_its_owner_alone(session: Session) -> None:
    data_dir = session.service.data_dir
    assert data_dir.stat().st_mode & 0o077 == 0
    for name in ("admin.token", "entrance.db", "audit.log"):
        assert (data_dir / name).stat().st_mode & 0o077 == 0, name


def _found(session: Session, content: bytes) -> list[str]:
    """The names of the secrets in some bytes, in clear or in base64."""
    return [
        name
        for name, secret in session.secrets.items()
        if secret.encode() in content or base64.b64encode(secret.encode())[:-4] in content
    ]


def _line(text: str) -> bytes:
    return f"{text}\n".encode()


def _encrypted(web: WebClient, password: str) -> str:
    told = base64.b64decode(web.get("/user/publicKey").data["publicKey"])
    key = serialization.load_der_public_key(told)
    assert isinstance(key, rsa.RSAPublicKey)
    return base64.b64encode(key.encrypt(password.encode(), padding.PKCS1v15())).decode()


def _ticket(service: Service, ticket: str) -> str:
    """Calls by gRPC with a ticket, which works, and gives it."""
    rpc = rpc_with(service, session_ticket=ticket)
    assert rpc.call("ListJobs", pb.ListJobsRequest())
    return ticket
