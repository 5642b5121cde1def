"""What deliveries of a list say together."""

from __future__ import annotations

from airflow_provider_dotypos.api.watch import MOST_IDS, Change, digest, key_of
from airflow_provider_dotypos.webhooks.bodies import DeliveredRow
from airflow_provider_dotypos.webhooks.deliveries import LOOKBACK, MOST_ROWS, Deliveries

NOW = 1_790_000_000_000


def row(number: int, changed: int = NOW - 1_000) -> DeliveredRow:
    return DeliveredRow(str(number), changed, digest(str(number), changed))


def unnamed(changed: int = NOW - 1_000) -> DeliveredRow:
    """A row whose id has lost digits."""
    return DeliveredRow(None, changed, digest("all of it", changed))


def together(*deliveries: list[DeliveredRow]) -> Deliveries:
    gathered = Deliveries(NOW)
    for number, rows in enumerate(deliveries):
        gathered.add(rows, NOW + number)
    return gathered


def change_of(*deliveries: list[DeliveredRow]) -> Change:
    fresh = together(*deliveries).change((), ())
    assert fresh is not None
    return fresh[0]


def test_named_rows_give_the_window_of_their_changes() -> None:
    rows = [row(10, NOW - 5_000), row(9, NOW - 3_000)]
    assert change_of(rows[:1], rows[1:]) == Change(
        NOW - 5_000, NOW - 2_999, 2, ids=("9", "10"), newest=NOW - 3_000, key=key_of(each.digest for each in rows)
    )


def test_a_row_that_changed_twice_counts_once() -> None:
    change = change_of([row(1, NOW - 9), row(1, NOW - 5)])
    assert (change.count, change.ids, change.since, change.until) == (1, ("1",), NOW - 9, NOW - 4)


def test_the_order_of_deliveries_makes_no_difference() -> None:
    assert change_of([row(1)], [row(2)]) == change_of([row(2)], [row(1)]) == change_of([row(2), row(1)])


def test_many_rows_are_counted_and_not_named() -> None:
    change = change_of([row(number) for number in range(MOST_IDS + 1)])
    assert (change.count, change.ids) == (MOST_IDS + 1, None)


def test_what_is_not_named_gives_a_window_that_begins_earlier_and_holds_now() -> None:
    for deliveries in ([[]], [[DeliveredRow(None, None, None)]], [[row(1), unnamed()]], [[row(1)], []]):
        change = change_of(*deliveries)
        assert (change.count, change.ids) == (None, None)
        assert change.since <= NOW - LOOKBACK
        assert change.until > NOW


def test_a_window_holds_every_row_whatever_their_number() -> None:
    rows = [row(number, NOW - number) for number in range(1, MOST_ROWS + 500)]
    gathered = together(rows)
    fresh = gathered.change((), ())
    assert fresh is not None
    assert len(gathered.rows) == len(fresh[1]) == MOST_ROWS
    assert fresh[0].since <= NOW - MOST_ROWS - 499 - LOOKBACK
    assert fresh[0].count is None


def test_reported_rows_are_left_out() -> None:
    rows = [row(1), row(2)]
    fresh = together(rows).change({rows[0].digest}, ())
    assert fresh is not None
    assert (fresh[0].ids, fresh[1]) == (("2",), [rows[1].digest])
    assert together(rows).change({each.digest for each in rows}, ()) is None
    assert together(rows).change((), {key_of(each.digest for each in rows)}) is None


def test_something_unknown_is_never_reported_before() -> None:
    ping, again = change_of([]), change_of([])
    assert ping.key != again.key
    assert together([row(1)], []).change({row(1).digest}, ()) is not None


def test_a_row_without_its_id_is_reported_once() -> None:
    fresh = together([unnamed()]).change((), ())
    assert fresh is not None
    assert together([unnamed()]).change(fresh[1], ()) is None
