"""How long a test waits for what must come."""

#: Seconds. No machine is so slow: only a fault lets a test wait to the end.
PATIENCE = 300.0
