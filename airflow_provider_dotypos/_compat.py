"""The one file that knows Airflow's versions (3.1 to 3.3), and knows nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib import import_module
from typing import Any, NamedTuple, TypeVar, cast

from airflow_provider_dotypos.api.errors import DotyposInputError
from airflow_provider_dotypos.provider_info import CONN_FIELDS, UI_FIELD_BEHAVIOUR

T = TypeVar("T")


def fail_exception() -> type[Exception]:
    """Return the exception that fails a task at once, whatever its retries."""
    return _exception("AirflowFailException")


def reschedule_exception(at: datetime) -> Exception:
    """Return the exception that gives the slot back and runs the task again at a time."""
    return _exception("AirflowRescheduleException")(at)


def skip_exception(message: str) -> Exception:
    """Return the exception that skips a task."""
    return _exception("AirflowSkipException")(message)


def missing_connection() -> type[Exception]:
    """Return the exception that Airflow raises if there is no connection of an id."""
    return _exception("AirflowNotFoundException")


def _exception(name: str) -> type[Exception]:
    """Return one of Airflow's exceptions from where the version keeps it."""
    try:
        exception = getattr(import_module("airflow.sdk.exceptions"), name)
    except AttributeError:  # 3.1
        exception = getattr(import_module("airflow.exceptions"), name)
    return cast("type[Exception]", exception)


def default_deferrable() -> bool:
    """Return whether sensors wait in the triggerer by default, as Airflow is configured."""
    deferrable: bool = _configuration().getboolean("operators", "default_deferrable", fallback=False)
    return deferrable


def retry_policy() -> type[Any]:
    """Return the base of retry policies; any class's own where there are none (before 3.3)."""
    policy: type[Any] = getattr(import_module("airflow.sdk"), "RetryPolicy", object)
    return policy


def has_retry_policies() -> bool:
    """Return whether tasks have retry policies (Airflow 3.3)."""
    return retry_policy() is not object


def retry_decision() -> Any:
    """Return what makes a retry policy's decisions (Airflow 3.3)."""
    return import_module("airflow.sdk").RetryDecision


def form_behaviour() -> dict[str, Any]:
    """Return the form's standard fields as Airflow 3.1 asks for them: the same, in another case."""
    return {key.replace("-", "_"): value for key, value in UI_FIELD_BEHAVIOUR.items()}


def form_widgets() -> dict[str, Any]:
    """Return the form's own fields as the widgets that Airflow 3.1 asks for (its API server stands in for wtforms)."""
    from wtforms import BooleanField, IntegerField, PasswordField, StringField
    from wtforms.validators import Optional

    def widget(declared: dict[str, Any]) -> Any:
        schema = declared["schema"]
        kinds = {"integer": IntegerField, "number": IntegerField, "boolean": BooleanField}
        kind = PasswordField if schema.get("format") == "password" else kinds.get(schema["type"][0], StringField)
        field = kind(declared["label"], description=declared["description"], validators=[Optional()])
        # The stand-in keeps what the form is drawn from as a JSON Schema, which knows sections and limits as well.
        known = getattr(getattr(field, "param", None), "schema", None)
        if isinstance(known, dict):
            known.update(schema)
        return field

    return {name: widget(declared) for name, declared in CONN_FIELDS.items()}


def lineage_collector() -> Any | None:
    """Return what collects hook lineage in this process; ``None`` if no plugin reads it.

    Airflow would make a collector that does nothing then, and import the assets of all providers for it.
    """
    try:
        plugins = import_module("airflow.sdk.plugins_manager")
    except ImportError:  # 3.1
        plugins = import_module("airflow.plugins_manager")
        plugins.initialize_hook_lineage_readers_plugins()
        readers, lineage = plugins.hook_lineage_reader_classes, "airflow.lineage.hook"
    else:
        readers, lineage = plugins.get_hook_lineage_readers_plugins(), "airflow.sdk.lineage"
    return import_module(lineage).get_hook_lineage_collector() if readers else None


def has_state_store() -> bool:
    """Return whether tasks and assets have a state store (Airflow 3.3)."""
    return hasattr(import_module("airflow.sdk.execution_time.context"), "AssetStateStoreAccessors")


class StateStores(NamedTuple):
    """Where a task keeps what outlives it.

    :param asset_name: the name of the task's first outlet asset.
    :param asset: that asset's state store; ``None`` if this Airflow has none (3.1, 3.2).
    :param task: the state store of the task instance, or ``None`` as well.
    """

    asset_name: str
    asset: Any | None = None
    task: Any | None = None


