"""What Airflow learns of this provider. Imported in every Airflow process, so it imports nothing itself.

The connection form is declared here once. Airflow 3.2 and later read the declaration; for 3.1 the hook turns the same
constants into the widgets that version asks for (``_compat``).
"""

from __future__ import annotations

from typing import Any

CONN_TYPE = "dotypos"
HOOK_NAME = "Dotypos"

ASSET_SCHEME = "dotypos"
HOOK_CLASS = "airflow_provider_dotypos.hooks.dotypos.DotyposHook"

#: Where Airflow's API server receives webhooks, below its base URL. The plugin, which is in every process, asks for it.
WEBHOOKS_PATH = "/dotypos-webhooks"

#: The standard fields: what is hidden, renamed, and hinted at. `port` must stay visible: the Test button of Airflow
#: 3.3.2 fails for connections without one.
UI_FIELD_BEHAVIOUR: dict[str, Any] = {
    "hidden-fields": ["schema"],
    "relabeling": {
        "host": "API base URL",
        "port": "Port",
        "login": "Client ID",
        "password": "Client Secret",
    },
    "placeholders": {
        "host": "https://api.dotykacka.cz",
        "port": "443; fill it in if Test answers Bad Request",
        "login": "needed only to connect a cloud, not to extract",
        "password": "needed only to connect a cloud, not to extract",
    },
}

#: The provider's own fields, kept in the connection's extra; in the form's order.
CONN_FIELDS: dict[str, dict[str, Any]] = {
    "refresh_token": {
        "label": "Refresh Token",
        "description": "The long-lived secret of one connected cloud. Admin > Connect Dotypos fills it in.",
        "schema": {"type": ["string", "null"], "format": "password", "section": "Cloud"},
    },
    "cloud_id": {
        "label": "Cloud ID",
        "description": (
            "The number of the cloud to work in (it is not the client id). Admin > Connect Dotypos fills it in, too. "
            "Not at hand? Save without it and check the connection there: that names the clouds that the token may use."
        ),
        "schema": {"type": ["string", "null"], "pattern": "^[0-9]{1,10}$", "section": "Cloud"},
    },
    "cloud_name": {
        "label": "Cloud name",
        "description": (
            "For people, in logs and lists. Admin > Connect Dotypos fills it in; correct it if you change Cloud ID."
        ),
        "schema": {"type": ["string", "null"], "section": "Cloud"},
    },
    "timeout": {
        "label": "Timeout",
        "description": "Longest wait for one whole answer, in seconds, up to 3600. Empty: 60.",
        "schema": {"type": ["number", "null"], "minimum": 0.1, "maximum": 3600, "section": "Advanced"},
    },
    "requests_per_minute": {
        "label": "Requests per minute",
        "description": "Ceiling for each task; an Airflow pool limits across tasks. Empty: no limit.",
        "schema": {"type": ["number", "null"], "minimum": 0.01, "maximum": 60000, "section": "Advanced"},
    },
    "request_budget": {
        "label": "Request budget",
        "description": (
            "Most requests to a cloud in any such time, as in 150/30min, by all tasks together. Further requests wait. "
            "Empty: none."
        ),
        "schema": {"type": ["string", "null"], "section": "Advanced"},
    },
    "max_concurrency": {
        "label": "Max concurrency",
        "description": "Most requests under way at once, for each task, up to 64. Empty: 4.",
        "schema": {"type": ["integer", "null"], "minimum": 1, "maximum": 64, "section": "Advanced"},
    },
    "deleted_filter": {
        "label": "Deleted filter",
        "description": (
            "What one filter for live and deleted rows does with rows that have no deletion marker: shows_null or "
            "hides_null. airflow dotypos check --probe --save fills it in. Empty: unknown."
        ),
        "schema": {"type": ["string", "null"], "pattern": "^(shows|hides)_null$", "section": "Advanced"},
    },
    "webhook_secret": {
        "label": "Webhook Secret",
        "description": (
            "Makes the addresses of webhooks secret: 16 characters or more, of your choice. Empty: they are derived "
            "from Refresh Token, and change with it. After a change, register the webhooks again."
        ),
        "schema": {"type": ["string", "null"], "format": "password", "section": "Advanced"},
    },
    "allow_http": {
        "label": "Allow plain HTTP",
        "description": "Only for a sandbox on another host: lets API base URL start with http://. Off by default.",
        "schema": {"type": ["boolean", "null"], "section": "Advanced"},
    },
}

