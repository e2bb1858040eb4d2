"""What a system that is a tenant may say."""

from __future__ import annotations

import re

from connectors.kit import options


def _plain(value: str) -> str:
    """An attribute goes into a filter unquoted: plain names only."""
    if not re.fullmatch("[A-Za-z][A-Za-z0-9_]{0,127}", value):
        raise ValueError("a plain attribute name expected")
    return value


BASE_URL = options.address(
    "base_url", "address of Graph, version included", default="https://graph.microsoft.com/v1.0"
)
LOGIN_URL = options.address(
    "login_url", "address that gives tokens", default="https://login.microsoftonline.com"
)
SCOPE = options.text(
    "scope",
    "what a token is asked for; another only in a national cloud",
    default="https://graph.microsoft.com/.default",
)
TENANT = options.text("tenant", "tenant id, or one of its domains", required=True)
CLIENT_ID = options.text("client_id", "id of the app registration", required=True)
SECRET = options.secret("client_secret", "secret of the app registration")
CERTIFICATE = options.secret("certificate", "certificate of the app registration, PEM")
KEY = options.secret("private_key", "its private key (RSA), PEM, without a passphrase")
EMPLOYEE_NUMBER = options.text(
    "employee_number_attribute",
    "attribute that holds the employee number; empty where none does",
    default="employeeId",
    check=_plain,
)
WORKER_ID = options.text(
    "worker_id_attribute", "attribute that holds HR's worker id", default="", check=_plain
)
DEVICES = options.choice(
    "devices",
    "what happens to registered devices; disabling one also stops colleagues who share it",
    ("keep", "disable"),
)
LICENCES = options.choice(
    "licences",
    "what happens to licences assigned to the person; 30 days after removal their mailbox is gone",
    ("keep", "remove"),
)
PIM = options.flag(
    "pim",
    "end eligible roles (Privileged Identity Management); false only without a P2 licence",
    default=True,
)
ACCESS_TOKEN = options.seconds(
    "access_token_s",
    "longest life of an access token where access is not evaluated continuously, in seconds",
    default=5400,
)
APP_SESSION = options.bound(
    "app_session_s", "longest session of an app behind Entra, in seconds, as your apps are set"
)
