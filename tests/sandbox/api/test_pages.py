"""The page at the sandbox's root."""

from __future__ import annotations

import json
import re
import shlex
from html import unescape

import requests

from airflow_provider_dotypos.sandbox import Fault, Sandbox
from tests.patience import PATIENCE


def home(sandbox: Sandbox) -> requests.Response:
    return requests.get(f"{sandbox.url}/", timeout=PATIENCE)


def test_it_shows_the_connection_to_paste_and_what_there_is(sandbox: Sandbox, cloud: int) -> None:
    sandbox.shop.insert(cloud, "tags", {"name": "vegan"})
    page = home(sandbox)
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    (command,) = re.findall(r"<pre>(.*)</pre>", page.text)
    assert json.loads(shlex.split(unescape(command))[-1]) == sandbox.connection()
    for allowed in sandbox.allowed_clouds():
        assert allowed["name"] in unescape(page.text)
    assert str(sandbox.foreign_cloud_id) not in page.text
    assert "<code>tags</code></th><td class=number>1</td><td class=number>0</td>" in page.text
    assert "Allow plain HTTP" not in page.text


def test_another_host_is_shown_the_switch(sandbox: Sandbox) -> None:
    url = sandbox.url
    sandbox.host = "0.0.0.0"
    try:
        page = requests.get(url, timeout=PATIENCE).text
    finally:
        sandbox.host = "127.0.0.1"
    assert "Allow plain HTTP" in page
    assert "Docker Compose" in page


def test_a_name_is_no_markup(sandbox: Sandbox, cloud: int) -> None:
    sandbox.shop.update(0, "clouds", cloud, {"name": "<b>Bistro"})
    assert "<b>Bistro" not in home(sandbox).text


def test_it_belongs_to_the_controls_and_the_api_keeps_its_own_404(sandbox: Sandbox) -> None:
    sandbox.faults.append(Fault("500", times=2))
    assert home(sandbox).status_code == 200
    assert sandbox.requests == []
    sandbox.faults.clear()
    for path in ("/v2", "/index.html"):
        answer = requests.get(sandbox.url + path, timeout=PATIENCE)
        assert (answer.status_code, answer.json()["reason"]) == (404, "NOT_FOUND")
