"""
### Deliveries into stock

Each CSV file in the folder `deliveries` is a delivery: its name is the delivery note's number, and its lines say what
has come. This DAG books each of them once, however often it runs: a journal beside the folder says what is booked. A
file that changes after that fails its task, and so does a booking of which nobody knows whether it is done.

A file such as `DN-2026-17.csv` has these columns, and numbers with a decimal point:

    SKU,Pieces,Price
    SKU-1,24,18.50

The Airflow variable `dotypos_destination` says where the folder is. It defaults to one on the worker. For more than a
trial, set it to a bucket, such as `s3://aws_default@bucket/dotypos`. Set the variable `dotypos_warehouse_id` to the id
of the warehouse: `airflow dotypos peek warehouses` shows it.
"""

from __future__ import annotations

from datetime import datetime, timezone

from airflow.sdk import ObjectStoragePath, Variable, dag, task

from airflow_provider_dotypos import DotyposStockOperator


# [START dotypos_stock_up]
@dag(
    dag_id="example_dotypos_stock_up",
    schedule="*/30 * * * *",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    tags=["example", "dotypos"],
    doc_md=__doc__,
)
def stock_up() -> None:
    """Book each delivery once."""

    @task
    def deliveries() -> list[dict[str, str]]:
        """Return the deliveries: the file of each, and its number."""
        folder = ObjectStoragePath(f"{Variable.get('dotypos_destination', 'file:///tmp/dotypos')}/deliveries")
        files = sorted(folder.glob("*.csv"), key=str) if folder.exists() else []
        return [{"items": str(file), "document": file.stem} for file in files]

    DotyposStockOperator.partial(
        task_id="stock_up",
        operation="stock_up",
        warehouse_id="{{ var.value.dotypos_warehouse_id }}",
        # The supplier's columns, and the fields that they are.
        columns={"SKU": "externalId", "Pieces": "quantity", "Price": "purchasePrice"},
        update_purchase_price=True,
        # It must outlive the DAG run, and all workers must reach it.
        journal="{{ var.value.get('dotypos_destination', 'file:///tmp/dotypos') }}/journal",
        map_index_template="{{ task.document }}",
        # One after the other: after a lost answer the stock says what was booked, if nothing else moves it.
        max_active_tis_per_dag=1,
        retries=3,
    ).expand_kwargs(deliveries())


# [END dotypos_stock_up]

stock_up()