#: Settings of Airflow's own configuration.
CONFIG: dict[str, Any] = {
    "dotypos": {
        "description": "How Airflow works with Dotypos.",
        "options": {
            "webhooks": {
                "description": (
                    "Whether the API server receives webhooks of Dotypos, below /dotypos-webhooks. Each address holds "
                    "a secret. Without this it answers 404 there."
                ),
                "version_added": "0.1.0",
                "type": "boolean",
                "example": "True",
                "default": "False",
            },
        },
    },
}


def provider_info() -> dict[str, Any]:
    """Return the provider's metadata, as Airflow's provider_info schema has it."""
    integration = "Dotypos"
    return {
        "package-name": "airflow-provider-dotypos",
        "name": HOOK_NAME,
        "description": "`Dotypos (Dotykačka) <https://www.dotypos.com/>`__, a point-of-sale cloud.",
        "integrations": [
            {
                "integration-name": integration,
                "external-doc-url": "https://docs.api.dotypos.com/",
                "tags": ["service"],
            }
        ],
        "hooks": [{"integration-name": integration, "python-modules": ["airflow_provider_dotypos.hooks.dotypos"]}],
        "operators": [
            {
                "integration-name": integration,
                "python-modules": [
                    f"airflow_provider_dotypos.operators.{module}"
                    for module in (
                        *("dotypos", "plan_writes", "apply_plan", "write", "stock", "pos_action"),
                        *("sales_report_check", "freshness_check", "webhooks"),
                        *("compact", "prune", "erase_customer"),
                    )
                ],
            }
        ],
        "sensors": [{"integration-name": integration, "python-modules": ["airflow_provider_dotypos.sensors.dotypos"]}],
        "triggers": [
            {
                "integration-name": integration,
                "python-modules": [
                    f"airflow_provider_dotypos.triggers.{module}"
                    for module in ("entity", "entity_event", "pos_action", "stock_taking")
                ],
            }
        ],
        "transfers": [
            {
                "source-integration-name": integration,
                "target-integration-name": target,
                "python-module": f"airflow_provider_dotypos.transfers.{module}",
            }
            for target, module in (
                ("Object Storage", "dotypos_to_object_storage"),
                ("Object Storage", "dotypos_entities_to_object_storage"),
                ("SQL", "dotypos_to_sql"),
                ("SQL", "dotypos_entities_to_sql"),
            )
        ],
        "notifications": ["airflow_provider_dotypos.notifications.failure.DotyposFailureNotifier"],
        "asset-uris": [
            {
                "schemes": [ASSET_SCHEME],
                "handler": "airflow_provider_dotypos.assets.sanitize_uri",
                "factory": "airflow_provider_dotypos.assets.create_asset",
                "to_openlineage_converter": "airflow_provider_dotypos.assets.convert_asset_to_openlineage",
            }
        ],
        "extra-links": [
            "airflow_provider_dotypos.transfers.links.CloudLink",
            "airflow_provider_dotypos.transfers.links.FilesLink",
        ],
        "config": CONFIG,
        "cli": ["airflow_provider_dotypos.cli.airflow_commands"],
        "connection-types": [
            {
                "connection-type": CONN_TYPE,
                "hook-class-name": HOOK_CLASS,
                "hook-name": HOOK_NAME,
                "ui-field-behaviour": UI_FIELD_BEHAVIOUR,
                "conn-fields": CONN_FIELDS,
            }
        ],
    }
