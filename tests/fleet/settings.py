"""Airflow's settings on a fleet: what an installation of many machines needs, and what this run makes shorter."""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

from cryptography.fernet import Fernet

DAGS = Path(__file__).parent / "dags"

#: Seconds after which the scheduler gives up a task whose worker says nothing. (300 by default.)
GIVEN_UP_AFTER = 30

#: Tasks that one Celery worker runs at once.
SLOTS = 3


def settings(*, database: str, broker: str, s3: str, port: int, dotypos: str) -> dict[str, str]:
    """Return the settings that all processes share: on a real fleet, each machine's environment.

    :param database: PostgreSQL's address, without scheme and driver.
    :param broker: Redis's address.
    :param s3: the S3 server's.
    :param port: the API servers' port.
    :param dotypos: the connection ``dotypos_default`` as JSON.
    """
    url = f"http://127.0.0.1:{port}"
    return {
        **_inherited(),
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{database}",
        # The same on all machines: what encrypts the database's secrets, what signs the UI's cookies, and what signs
        # the tokens by which workers identify themselves. Each process would otherwise make its own.
        "AIRFLOW__CORE__FERNET_KEY": Fernet.generate_key().decode(),
        "AIRFLOW__API__SECRET_KEY": secrets.token_urlsafe(),
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(48),
        "AIRFLOW__API_AUTH__JWT_ISSUER": "fleet",
        # Workers have no database: they reach everything through the API servers.
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        # An API server's first answer to a worker takes long on a busy machine. After five tries a task fails. (5 s.)
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "30",
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__WORKERS": "2",
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW__CELERY__BROKER_URL": broker,
        # Celery's states outlive Redis, as on most installations. `db+` is Celery's own notation.
        "AIRFLOW__CELERY__RESULT_BACKEND": f"db+postgresql+psycopg2://{database}",
        "AIRFLOW__CELERY__WORKER_CONCURRENCY": str(SLOTS),
        # A worker takes no more messages than it has slots for, and a lost one's aren't acknowledged (both defaults).
        "AIRFLOW__CELERY__WORKER_PREFETCH_MULTIPLIER": "1",
        "AIRFLOW__CELERY__TASK_ACKS_LATE": "True",
        # Those stay in Redis for this long (a day by default). Shorter than a task, it would make Redis deliver a
        # running task once more. What a lost worker had taken and not begun, the scheduler sends again long before.
        "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": "3600",
        "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "90",
        "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "5",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": str(GIVEN_UP_AFTER),
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
        # DAG files don't change during the run. Parsing them again would only take a core away.
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "600",
        "AIRFLOW_CONN_DOTYPOS_DEFAULT": dotypos,
        "AIRFLOW_CONN_AWS_DEFAULT": json.dumps(
            {
                "conn_type": "aws",
                "login": "fleet",
                "password": "fleet",
                "extra": {"endpoint_url": s3, "region_name": "us-east-1"},
            }
        ),
    }


def machine(folder: Path, shared: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of one machine's processes: the shared settings, and folders that no other machine has."""
    (folder / "tmp").mkdir(parents=True)
    return {
        **shared,
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(folder / "logs"),
        "AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": str(folder / "logs" / "dag_processor"),
        "TMPDIR": str(folder / "tmp"),
    }


def _inherited() -> dict[str, str]:
    """Return this process's environment without the user's own Airflow, and without proxies: all is on loopback."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AIRFLOW", "PYTHON", "AWS")) and not name.lower().endswith("_proxy")
    }
    return kept | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
