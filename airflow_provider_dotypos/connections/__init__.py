"""Airflow connections of type ``dotypos``: find, list, check, create, update."""
