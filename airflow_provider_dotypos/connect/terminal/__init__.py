"""``airflow dotypos connect``: a cloud is connected from a terminal."""