def state_stores(context: Any, outlets: Sequence[Any], *, own_outlets: bool = False) -> StateStores:
    """Return the state stores of the task's first outlet asset and of the task instance (both since 3.3).

    :param own_outlets: whether the operator has made the outlets itself. Airflow doesn't know those of a mapped task.
    :raises DotyposInputError: if the task has no such outlet. Earlier versions of Airflow need one as well: it is a
        part of the watermark's name, so that 3.3 finds it.
    """
    asset = next((outlet for outlet in outlets if hasattr(outlet, "uri") and hasattr(outlet, "name")), None)
    stores = has_state_store()
    unknown = own_outlets and getattr(context.get("ti"), "is_mapped", None) is True
    if asset is None or unknown or (stores and "asset_state_store" not in context):
        raise DotyposInputError(
            "going on from the last success needs an asset to keep the watermark on: give outlets=[Asset(...)] (of a "
            "mapped task in .partial()), or give a window with since and until"
        )
    if not stores:
        return StateStores(str(asset.name))
    return StateStores(str(asset.name), context["asset_state_store"][asset], context["task_state_store"])


class AssetState(NamedTuple):
    """An entry of an asset's state store, as Airflow's database holds it (3.3).

    :param asset: the asset's name.
    :param updated_at: when it was written.
    :param by: who wrote it: the DAG and task, or the API.
    """

    asset_id: int
    asset: str
    key: str
    value: Any
    updated_at: datetime
    by: str


def asset_states(prefix: str) -> list[AssetState]:
    """Return the entries of all assets' state stores whose keys begin with a prefix; none before Airflow 3.3.

    It asks Airflow's database, which commands can reach, and tasks can't.
    """
    if not has_state_store():
        return []
    model, asset = _state_model(), import_module("airflow.models.asset").AssetModel
    query = import_module("sqlalchemy").select(model, asset.name).join(asset, asset.id == model.asset_id)
    with import_module("airflow.utils.session").create_session() as session:
        return [
            AssetState(
                row.asset_id,
                name,
                row.key,
                json.loads(row.value),
                row.updated_at,
                "/".join(filter(None, (row.last_updated_by_dag_id, row.last_updated_by_task_id)))
                or str(row.last_updated_by_kind or ""),
            )
            for row, name in session.execute(query.where(model.key.startswith(prefix, autoescape=True)))
        ]


def write_asset_state(state: AssetState, value: Any) -> bool:
    """Replace an entry of an asset's state store, or remove it; return whether it was still as it is said to be.

    :param value: what JSON can hold; ``None`` removes it.
    :raises DotyposInputError: if this Airflow keeps states outside of its database.
    """
    backend = import_module("airflow.state").resolve_state_backend()
    metastore = import_module("airflow.state.metastore").MetastoreBackend
    if not issubclass(backend, metastore):
        raise DotyposInputError(
            f"this Airflow keeps the states of assets in {backend.__name__} ([state_store] backend), which a command "
            "can't change: change it there, or in a task of yours by context['asset_state_store']"
        )
    shared, model = import_module("airflow._shared.state"), _state_model()
    scope = shared.AssetScope(asset_id=state.asset_id)
    of_key = (model.asset_id == state.asset_id, model.key == state.key)
    with import_module("airflow.utils.session").create_session() as session:
        query = import_module("sqlalchemy").select(model.value).where(*of_key).with_for_update()
        if json.loads(session.scalar(query) or "null") != state.value:
            return False
        if value is None:
            backend().delete(scope, state.key, session=session)
        else:
            kind = shared.AssetStateStoreWriterKind.API
            backend().set_asset_state_store(scope, state.key, json.dumps(value), kind=kind, session=session)
        return True


def _state_model() -> Any:
    return import_module("airflow.models.asset_state_store").AssetStateStoreModel


def watcher_store(trigger: Any, asset: str | None) -> Any | None:
    """Return the state store of the asset that a trigger watches; ``None`` if this Airflow has none (3.1, 3.2).

    :param asset: the asset's name. It may be ``None`` if the trigger watches one asset only.
    :raises LookupError: if it watches no asset of this name.
    """
    stores = getattr(trigger, "asset_state_store", None)
    if stores is None or asset is None:
        return stores
    return stores[import_module("airflow.sdk").Asset.ref(name=asset)]


def stream_producer(producer: type[T]) -> type[T]:
    """Return a producer of a shared stream (3.3) as the class that Airflow knows."""
    base = import_module("airflow.triggers.shared_stream").SharedStreamProducer
    return cast("type[T]", type(producer.__name__, (producer, base), {}))


def stats() -> Any:
    """Return what sends Airflow's metrics from tasks."""
    try:
        module = import_module("airflow.sdk.observability.stats")
    except ImportError:  # 3.1
        module = import_module("airflow.stats")
    return module.Stats


def metrics_settings() -> Mapping[str, bool]:
    """Return which of the switches in ``[metrics]`` of Airflow's configuration are on."""
    conf = _configuration()
    names = ("statsd_on", "statsd_datadog_enabled", "otel_on", "statsd_influxdb_enabled")
    return {name: conf.getboolean("metrics", name, fallback=False) for name in names}


def _configuration() -> Any:
    """Return Airflow's configuration, as tasks read it."""
    try:
        return import_module("airflow.sdk.configuration").conf
    except ImportError:  # 3.1
        return import_module("airflow.configuration").conf
