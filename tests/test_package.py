"""The wheel where only it is installed. What is in it is tested in `tests/release`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from email.parser import Parser
from importlib.metadata import requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from demo import children
from tests.release.checks import version_of
from tests.release.distributions import build_wheel
from tests.ui.airflow_server import AirflowHome
from tests.wheelcheck.trials import Installed, short_names_are_imported

ROOT = Path(__file__).parents[1]
AIRFLOW = tuple(int(part) for part in version("apache-airflow-core").split(".")[:2])


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(ROOT, tmp_path_factory.mktemp("wheel"), isolated=False)


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of an environment with the wheel, and what it needs lent by this one."""
    folder = tmp_path_factory.mktemp("installed")
    _checked(sys.executable, "-m", "venv", "--without-pip", str(folder))
    python = folder / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(python))
    _checked(*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel))
    # Folders that a .pth file names come last, and their own .pth files (ours: the checkout) don't count.
    site = Path(_checked(str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    paths = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
    (site / "lent.pth").write_text("\n".join(paths))
    return python


@pytest.mark.parametrize("constraints", sorted((ROOT / "constraints").glob("*.txt")), ids=lambda path: path.stem)
def test_what_the_tests_run_with_is_what_the_package_allows(constraints: Path) -> None:
    """The floor of urllib3 is a matter of safety: see pyproject.toml."""
    requirements = [Requirement(line) for line in requires("airflow-provider-dotypos") or () if "extra ==" not in line]
    floors = {requirement.name: requirement.specifier for requirement in requirements}
    pinned = dict(line.split(" ;")[0].split("==") for line in constraints.read_text().splitlines() if "==" in line)
    assert floors.keys() <= pinned.keys()
    assert not {name: pinned[name] for name, floor in floors.items() if pinned[name] not in floor}


def test_duckdb_comes_with_what_it_gives_times_to_python_by(wheel: Path) -> None:
    """Without pytz no load works. DuckDB doesn't ask for it, and the environment of the tests has it by chance."""
    with zipfile.ZipFile(wheel) as opened:
        (name,) = (name for name in opened.namelist() if name.endswith(".dist-info/METADATA"))
        asked = Parser().parsestr(opened.read(name).decode()).get_all("Requires-Dist", [])
    extra = {r.name for r in map(Requirement, asked) if r.marker and 'extra == "duckdb"' in str(r.marker)}
    assert {"apache-airflow-providers-duckdb", "pyarrow", "pytz"} <= extra


def test_every_short_name_is_imported_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    """`make wheelcheck` tries more, in environments that hold what the package asks for and nothing else."""
    home = AirflowHome(tmp_path, interpreter=str(installed), directory=tmp_path)
    short_names_are_imported(Installed(home, version("apache-airflow-core"), version_of(ROOT), set()))


@pytest.fixture(scope="module")
def seen_by_airflow(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What a process of Airflow prints: the names of our examples, on 3.3, and then what it shows of the provider."""
    code = """
import sys
from airflow import __main__
if "examples" in sys.argv:
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    bundles = [bundle for bundle in DagBundlesManager().get_all_dag_bundles() if "dotypos" in bundle.name]
    print(*(file.name for bundle in bundles for file in bundle.path.iterdir()))
sys.argv = "airflow providers get airflow-provider-dotypos --full --output json".split()
__main__.main()
"""
    asked = ("examples",) if AIRFLOW >= (3, 3) else ()
    home = tmp_path_factory.mktemp("home")
    return _checked(str(installed), "-c", code, *asked, home=home, AIRFLOW__CORE__LOAD_EXAMPLES="True").splitlines()


def test_airflow_shows_the_installed_provider_whole(seen_by_airflow: list[str]) -> None:
    (shown,) = json.loads(seen_by_airflow[-1])
    assert (shown["package-name"], shown["name"]) == ("airflow-provider-dotypos", "Dotypos")
    for folder in ("hooks", "operators", "sensors", "transfers", "triggers"):
        entries = shown.get(folder, [])
        told = {name for entry in entries for name in entry.get("python-modules", [entry.get("python-module")])}
        assert told == {f"airflow_provider_dotypos.{folder}.{name}" for name in _imported_by_dags(folder)}
    assert [kind["connection-type"] for kind in shown["connection-types"]] == ["dotypos"]
    assert shown["documentation-url"].strip().startswith("https://")


@pytest.mark.skipif(AIRFLOW < (3, 3), reason="Airflow finds the examples of providers from 3.3 on")
def test_airflow_finds_the_examples_of_the_installed_provider(seen_by_airflow: list[str]) -> None:
    names = {name for line in seen_by_airflow[:-1] for name in line.split() if name.endswith(".py")}
    assert names == {path.name for path in (ROOT / "example_dags").glob("*.py")}


def _run(*command: str, home: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHONPATH"))}
    airflow = {"AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"} if home else {}
    return children.run(command, env=own | airflow | environment, cwd=home or ROOT, capture_output=True, text=True)


def _checked(*command: str, home: Path | None = None, **environment: str) -> str:
    done = _run(*command, home=home, **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _imported_by_dags(folder: str) -> list[str]:
    """Return the modules of a folder with what DAGs import; beside some lies what they are made of."""
    patterns = {
        "hooks": ("dotypos*.py",),
        "transfers": ("dotypos*.py",),
        "triggers": ("entity*.py", "pos_action.py", "stock_taking.py"),
    }
    room = ROOT / "airflow_provider_dotypos" / folder
    names = {path.stem for pattern in patterns.get(folder, ("[!_]*.py",)) for path in room.glob(pattern)}
    return sorted(names - {"sales_check", "upkeep"})  # what operators share
