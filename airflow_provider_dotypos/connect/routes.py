"""Where the page is: imported by everyone who links to it, so it imports nothing."""

from __future__ import annotations

#: Where Airflow's API server mounts the page.
PATH = "/dotypos"

#: Where the connector sends the person back to, below the page's or the listener's own address.
CALLBACK = "callback"
