"""Since when a list has fields that the entity table doesn't know: a note beside the folders of its sets.

The log says with it what is news. It is read and written only while there are such fields, so a run costs nothing more
otherwise. Manifests say the same for good; nothing is decided by the note, and it may be lost.
"""

from __future__ import annotations

import msgspec

from airflow_provider_dotypos.storage.store import Store
from airflow_provider_dotypos.transfers.news import FirstSeen, with_first_seen
from airflow_provider_dotypos.transfers.rows.new_fields import NewFieldsByTable

#: The note's name. An underscore hides what isn't data from engines that read a folder whole.
NAME = "_new_fields.json"

_MOST_BYTES = 2**20


def note_first_seen(store: Store, new_fields: NewFieldsByTable, since: str) -> FirstSeen | None:
    """Return when a list's fields were seen before, and note those that weren't; ``None`` if that can't be found out.

    :param store: the folder of the list.
    :param since: where the window begins in which they were seen now.
    """
    try:
        earlier = _read(store)
        seen = with_first_seen(earlier, new_fields, since)
        if seen != earlier:
            store.put_bytes(msgspec.json.encode(seen), NAME)
    except Exception:  # of a store that fails, or of somebody's file of that name: the set is committed
        return None
    return earlier


def _read(store: Store) -> dict[str, dict[str, str]]:
    try:
        data = store.read(NAME)
    except FileNotFoundError:
        return {}
    return msgspec.json.decode(data[:_MOST_BYTES], type=dict[str, dict[str, str]])
