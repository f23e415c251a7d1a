from __future__ import annotations

import pytest
from fakes import server as fakes
from fakes.github import FakeGitHub, release

from pumas.config import Config
from pumas.errors import BadAnswer, NotOnServer, RateLimited
from pumas.net.github import Page, fetch_releases
from pumas.net.http import HttpClient

REPO = "ollama/ollama"


@pytest.fixture
def github():
    with FakeGitHub(tokens=["good"]) as fake:
        fake.releases[REPO] = [release(f"v0.{n}.0") for n in range(250, 0, -1)]
        yield fake


@pytest.fixture
def fetch(github):
    clients = []

    def fetch(known=(), repo=REPO, **settings):
        config = Config(github_api_base=f"{github.url}/", retry_base_s=0, **settings)
        clients.append(HttpClient(config))
        return fetch_releases(clients[-1], config, repo, known)

    yield fetch
    for client in clients:
        client.close()


def tags(pages):
    return [one["tag_name"] for page in pages for one in page.releases]


def test_all_pages_come_in_order_with_every_field(github, fetch):
    pages = fetch()
    assert [one for page in pages for one in page.releases] == github.releases[REPO]
    assert github.requests() == [f"GET /repos/{REPO}/releases?per_page=100&page={n}" for n in (1, 2, 3)]
    assert github.calls[0].headers["user-agent"] == "ComfyUI-Version-Manager/1.0"
    assert github.calls[0].headers["accept"] == "application/vnd.github.v3+json"


def test_pages_that_did_not_change_are_not_sent_again(github, fetch):
    pages = fetch()
    left = github.remaining
    assert fetch(pages) == pages
    assert github.remaining == left
    github.releases[REPO][240]["body"] = "corrected"
    changed = fetch(pages)
    assert changed[2].releases[40]["body"] == "corrected"
    assert github.remaining == left - 1


def test_a_new_release_moves_all_pages(github, fetch):
    pages = fetch()
    github.releases[REPO].insert(0, release("v1.0.0"))
    assert tags(fetch(pages)) == ["v1.0.0", *tags(pages)]


def test_a_limit_that_is_used_up_says_for_how_long(github, fetch):
    github.remaining = 0
    with pytest.raises(RateLimited, match="in 600 seconds") as caught:
        fetch()
    assert caught.value.retry_after_s == 600
    assert len(github.calls) == 1


def test_a_limit_in_the_middle_gives_nothing_rather_than_half(github, fetch):
    github.remaining = 2
    with pytest.raises(RateLimited):
        fetch()


def test_a_token_is_sent_and_one_that_is_refused_is_left_out(github, fetch):
    fetch(github_token="good")
    assert {call.headers.get("authorization") for call in github.calls} == {"Bearer good"}
    github.calls.clear()
    assert len(tags(fetch(github_token="expired"))) == 250
    assert [call.headers.get("authorization") for call in github.calls] == ["Bearer expired", None, None, None]


def test_an_unknown_repository_is_told(fetch):
    with pytest.raises(NotOnServer):
        fetch(repo="a/b c")


@pytest.mark.parametrize(
    "fault",
    [fakes.json_body({"message": "x"}), fakes.json_body(None), fakes.json_body("x"), fakes.html(), fakes.body(b"")],
)
def test_an_answer_of_another_form_is_no_list(github, fetch, fault):
    github.fail(fault, path="page=2")
    with pytest.raises(BadAnswer):
        fetch()


def test_members_that_are_no_releases_are_left_out_and_count_for_the_page(github, fetch):
    github.releases[REPO] = [*([5] * 99), release("v2"), None, release("v1")]
    assert tags(fetch()) == ["v2", "v1"]


@pytest.mark.parametrize("wrong", ["ghp_a\nX-Header: 1", "ghp_ä"])
def test_a_token_that_can_be_none_is_left_out(github, fetch, caplog, wrong):
    assert len(tags(fetch(github_token=wrong))) == 250
    assert "authorization" not in github.calls[0].headers
    assert wrong not in caplog.text
    assert "GITHUB_TOKEN is not used" in caplog.text


def test_a_token_is_not_sent_over_an_open_connection():
    with FakeGitHub() as github:
        github.releases[REPO] = [release("v1")]
        config = Config(github_api_base=f"http://mirror.test:{github.port}", github_token="good", retry_base_s=0)
        client = HttpClient(config, resolve=lambda _: ["127.0.0.1"])
        try:
            assert tags(fetch_releases(client, config, REPO)) == ["v1"]
        finally:
            client.close()
        assert "authorization" not in github.calls[0].headers


@pytest.mark.parametrize("etag", ['"é"', '"a\nb"', "日本", "bare", f'"{"x" * 200_000}"'])
def test_an_etag_that_cannot_be_sent_back_is_not(github, fetch, etag):
    assert len(tags(fetch([Page(({"tag_name": "old"},), etag, is_full=False)]))) == 250
    assert "if-none-match" not in github.calls[0].headers
