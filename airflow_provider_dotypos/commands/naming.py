"""What the options of a command are called in an error: the package's errors name the arguments of Python functions."""

from __future__ import annotations

import re
from collections.abc import Iterable

from airflow_provider_dotypos.commands.options import Option

#: Other names of what an option gives, by the option's own.
_ALSO = {
    "conn_id": ("dotypos_conn_id",),
    "entity": ("entities",),
    "id": ("customer_id",),
    "manifest": ("destination",),
    "no_personal_data": ("personal_data",),
}

#: Where text names an argument: before its value; in a list after a word such as omit; at the beginning; and wherever a
#: name has an underscore. Any other name is also an English word, such as since. Names in paths, options
#: and quotation marks stay: they are of files, and of fields.
_WITH_VALUE = re.compile(r"(?<![\w./='\"-])([a-z]\w{0,40})=(True\b|False\b)?(?=(['\w])?)")
_IN_A_LIST = re.compile(
    r"\b(?:give|omit|use|compute|out with|name them in) [a-z_]{1,40}(?:(?:, | and | or )[a-z_]{1,40}){0,9}"
)
_FIRST = re.compile(r"^[a-z_]{1,40}(?![\w/(-])")
_SNAKE = re.compile(r"(?<![\w./='\"-])[a-z]{1,40}_\w{1,40}(?![\w/('\"-])")
_WORD = re.compile(r"[a-z_]{1,40}")


def with_options(text: str, options: Iterable[Option]) -> str:
    """Return an error's text with the options of a command in place of the arguments that it names."""
    labels = {}
    for flags, details in options:
        label = flags[-1]
        name = label.lstrip("-").replace("-", "_")
        label = label if label.startswith("-") else details.get("metavar", name.upper())
        labels.update(dict.fromkeys((name, *_ALSO.get(name, ())), label))

    def renamed(match: re.Match[str]) -> str:
        return _WORD.sub(lambda word: labels.get(word[0], word[0]), match[0])

    def before_value(match: re.Match[str]) -> str:
        name, switch, value = match.groups()
        return match[0] if name not in labels else labels[name] + (" " if value and not switch else "")

    text = _WITH_VALUE.sub(before_value, text)
    for pattern in (_IN_A_LIST, _FIRST, _SNAKE):
        text = pattern.sub(renamed, text)
    return text
