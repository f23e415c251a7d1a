from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pumas.net.rate_limit import RateLimit, retry_after_s

NOW = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "120"}, 120.0),
        ({"retry-after": " 0 "}, 0.0),
        ({"retry-after": "Tue, 14 Nov 2023 22:14:20 GMT"}, 60.0),
        ({"retry-after": "Tue, 14 Nov 2023 22:12:20 GMT"}, 0.0),
        ({"retry-after": "60", "date": "Tue, 14 Nov 2000 22:12:20 GMT"}, 60.0),
        ({"retry-after": "Tue, 14 Nov 2023 22:14:20 GMT", "date": "Tue, 14 Nov 2023 22:14:15 GMT"}, 5.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after": "999999999"}, 86400.0),
        ({"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"}, 86400.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1700000030"}, 30.0),
        ({"x-ratelimit-remaining": "1", "x-ratelimit-reset": "1700000030"}, None),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "then"}, None),
        ({"x-ratelimit-remaining": "0"}, None),
        ({"ratelimit": '"api";r=0;t=55'}, 55.0),
        ({"ratelimit": '"api";r=3;t=55'}, None),
        ({"ratelimit": '"api";r=0;t=' + "9" * 30}, None),
    ],
)
def test_when_a_server_wants_to_be_asked_again(headers, expected):
    assert retry_after_s(headers, NOW) == expected


@given(
    st.dictionaries(
        st.sampled_from(["retry-after", "date", "x-ratelimit-remaining", "x-ratelimit-reset", "ratelimit"]), st.text()
    )
)
def test_no_header_is_too_odd(headers):
    wait_s = retry_after_s(headers, NOW)
    assert wait_s is None or 0 <= wait_s <= 86400
    RateLimit().read(headers)
