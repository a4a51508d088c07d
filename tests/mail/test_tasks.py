"""Mails leave: by a real mail server, on the terminal, or not at all."""

from __future__ import annotations

import smtplib
import ssl
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import procrastinate
import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from api.jobs import app as jobs
from api.mail import post, service
from api.mail.tasks import RETRIES, send_mail
from tests.mail.smtp import PASSWORD, USER, mail_server, make_certificate, server_side

if TYPE_CHECKING:
    from pathlib import Path

    from flask import Flask
    from sqlalchemy.orm import Session

LOGIN = f"{quote(USER, safe='')}:{quote(PASSWORD, safe='')}"
MAIL: dict[str, Any] = {
    "template": "password_reset",
    "to": "ada@example.com",
    "facts": {
        "ticket": {"id": "0198c1f0-3f9e-7c3a-9d0e-2b8f1c6a7d45", "purpose": "password_reset"},
        "until": "2026-05-17 09:30 UTC",
    },
}


class Sender:
    """Sends `MAIL` with settings of its own."""

    def __init__(self, app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
        self.app, self.monkeypatch = app, monkeypatch

    def send(self, **settings: object) -> None:
        changed = self.app.extensions["stockroom"].model_copy(update=settings)
        self.monkeypatch.setitem(self.app.extensions, "stockroom", changed)
        send_mail(**MAIL)


def test_a_mail_is_asked_for_in_the_transaction_of_its_cause(session: Session) -> None:
    service.send(session, "password_reset", to="ada@example.com", until="tomorrow")
    asked = session.execute(text("SELECT task_name, args FROM procrastinate_jobs")).all()
    session.rollback()

    assert asked == [
        (
            "stockroom:send_mail",
            {"template": "password_reset", "to": "ada@example.com", "facts": {"until": "tomorrow"}},
        )
    ]
    assert session.execute(text("SELECT count(*) FROM procrastinate_jobs")).scalar_one() == 0


def test_a_server_without_encryption_gets_it_where_no_password_is_told(sender: Sender) -> None:
    with mail_server() as server:
        sender.send(smtp_url=f"smtp://{server.url}", mail_from="Shop <shop@example.com>")

    (mail,) = server.mails
    assert server.recipients == [["ada@example.com"]]
    assert (mail["From"], mail["To"]) == ("Shop <shop@example.com>", "ada@example.com")
    assert server.was_encrypted == [False]


def test_a_mail_is_encrypted_wherever_that_is_offered(sender: Sender, certificate: Path) -> None:
    with mail_server(tls_context=server_side(certificate)) as server:
        sender.send(smtp_url=f"smtp://{server.url}")

    assert server.was_encrypted == [True]


def test_a_password_is_told_behind_starttls(sender: Sender, certificate: Path) -> None:
    with mail_server(tls_context=server_side(certificate), require_starttls=True, auth_required=True) as server:
        sender.send(smtp_url=f"smtp://{LOGIN}@{server.url}")

    assert server.logins == [(USER, PASSWORD)]
    assert server.was_encrypted == [True]


def test_a_password_is_told_to_a_server_that_is_encrypted_from_the_start(sender: Sender, certificate: Path) -> None:
    options = {"ssl_context": server_side(certificate), "auth_require_tls": False}
    with mail_server(**options) as server:
        sender.send(smtp_url=f"smtps://{LOGIN}@{server.url}")

    assert server.logins == [(USER, PASSWORD)]
    assert len(server.mails) == 1


def test_a_password_is_not_told_without_encryption(sender: Sender) -> None:
    with mail_server(auth_require_tls=False) as server, pytest.raises(post.EncryptionMissingError):
        sender.send(smtp_url=f"smtp://{LOGIN}@{server.url}")

    assert (server.logins, server.mails) == ([], [])


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_a_server_that_cannot_prove_its_name_gets_nothing(
    sender: Sender, certificate: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    context = server_side(certificate)
    options = {"tls_context": context} if scheme == "smtp" else {"ssl_context": context}
    with mail_server(**options) as server, pytest.raises(ssl.SSLCertVerificationError):
        sender.send(smtp_url=f"{scheme}://{server.url}")

    assert server.mails == []


def test_a_wrong_password_is_tried_again_later(sender: Sender, certificate: Path) -> None:
    with (
        mail_server(tls_context=server_side(certificate), auth_required=True) as server,
        pytest.raises(smtplib.SMTPAuthenticationError),
    ):
        sender.send(smtp_url=f"smtp://wrong:wrong@{server.url}")

    assert server.mails == []


def test_what_is_refused_for_now_is_tried_again_later(sender: Sender) -> None:
    with mail_server() as server:
        server.replies.append("451 4.7.1 come back later")
        with pytest.raises(smtplib.SMTPDataError) as refused:
            sender.send(smtp_url=f"smtp://{server.url}")
        later = retry(refused.value, attempts=0)
        sender.send(smtp_url=f"smtp://{server.url}")

    assert later is not None
    assert len(server.mails) == 1


def test_a_mail_is_tried_for_a_day_and_not_for_ever() -> None:
    waits = [retry(OSError(), attempts=attempts) is not None for attempts in range(40)]

    assert waits == [True] * RETRIES + [False] * (40 - RETRIES)
    first = sum(min(3 ** (attempts + 1), 3600) for attempts in range(RETRIES))
    assert 23 < first / 3600 < 36


@pytest.mark.parametrize("refusal", ["mail", "mailbox"])
def test_what_is_refused_for_good_is_logged_and_not_tried_again(sender: Sender, refusal: str) -> None:
    with mail_server() as server, capture_logs() as logs:
        server.replies += ["554 5.7.1 no"] if refusal == "mail" else []
        server.unknown |= {"ada@example.com"} if refusal == "mailbox" else set()
        sender.send(smtp_url=f"smtp://{server.url}")

    assert server.mails == []
    assert [(line["event"], line["log_level"]) for line in logs] == [("mail_not_sent", "error")]


def test_a_mailbox_that_is_full_is_tried_again_later(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    with mail_server() as server:
        monkeypatch.setattr(server, "handle_RCPT", refuse_for_now)
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            sender.send(smtp_url=f"smtp://{server.url}")


def test_a_server_that_is_away_is_tried_again_later(sender: Sender) -> None:
    with mail_server() as server:
        url = server.url

    with pytest.raises(ConnectionRefusedError):
        sender.send(smtp_url=f"smtp://{url}")


@pytest.mark.parametrize("environment", ["development", "test"])
def test_whoever_develops_reads_mails_on_the_terminal(
    sender: Sender, capsys: pytest.CaptureFixture[str], environment: str
) -> None:
    sender.send(smtp_url=None, environment=environment, site_url="https://shop.example.com")

    shown = capsys.readouterr().out
    assert "mail to ada@example.com: Choose a new password" in shown
    assert "https://shop.example.com/password-reset#token=" in shown


def test_production_without_a_server_says_so_and_shows_nothing(
    sender: Sender, capsys: pytest.CaptureFixture[str]
) -> None:
    with capture_logs() as logs:
        sender.send(smtp_url=None, environment="production")

    (line,) = logs
    assert (line["event"], line["log_level"], line["template"]) == ("mail_not_sent", "error", "password_reset")
    assert "ada" not in str(line)
    assert capsys.readouterr().out == ""


async def refuse_for_now(*_: object) -> str:
    return "452 4.2.2 mailbox full"


def retry(error: BaseException, *, attempts: int) -> BaseException | None:
    """Tell what a worker makes of a failure; None when it gives up."""
    task = next(task for name, task in jobs.tasks.tasks.items() if name.endswith("send_mail"))
    job = procrastinate.jobs.Job(
        id=1, queue="default", lock=None, queueing_lock=None, task_name=task.name, attempts=attempts
    )
    return task.get_retry_exception(error, job)


@pytest.fixture
def sender(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Sender:
    monkeypatch.setattr(jobs.tasks, "flask_app", app, raising=False)
    return Sender(app, monkeypatch)


@pytest.fixture
def certificate(certificate_file: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A certificate that this process trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate_file))
    return certificate_file


@pytest.fixture(scope="module")
def certificate_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("certificate"))
