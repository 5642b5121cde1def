"""The switches."""

from __future__ import annotations

import pytest

from airflow_provider_dotypos.sandbox import Behaviour


def test_behaviours_combine() -> None:
    all_of_them = list(Behaviour.combinations(timestamp_zone="Z", numbers="text", over_limit="refused"))
    assert len(set(all_of_them)) == 2**7
    with pytest.raises(ValueError, match="ties must be one of"):
        Behaviour(ties="sometimes")
    for seconds in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="commit_lag must be a number of seconds"):
            Behaviour(commit_lag=seconds)
    with pytest.raises(ValueError, match="nested_lists must be a number of rows"):
        Behaviour(nested_lists=-1)
