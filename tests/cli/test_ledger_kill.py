"""A gateway that is killed under load has told its ledger what it answered."""

import json
import signal
import threading
import time
import urllib.request
from http.client import HTTPException

import sqlalchemy as sa

from reshore.clock import SystemClock
from reshore.config import load
from reshore.ledger.database import reading
from reshore.ledger.ledger import open_ledger
from reshore.ledger.schema import requests

_CLIENTS = 4
_LOAD_S = 3.0


def _ask(url: str, acknowledged: dict[str, float]) -> None:
    """Ask as fast as answers come, until there is nobody to ask."""
    body = {"model": "tiny", "messages": [{"role": "user", "content": "hello"}]}
    request = urllib.request.Request(
        f"{url}/v1/chat/completions",
        data=json.dumps(body).encode(),
        headers={"content-type": "application/json"},
    )
    while True:
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:
                reply.read()
                acknowledged[reply.headers["x-request-id"]] = time.monotonic()
        except (OSError, HTTPException):
            return


def test_kill_9_under_load_loses_no_request_that_was_answered_a_second_before(home, serve):
    server = serve("--log-level", "error")  # nobody reads its log, and a full pipe would stop it
    acknowledged: dict[str, float] = {}
    clients = [
        threading.Thread(target=_ask, args=(server.url, acknowledged)) for _ in range(_CLIENTS)
    ]
    for client in clients:
        client.start()
    until = time.monotonic() + _LOAD_S
    while time.monotonic() < until:
        clients[0].join(0.05)
    killed = time.monotonic()
    server.process.send_signal(signal.SIGKILL)
    for client in clients:
        client.join()
    due = {request_id for request_id, at in acknowledged.items() if at < killed - 1.0}
    assert len(due) > 200

    with sa.create_engine(f"sqlite:///{home / 'ledger.db'}").connect() as connection:
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
    config = load()
    with open_ledger(config, SystemClock()):
        pass
    with reading(config) as connection:
        found = set(connection.execute(sa.select(requests.c.request_id)).scalars())
    assert due - found == set()
