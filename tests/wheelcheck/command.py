"""Install the wheel into an empty environment on each Airflow, and try it. Ends with 1 if something is wrong."""

# ruff: noqa: T201 (a command, which prints)

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from demo import children
from tests.release.checks import version_of
from tests.release.distributions import BuildError, build_wheel
from tests.ui.airflow_server import AirflowHome
from tests.wheelcheck.trials import TRIALS, Installed

CHECKOUT = Path(__file__).parents[2]


def main(argv: Sequence[str] | None = None) -> int:
    """Try the wheel; return the exit code."""
    constraints = {path.stem.removeprefix("airflow-"): path for path in (CHECKOUT / "constraints").glob("*.txt")}
    parser = argparse.ArgumentParser(prog="make wheelcheck", description=__doc__)
    parser.add_argument("--airflow", nargs="+", choices=sorted(constraints), default=sorted(constraints, reverse=True))
    parser.add_argument("--wheel", type=Path, help="a wheel of this version (default: built of the checkout)")
    asked = parser.parse_args(argv)
    failed = False
    with tempfile.TemporaryDirectory(prefix="wheelcheck-") as temporary:
        folder = Path(temporary)
        try:
            wheel = (asked.wheel or build_wheel(CHECKOUT, folder / "dist")).resolve()
        except BuildError as error:
            print(f"The wheel couldn't be built:\n{error}", file=sys.stderr)
            return 1
        for airflow in asked.airflow:
            environment = folder / airflow
            failed |= not try_on(airflow, constraints[airflow], wheel, environment)
            shutil.rmtree(environment)
    print("Something is wrong." if failed else "The wheel works on all of them.")
    return int(failed)


def try_on(airflow: str, constraints: Path, wheel: Path, folder: Path) -> bool:
    """Install a wheel beside an Airflow, try it, and return whether all is right.

    :param constraints: of that Airflow.
    :param folder: for the environment and Airflow's home.
    """
    began = time.monotonic()

    def say(what: str) -> None:
        minutes, seconds = divmod(round(time.monotonic() - began), 60)
        print(f"  {minutes}:{seconds:02d}  {what}", flush=True)

    print(f"Airflow {airflow}, Python {'.'.join(map(str, sys.version_info[:3]))}", flush=True)
    python = install(constraints, wheel, folder / "environment")
    say("the wheel is installed")
    (folder / "home").mkdir()
    home = AirflowHome(folder / "home", interpreter=str(python), directory=folder / "home")
    home.cli("db", "migrate")
    examples = {path.stem for path in (CHECKOUT / "example_dags").glob("*.py")}
    installed = Installed(home, airflow, version_of(CHECKOUT), examples, wheel, constraints.resolve())
    right = True
    for trial in TRIALS:
        what = str(trial.__doc__).splitlines()[0]
        try:
            trial(installed)
        except Exception:
            right = False
            traceback.print_exc()
            say(f"WRONG: {what}")
        else:
            say(what)
    return right


def install(constraints: Path, wheel: Path, environment: Path) -> Path:
    """Make an environment with a wheel and what it asks for, and return its Python."""
    children.run([sys.executable, "-m", "venv", environment], check=True)
    python = environment / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-c", constraints]
    children.run([*pip, wheel], check=True, cwd=environment)
    return python
