"""The Dotypos API v2. No Airflow in here."""
