"""Reads docker-compose.yml as Compose does, and strictly: a key that is misspelt is an error."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "docker-compose.yml"
ENVIRONMENT = {"LOCKSTEP_SECRETS_DIR": "./deploy/secrets", "LOCKSTEP_TENANT": "acme"}
_VARIABLE = re.compile(r"\$\{(?P<name>[A-Z_]+)(?::(?P<kind>[?-])(?P<rest>[^}]*))?\}")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Condition(_Strict):
    condition: Literal["service_healthy", "service_completed_successfully"]


class Limits(_Strict):
    cpus: str
    memory: str
    pids: int


class Resources(_Strict):
    limits: Limits


class Deploy(_Strict):
    resources: Resources


class Healthcheck(_Strict):
    disable: bool = False
    test: list[str] = []
    interval: str = ""
    timeout: str = ""
    retries: int = 0
    start_period: str = ""


class Service(_Strict):
    """What our services use of the specification (compose-spec, 05-services.md)."""

    image: str
    networks: list[str]
    restart: str
    deploy: Deploy
    security_opt: list[str]
    cap_drop: list[str]
    logging: dict[str, Any]
    build: str = ""
    user: str = ""
    entrypoint: list[str] = []
    command: list[str] = []
    environment: dict[str, str] = {}
    secrets: list[str] = []
    volumes: list[str] = []
    ports: list[str] = []
    depends_on: dict[str, Condition] = {}
    healthcheck: Healthcheck | None = None
    stop_grace_period: str = ""
    shm_size: str = ""
    read_only: bool = False
    init: bool = False
    tmpfs: list[str] = []


class Network(_Strict):
    internal: bool = False


class Volume(_Strict):
    pass


class Secret(_Strict):
    file: str


class Compose(_Strict):
    name: str
    services: dict[str, Service]
    networks: dict[str, Network]
    volumes: dict[str, Volume]
    secrets: dict[str, Secret]


def interpolate(text: str, environment: Mapping[str, str]) -> str:
    """Replace ``${NAME}``, ``${NAME:-default}`` and ``${NAME:?message}``.

    Raises:
        KeyError: with the message, for a variable that must be set and is not.
    """

    def value(found: re.Match[str]) -> str:
        given = environment.get(found["name"], "")
        if given or found["kind"] == "-":
            return given or found["rest"]
        raise KeyError(found["rest"] or found["name"])

    return _VARIABLE.sub(value, text)


def parse(text: str, environment: Mapping[str, str]) -> Compose:
    """Read a Compose file's text; extensions (``x-``) serve as anchors only."""
    document = yaml.safe_load(interpolate(text, environment))
    plain = {key: part for key, part in document.items() if not key.startswith("x-")}
    return Compose.model_validate(plain)


def load() -> Compose:
    return parse(COMPOSE.read_text(), ENVIRONMENT)
