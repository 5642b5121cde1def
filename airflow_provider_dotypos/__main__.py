"""``python -m airflow_provider_dotypos …``: the commands of ``airflow dotypos …``, on every version of Airflow."""

import sys

from airflow_provider_dotypos.cli import main

if __name__ == "__main__":
    sys.exit(main())
