"""DAGs in Airflow's database, as its DAG processor writes them, and the part of its scheduler that makes their runs."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from airflow.jobs.job import Job
from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
from airflow.models.dag import DagModel
from airflow.models.dagbundle import DagBundleModel
from airflow.models.dagrun import DagRun
from airflow.models.serialized_dag import SerializedDagModel
from airflow.sdk import DAG, Asset
from airflow.serialization.serialized_objects import LazyDeserializedDAG
from airflow.utils.session import create_session
from airflow.utils.sqlalchemy import prohibit_commit
from sqlalchemy import select

BUNDLE = "tests"


def write_dag(dag_id: str, asset: Asset, *, paused: bool = False, **more: Any) -> None:
    """Write a DAG without tasks that an asset starts."""
    with DAG(dag_id, schedule=[asset], **more) as dag:
        pass
    try:
        serialized_dag = import_module("airflow.serialization.definitions.dag").SerializedDAG
    except ImportError:  # 3.1
        serialized_dag = import_module("airflow.serialization.serialized_objects").SerializedDAG
    lazy = LazyDeserializedDAG.from_dag(dag)
    with create_session() as session:
        if session.get(DagBundleModel, BUNDLE) is None:
            session.add(DagBundleModel(name=BUNDLE))
            session.flush()
        serialized_dag.bulk_write_to_db(BUNDLE, None, [lazy], session=session)
        SerializedDagModel.write_dag(lazy, BUNDLE, session=session)
        session.get(DagModel, dag_id).is_paused = paused


def give_to_team(name: str) -> None:
    """Let all DAGs belong to a team (Airflow 3.3)."""
    with create_session() as session:
        bundle = session.get(DagBundleModel, BUNDLE)
        bundle.teams.append(import_module("airflow.models.team").Team(name=name))


def make_runs() -> None:
    """Make the runs that are due."""
    with create_session() as session, prohibit_commit(session) as guard:
        SchedulerJobRunner(job=Job())._create_dagruns_for_dags(guard, session)
        guard.commit()


def events_of_runs(dag_id: str) -> list[list[Any]]:
    """Return the events that each run of a DAG has taken in, by what they hold."""
    with create_session() as session:
        runs = session.scalars(select(DagRun).where(DagRun.dag_id == dag_id).order_by(DagRun.run_after))
        return [[event.extra for event in run.consumed_asset_events] for run in runs]
