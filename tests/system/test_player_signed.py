"""The album with signed addresses: a browser plays it, and the same addresses without a good token get nothing."""

from __future__ import annotations

import contextlib
import json
import re
import time
import urllib.error
import urllib.request

import pytest
from access_support import spoilt
from demo_support import Children
from run_support import SecureAlbum, place, program, served_securely  # noqa: F401

from serve import docroot, player_check, signing

SEGMENT = "02/flac-16-44/00001.m4s"


@pytest.fixture
def listing(served_securely):
    """The listing of the signed album, which a test may spoil."""
    file = served_securely.root / "signed.json"
    kept = file.read_text()
    yield file
    file.write_text(kept)


def play(served: SecureAlbum, engine: str) -> player_check.Outcome:
    children = Children()
    try:
        case = player_check.Case(engine, 1, "flac-16-44", 4.6, album="signed")
        return player_check.run(served.url, served.root, [case], children, trusted=served.identity.leaf, timeout_s=120)[0]
    finally:
        children.stop_all()


@pytest.mark.parametrize("engine", ["hls", "shaka"])
def test_a_browser_plays_the_signed_album(served_securely, engine):
    outcome = play(served_securely, engine)
    if outcome.faults:  # a machine that is busy elsewhere may make the first late
        outcome = play(served_securely, engine)
    assert outcome.faults == [] and outcome.protocols == ["h2"], outcome.line()
    assert outcome.bytes_received > 50_000


@pytest.mark.parametrize("engine", ["hls", "shaka"])
@pytest.mark.parametrize("change", [spoilt, lambda _: ""], ids=["spoilt", "none"])
def test_a_browser_does_not_play_it_without_a_good_token(served_securely, listing, engine, change):
    album = json.loads(listing.read_text())
    token = re.search(r"=([^/]+)/", album["base"])[1]
    album["base"] = album["base"].replace(f";{signing.ATTRIBUTE}={token}", f";{signing.ATTRIBUTE}={change(token)}" if change(token) else "")
    waited_for_new_listing(served_securely, listing, json.dumps(album))
    outcome = play(served_securely, engine)
    assert outcome.startup_ms is None and outcome.files_received == 0, outcome.line()
    assert any("status 403" in fault for fault in outcome.faults), outcome.faults


def waited_for_new_listing(served: SecureAlbum, listing, text: str) -> None:
    """The node may keep the former one for two seconds."""
    listing.write_text(text)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with urllib.request.urlopen(served.url + "signed.json", context=served.context(), timeout=10) as answer:
            if answer.read().decode() == text:
                return
        time.sleep(0.2)
    raise AssertionError("the node goes on serving the former listing")


def status_of(served: SecureAlbum, path: str) -> tuple[int, bytes, str]:
    try:
        with urllib.request.urlopen(served.url + path, context=served.context(), timeout=10) as answer:
            return answer.status, answer.read(), answer.headers.get("Cache-Status", "")
    except urllib.error.HTTPError as error:
        with contextlib.closing(error):
            return error.code, error.read(), ""


def test_a_token_opens_what_it_is_for_and_nothing_else_does(served_securely):
    key, signer = served_securely.made.key, served_securely.signer
    content = (served_securely.made.folder / SEGMENT).read_bytes()

    def ask(token: str | None, of: str = key) -> tuple[int, bytes, str]:
        return status_of(served_securely, f"signed{f';{signing.ATTRIBUTE}={token}' if token is not None else ''}/{of}/{SEGMENT}")

    good = signer.token(key)
    assert ask(good)[:2] == (200, content)
    refusals = [ask(None), ask(""), ask("x.y.z"), ask(spoilt(good)), ask(good[:-1]), ask(signer.token(key, life_s=-1)),
                ask(signing.Signer().token(key)), ask(signer.token("another")), ask(signer.token("another"), "another")]
    assert [refusal[0] for refusal in refusals[:-1]] == [403] * (len(refusals) - 1)
    assert refusals[-1][0] == 404  # let in, where there is nothing
    assert len({refusal[1] for refusal in refusals[:-1]}) == 1  # and none says more than another


def test_one_copy_serves_whoever_may_listen_and_tokens_stay_at_the_node(served_securely):
    key = served_securely.made.key
    for life_s in (1000, 2000):
        token = served_securely.signer.token(key, life_s)
        _, _, cache_status = status_of(served_securely, f"signed;{signing.ATTRIBUTE}={token}/{key}/02/opus-160/00001.m4s")
    assert re.search(r";\s*hit\b", cache_status), cache_status
    log = served_securely.origin_log.read_text()
    assert f"/signed/{key}/02/opus-160/00001.m4s" in log and signing.ATTRIBUTE not in log


def test_the_open_album_needs_no_token(served_securely):
    assert status_of(served_securely, f"album/{served_securely.made.key}/{SEGMENT}")[0] == 200


def test_each_listing_has_a_token_of_its_own(served_securely, listing):
    before = listing.read_text()
    docroot.sign(served_securely.root, served_securely.made.folder, served_securely.made.key, served_securely.signer)
    assert listing.read_text() != before
