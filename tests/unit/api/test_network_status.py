from __future__ import annotations

import pytest
from fakes import server as fakes
from fakes.server import FakeServer, document

from pumas import PumasApi
from pumas.config import Config
from pumas.errors import Cancelled, NetworkError
from pumas.net.http import Request
from pumas.rpc.wrapping import network_status_response


def test_the_status_tells_of_the_requests_that_were_made(tmp_path):
    with FakeServer(lambda call: document([])) as server, PumasApi(tmp_path, config=Config(retry_base_s=0)) as api:
        assert api.get_network_status().total_requests == 0
        http = api._root.http
        http.fetch(Request(url=server.url))
        server.fail(fakes.status(501), times=3)
        for _ in range(3):
            with pytest.raises(NetworkError):
                http.fetch(Request(url=server.url))
        status = network_status_response(api.get_network_status())
        assert (status.total_requests, status.success_rate) == (4, 25.0)
        assert (status.circuit_states, status.is_offline) == ({"127.0.0.1": "open"}, True)


def test_who_works_offline_is_told_so(tmp_path):
    with PumasApi(tmp_path, config=Config(offline=True)) as api:
        assert api.get_network_status().is_offline


def test_a_closed_root_asks_nothing_more(tmp_path):
    with PumasApi(tmp_path, config=Config()) as api:
        http = api._root.http
    with pytest.raises(Cancelled):
        http.fetch(Request(url="http://127.0.0.1:9/"))
