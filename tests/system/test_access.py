"""Who may listen, as operators configure it and listeners meet it: rules, signed URIs and Common Access Tokens made by other implementations,
territories, licences, renewal, and reloads of all of that under a node that serves."""

from __future__ import annotations

import contextlib
import json
import re
import time
from pathlib import Path

import pytest
from access_support import Key, now, replace, spoilt, write_keys, write_territories
from node_support import Node, group, until
from origin_support import ScriptedOrigin, content
from wire_support import Wire, ask, curl, request

SONG = content(100_000)
PREVIEW = content(5_000)
EVERY_CLIENT = ("127.0.0.0/8", "::1/128", "198.18.0.0/15", "fd6e:6663::/32")  # on either transport

ONE, TWO, SHARED, STRANGER = Key("one"), Key("two"), Key("shared", shared=True), Key("one")

RULES = """\
[[access.rules]]
name = "previews"
host = "music.example"
path = "/previews"
mode = "open"
[[access.rules]]
name = "vault"
host = "music.example"
path = "/albums/vault"
mode = "denied"
[[access.rules]]
name = "albums"
host = "music.example"
path = "/albums"
mode = "signed"
key_sets = ["label"]
"""


class House:
    """A node with rules, its origin, and what an operator keeps beside them."""

    def __init__(self, place: Path, ending: contextlib.ExitStack, rules: str = RULES, *, keys: tuple[dict, ...] = (ONE.public(), SHARED.public()),
                 territory: str = "", **options):
        self.keys, self.territories, self.log = place / "keys.json", place / "countries.mmdb", place / "access.jsonl"
        write_keys(self.keys, *keys)
        if territory:
            write_territories(self.territories, territory, *EVERY_CLIENT)
        self.origin = ending.enter_context(contextlib.closing(ScriptedOrigin()))
        for path in ("/albums/1/a.m4s", "/albums/2/b.m4s", "/albums/vault/c.m4s", "/elsewhere"):
            self.origin.on(path, lambda asked: asked.answer(SONG))
        self.origin.on("/previews/a.m4s", lambda asked: asked.answer(PREVIEW))
        self.node: Node = ending.enter_context(Node(group(self.origin.url), f"""\
[query]
drop = ["CMCD"]
forward_dropped = false
[access_log]
path = "{self.log}"
[access]
territory_database = "{self.territories if territory else ""}"
[[access.key_sets]]
name = "label"
files = ["{self.keys}"]
{rules}""", **options))

    def reload(self) -> None:
        status, answer = self.node.call("POST", "/v1/reload")
        assert status == 200, answer

    def change(self, old: str, new: str) -> None:
        text = self.node.config.read_text()
        assert old in text
        replace(self.node.config, text.replace(old, new))
        self.reload()

    def status(self, target: str, *fields: str, address: str = "127.0.0.1", port: int | None = None) -> int:
        return ask(port or self.node.port, target, *fields, address=address).status

    def raw(self, target: str, *fields: str) -> bytes:
        """Every byte of an answer that has no body, but for the time."""
        with Wire(self.node.port) as wire:
            head = wire.send(request(target, *fields, "Connection: close")).until(b"\r\n\r\n")
            assert wire.buffer + wire.socket.recv(1) == b""
        return re.sub(rb"\r\nDate: [^\r]*", b"", head)

    def decisions(self) -> dict[str, int]:
        """By reason, without those that did not happen."""
        every = self.node.told("/v1/counters")["access"]["decisions"]
        return {reason: number for reason, number in every.items() if number}

    def why(self, target: str, client: str = "127.0.0.1", **fields: str) -> dict:
        status, answer = self.node.call("POST", "/v1/access/why", {"url": f"http://music.example{target}", "client": client, "fields": fields})
        assert status == 200, answer
        return answer


@pytest.fixture
def house(tmp_path, ending):
    return lambda *arguments, **named: House(tmp_path, ending, *arguments, **named)


def with_token(token: str, path: str = "/albums/1/a.m4s") -> str:
    return f"{path}?URISigningPackage={token}"


# --- rules and tokens ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["--http1.1", "--http2-prior-knowledge"])
def test_whoever_brings_a_good_token_listens(house, protocol):
    house = house()
    for name, target, options, body in [
        ("preview", "/previews/a.m4s", [], PREVIEW),
        ("ES256 in the query", with_token(ONE.jwt()), [], SONG),
        ("HS256 in the query", with_token(SHARED.jwt()), [], SONG),
        ("in a path parameter", f"/albums/1;URISigningPackage={ONE.jwt()}/a.m4s", [], SONG),
        ("in a cookie", "/albums/1/a.m4s", ["-b", f"theme=dark; URISigningPackage={ONE.jwt()}"], SONG),
        ("CAT, COSE_Sign1, in the header", "/albums/1/a.m4s", ["-H", f"CTA-Common-Access-Token: {ONE.cat()}"], SONG),
        ("CAT, COSE_Mac0, in the query", f"/albums/1/a.m4s?CAT={SHARED.cat()}", [], SONG),
        ("CAT in a cookie", "/albums/1/a.m4s", ["-b", f"CTA-Common-Access-Token={SHARED.cat()}"], SONG),
        ("a bad token beside a good one", with_token(spoilt(ONE.jwt())), ["-b", f"URISigningPackage={ONE.jwt()}"], SONG),
    ]:
        status, head, got = curl(house.node.port, target, protocol, *options)
        assert (status, got) == (200, body), f"{name}: {head}"
    for name, target, options in [
        ("no token", "/albums/1/a.m4s", []),
        ("spoilt", with_token(spoilt(ONE.jwt())), []),
        ("expired", with_token(ONE.jwt(exp=now() - 5)), []),
        ("not yet valid", with_token(ONE.jwt(nbf=now() + 60)), []),
        ("no expiry", with_token(ONE.jwt(exp=None)), []),
        ("of a stranger who uses our key's name", with_token(STRANGER.jwt()), []),
        ("of an unknown key", with_token(TWO.jwt()), []),
        ("for another URI", with_token(ONE.jwt(cdniuc=r"regex:http://music\.example/albums/2/.*")), []),
        ("CAT spoilt", "/albums/1/a.m4s", ["-H", f"CTA-Common-Access-Token: {spoilt(ONE.cat())}"]),
        ("CAT for another path", "/albums/1/a.m4s", ["-H", f"CTA-Common-Access-Token: {ONE.cat('/albums/2/')}"]),
        ("CAT for another method", "/albums/1/a.m4s", ["-H", f"CTA-Common-Access-Token: {ONE.cat(catm=['HEAD'])}"]),
        ("denied whatever the token", with_token(ONE.jwt(), "/albums/vault/c.m4s"), []),
        ("no rule", "/elsewhere", []),
        ("dot segments", with_token(ONE.jwt(), "/previews/%2e%2e/albums/1/a.m4s"), ["--path-as-is"]),
    ]:
        status, head, got = curl(house.node.port, target, protocol, *options)
        assert (status, got) == (403, b""), f"{name}: {head}"
    assert len(house.origin.to("/albums/1/a.m4s")) == 1


def test_a_refusal_tells_nothing(house):
    house = house()
    assert house.status(with_token(ONE.jwt())) == 200  # that it is in the cache shows in nothing either
    refusals = {house.raw(target, *fields) for target, *fields in [
        ("/albums/1/a.m4s",), ("/albums/2/b.m4s",), ("/albums/nothing",), ("/elsewhere",), ("/albums/vault/c.m4s",),
        (with_token("x"),), (with_token(spoilt(ONE.jwt())),), (with_token(ONE.jwt(exp=now() - 5)),), (with_token(STRANGER.jwt()),),
        (with_token(TWO.jwt()),), (with_token(ONE.jwt(cdniuc="regex:no")),), ("/albums/1/a.m4s", f"CTA-Common-Access-Token: {spoilt(ONE.cat())}"),
        ("/albums//1/a.m4s",),
    ]}
    assert len(refusals) == 1, refusals
    assert refusals.pop().startswith(b"HTTP/1.1 403 ")


def test_tokens_leave_before_the_cache_the_origin_and_the_log(house):
    house = house(listen=("127.0.0.1:0", "[::1]:0"))
    first, second, third = ONE.jwt(sub="first"), ONE.jwt(sub="second"), SHARED.cat()
    marks = [token[place:place + 24] for token in (first, second, third) for place in range(0, len(token) - 24, 12)] + ["listener-7"]
    for target, *fields in [
        (with_token(first) + "&CMCD=sid%3D%22listener-7%22",),
        (with_token(second), "CMCD-Session: sid=\"other\""),
        (f"/albums/1;URISigningPackage={first}/a.m4s",),
        ("/albums/1/a.m4s", f"Cookie: URISigningPackage={second}"),
        ("/albums/1/a.m4s", f"CTA-Common-Access-Token: {third}"),
        (f"/albums/2;URISigningPackage={second}/b.m4s?CMCD=sid%3D%22listener-7%22", f"Cookie: a=b; URISigningPackage={first}"),
        (f"/albums/2/b.m4s?CAT={third}", f"CTA-Common-Access-Token: {third}"),
    ]:
        assert house.status(target, *fields) == 200
    # Two listening sockets, every kind of token: one object each, fetched once.
    assert house.status(with_token(second), address="::1", port=house.node.ports[1]) == 200
    assert [asked.target for asked in house.origin.asked] == ["/albums/1/a.m4s", "/albums/2/b.m4s"]
    for path in (f"/albums/vault;URISigningPackage={first}/c.m4s", f"/albums//1;URISigningPackage={first}/a.m4s"):
        assert house.status(path) == 403
    until(lambda: house.log.exists() and len(house.log.read_text().splitlines()) == 10, "the access log")
    written = house.log.read_text() + house.node.log.read_text() + "".join(asked.head.decode("latin-1") for asked in house.origin.asked)
    for mark in marks:
        assert mark not in written
    assert {json.loads(line)["path"] for line in house.log.read_text().splitlines()} == {
        "/albums/1/a.m4s", "/albums/2/b.m4s", "/albums/vault/c.m4s", "/albums//1/a.m4s"}


# Any spelling of a token's name: also where a rule lets everybody through, and where none applies.
SPELLINGS = (";URISigningPackage=", ";URISigningPackag%65=", ";urisigningpackage=", "%3BURISigningPackage=", "%3bURISigningPackage%3d")


def test_a_token_in_any_spelling_leaves_as_well(house):
    house = house()
    token = ONE.jwt()
    for spelling in SPELLINGS:
        assert house.status(f"/previews{spelling}{token}/a.m4s") == 200
        assert house.status(f"/albums{spelling}{token}/1/a.m4s") == (200 if spelling == SPELLINGS[0] else 403)
        assert house.status(f"/nowhere{spelling}{token}/a") == 403
        answer = house.why(f"/albums{spelling}{token}/1/a.m4s")
        assert answer["target"] == "/albums/1/a.m4s" and token not in json.dumps(answer)
    for query in (f"URISigningPackag%65={token}", f"uRISigningPackage={token}", f"%43AT%3d{token}"):
        assert house.status(f"/previews/a.m4s?{query}") == 200
        assert house.why(f"/previews/a.m4s?{query}")["target"] == "/previews/a.m4s"
    assert [asked.target for asked in house.origin.asked] == ["/previews/a.m4s", "/albums/1/a.m4s"]
    until(lambda: house.log.exists() and len(house.log.read_text().splitlines()) == 3 * len(SPELLINGS) + 3, "the access log")
    assert token[-24:] not in house.log.read_text() + house.node.log.read_text()


def test_without_rules_no_token_is_logged_either(tmp_path, ending):
    origin = ending.enter_context(contextlib.closing(ScriptedOrigin()))
    log = tmp_path / "access.jsonl"
    node = ending.enter_context(Node(group(origin.url), f'[access_log]\npath = "{log}"'))
    targets = [f"/albums{spelling}SECRET/1" for spelling in SPELLINGS] + ["/albums/1?CAT=SECRET"]
    for target in targets:
        origin.on(target, lambda asked: asked.answer(SONG))
        assert ask(node.port, target).status == 200  # the origin, which may know tokens, has them
    assert [asked.target for asked in origin.asked] == [target for target in targets if "%65" not in target]  # "%65" is "e" in cache keys
    status, answer = node.call("POST", "/v1/purge", {"name": f"http://music.example{targets[0]}"})
    assert (status, answer["purged"]) == (200, 1)
    until(lambda: log.exists() and len(log.read_text().splitlines()) == len(targets), "the access log")
    assert {json.loads(line)["path"] for line in log.read_text().splitlines()} == {"/albums/1"}
    until(lambda: "purged 1 of name http://music.example/albums/1" in node.log.read_text(), "the log")
    assert "SECRET" not in node.log.read_text()


def test_a_listeners_url_purges_what_the_listener_got(house):
    house = house()
    token = ONE.jwt()
    for target in (with_token(token), f"/albums/1;URISigningPackage={token}/a.m4s", f"/albums/1%3burisigningpackage={token}/a.m4s?CMCD=br%3D1"):
        assert house.status(with_token(token)) == 200
        status, answer = house.node.call("POST", "/v1/purge", {"name": f"http://music.example{target}"})
        assert (status, answer) == (200, {"schema": 1, "purged": 1, "name": "http://music.example/albums/1/a.m4s"})
    assert house.node.call("POST", "/v1/purge", {"prefix": f"http://music.example{with_token(token)}"})[0] == 400
    assert len(house.origin.asked) == 3
    until(lambda: house.node.log.read_text().count("purged 1 of name http://music.example/albums/1/a.m4s") == 3, "the log")
    assert token[-24:] not in house.node.log.read_text()


def test_why_and_metrics_tell_the_reason(house):
    house = house()
    expired = ONE.jwt(exp=now() - 5)
    told = [house.why(with_token(token)) for token in (ONE.jwt(), expired, spoilt(ONE.jwt()), TWO.jwt())] + [house.why("/elsewhere")]
    assert [answer["reason"] for answer in told] == ["token_holds", "expired", "bad_signature", "unknown_key", "no_rule"]
    assert [answer["allowed"] for answer in told] == [True, False, False, False, False]
    assert told[1]["rule"] == "albums" and told[1]["target"] == "/albums/1/a.m4s"
    assert {"verdict": "refuses", "subject": "exp"}.items() <= next(step for step in told[1]["steps"] if step["subject"] == "exp").items()
    assert expired[40:64] not in json.dumps(told)
    spoilt_steps = {step["subject"]: step["verdict"] for step in told[2]["steps"]}
    assert spoilt_steps["signature"] == "refuses" and spoilt_steps["exp"] == spoilt_steps["cdniuc"] == "holds"
    assert any("its header" in step["detail"] for step in house.why(with_token("a.b.c"))["steps"])
    assert house.decisions() == {}  # asking decides nothing
    assert house.why("/albums/1/a.m4s", Cookie=f"URISigningPackage={ONE.jwt()}")["allowed"]

    good = ONE.jwt()
    for target in (with_token(good), with_token(good), with_token(expired), "/albums/1/a.m4s", "/previews/a.m4s", "/albums/vault/c.m4s", "/elsewhere"):
        house.status(target)
    expected = {"token_holds": 2, "expired": 1, "no_token": 1, "open": 1, "denied_by_rule": 1, "no_rule": 1}
    assert house.decisions() == expected
    metrics = house.node.request("GET", "/metrics")[2]
    for reason, number in expected.items():
        assert f'\nnearfield_access_decisions_total{{reason="{reason}"}} {number}\n' in metrics
    assert '\nnearfield_access_verifications_total{kind="signature"} ' in metrics
    access = house.node.status()["access"]
    assert access == {"rules": 3, "clock_trusted": True, "clock_behind_seconds": 0, "allowed": 3, "refused": 4}


def test_a_ticket_is_used_once_whatever_is_asked_with_it(house):
    house = house()
    ticket, another = ONE.jwt(jti="seat-1"), ONE.jwt(jti="seat-2")
    assert house.status(with_token(ticket)) == 200
    for target, *fields in [
        (with_token(ticket),), (with_token(ticket) + "&start=5",), (with_token(ticket, "/albums/2/b.m4s"),),
        (f"/albums/1;URISigningPackage={ticket}/a.m4s",), ("/albums/1/a.m4s", f"Cookie: URISigningPackage={ticket}"),
        (with_token(SHARED.jwt(jti="seat-1", exp=now() - 5)), f"Cookie: URISigningPackage={ticket}"),
    ]:
        assert house.status(target, *fields) == 403, target
    assert house.status(with_token(another)) == 200
    assert house.decisions() == {"token_holds": 2, "replayed": 5, "expired": 1}
    assert house.why(with_token(ticket))["reason"] == "replayed"


def test_why_shows_no_header(house):
    house = house()
    for device, allowed in [("speaker-of-7", True), ("ear-of-7", False)]:
        told = house.why("/albums/1/a.m4s", **{"CTA-Common-Access-Token": ONE.cat(cath={"x-device": {0: "speaker-of-7"}}), "x-device": device,
                                               "Authorization": "Bearer of-7"})
        assert (told["allowed"], told["reason"]) == (allowed, "token_holds" if allowed else "wrong_header")
        assert "of-7" not in json.dumps(told)


# --- reloads ------------------------------------------------------------------------------------------------------------------


def test_keys_rotate(house):
    house = house()
    old, new = with_token(ONE.jwt()), with_token(TWO.jwt())
    assert (house.status(old), house.status(new)) == (200, 403)
    write_keys(house.keys, ONE.public(), TWO.public())
    house.reload()
    until(lambda: house.status(new) == 200, "the new key counts")
    assert house.status(old) == 200
    write_keys(house.keys, TWO.public())
    house.reload()
    until(lambda: house.status(old) == 403, "the old key's tokens are revoked")
    assert house.status(new) == 200
    # A key set that cannot be used is named, and changes nothing.
    house.keys.write_text('{"keys": [{"kty": "oct", "kid": "x", "alg": "HS256", "k": "AAAA"}]}')
    status, answer = house.node.call("POST", "/v1/reload")
    assert status == 422 and str(house.keys) in answer["problems"][0]["reason"] and answer["problems"][0]["key"] == "access.key_sets[0].files[0]"
    assert house.status(new) == 200


def test_a_refused_reload_tells_all_that_is_wrong_and_where(house):
    house = house()
    text = house.node.config.read_text()
    replace(house.node.config, text.replace(f'"{house.keys}"', '"/nowhere.json"').replace("[access]\n", '[access]\nnetwork_database = "/nowhere.mmdb"\n')
            + '[[access.rules]]\nhost = "a.example:80"\npath = "/.."\nmode = "open"\n')
    status, answer = house.node.call("POST", "/v1/reload")
    lines = house.node.config.read_text().splitlines()
    told = {each["key"]: lines[each["line"] - 1] for each in answer["problems"]}
    last = text.count("[[access.rules]]")
    assert status == 422 and told == {
        "access.network_database": 'network_database = "/nowhere.mmdb"', "access.key_sets[0].files[0]": 'files = ["/nowhere.json"]',
        f"access.rules[{last}].host": 'host = "a.example:80"', f"access.rules[{last}].path": 'path = "/.."'}, answer
    assert house.status(with_token(ONE.jwt())) == 200


def test_rules_follow_a_reload_on_connections_that_are_open(house):
    house = house()
    with Wire(house.node.port) as wire:
        assert wire.ask("/previews/a.m4s").status == 200
        house.change('mode = "open"', 'mode = "denied"')
        until(lambda: wire.ask("/previews/a.m4s").status == 403, "previews are denied")
        house.change("[[access.rules]]\nname = \"vault\"", "[[access.rules]]\nname = \"all\"\nmode = \"open\"\n[[access.rules]]\nname = \"vault\"")
        until(lambda: wire.ask("/elsewhere").status == 200, "what no rule named is open")


# --- territories and licences -------------------------------------------------------------------------------------------------


def test_territories_by_a_database_that_is_replaced(house):
    house = house(RULES.replace('path = "/previews"', 'path = "/previews"\nallowed_territories = ["DE", "AT"]'),
                  territory="DE", listen=("127.0.0.1:0", "[::1]:0"))

    def statuses() -> list[int]:
        return [house.status("/previews/a.m4s"), house.status("/previews/a.m4s", address="::1", port=house.node.ports[1])]

    assert statuses() == [200, 200]
    write_territories(house.territories, "US", *EVERY_CLIENT)
    assert statuses() == [200, 200]  # not before the reload
    house.reload()
    until(lambda: statuses() == [403, 403], "the new database counts")
    assert house.why("/previews/a.m4s")["reason"] == "wrong_territory"
    assert house.decisions()["wrong_territory"] >= 2
    write_territories(house.territories, "AT", *EVERY_CLIENT)
    house.reload()
    until(lambda: statuses() == [200, 200], "the third database counts")
    write_territories(house.territories, "AT", "192.0.2.0/24")
    house.reload()
    until(lambda: statuses() == [403, 403], "nobody knows where they are")
    house.territories.with_suffix(".new").write_bytes(b"not a database")
    house.territories.with_suffix(".new").replace(house.territories)
    status, answer = house.node.call("POST", "/v1/reload")
    assert status == 422 and str(house.territories) in answer["problems"][0]["reason"]
    assert house.node.status()["state"] == "serving"


def test_who_is_nowhere_passes_no_list_of_refused_territories(house):
    house = house(RULES.replace('path = "/previews"', 'path = "/previews"\nrefused_territories = ["US"]'), territory="DE")
    assert house.status("/previews/a.m4s") == 200
    write_territories(house.territories, "DE", "192.0.2.0/24")
    house.reload()
    until(lambda: house.status("/previews/a.m4s") == 403, "nobody knows where they are")
    house.change('refused_territories = ["US"]', 'refused_territories = ["US"]\nunknown_territory_allowed = true')
    until(lambda: house.status("/previews/a.m4s") == 200, "the rule lets those pass")
    text = house.node.config.read_text()
    replace(house.node.config, text.replace('["US"]', '["UK"]'))
    status, answer = house.node.call("POST", "/v1/reload")
    assert status == 422 and "'UK' is no territory" in answer["problems"][0]["reason"]


def test_licences_have_a_beginning_and_an_end(house):
    def moment(hours: int) -> str:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now() + 3600 * hours))

    house = house(RULES + "".join(f"""\
[[access.rules]]
host = "music.example"
path = "/albums/{number}"
mode = "open"
licence = [{{ {window} }}]
""" for number, window in enumerate([f'from = "{moment(-1)}", until = "{moment(1)}"', f'from = "{moment(1)}"', f'until = "{moment(-1)}"',
                                     f'from = "{moment(-1)}"'], start=1)))
    for path in ("/albums/3/x", "/albums/4/x"):
        house.origin.on(path, lambda asked: asked.answer(SONG))
    assert [house.status(path) for path in ("/albums/1/a.m4s", "/albums/2/b.m4s", "/albums/3/x", "/albums/4/x")] == [200, 403, 403, 200]
    assert house.decisions() == {"open": 2, "outside_licence": 2}


def test_a_page_may_send_its_token_in_the_header_and_read_the_next(house):
    house = house(RULES + 'renewal_key = "one"\n', keys=(ONE.private(),))
    origin = "Origin: https://player.example"
    with Wire(house.node.port) as wire:
        allowed = wire.ask("/albums/1/a.m4s", origin, "Access-Control-Request-Method: GET", "Access-Control-Request-Headers: cta-common-access-token",
                           method="OPTIONS")
        assert allowed.status == 204 and "CTA-Common-Access-Token" in allowed["Access-Control-Allow-Headers"].split(", ")
        song = wire.ask("/albums/1/a.m4s", origin, f"CTA-Common-Access-Token: {ONE.cat()}")
        assert song.status == 200 and "CTA-Common-Access-Token" in song["Access-Control-Expose-Headers"].split(", ")


# --- renewal ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["--http1.1", "--http2-prior-knowledge"])
def test_a_chain_of_cookies_goes_on_by_itself(house, tmp_path, protocol):
    house = house(RULES + 'renewal_key = "one"\n', keys=(ONE.private(),))
    jar = str(tmp_path / "jar")
    lifetime_s = 12
    first = ONE.jwt(exp=now() + 60, cdniets=lifetime_s, cdnistt=1, cdnistd=1)

    def cookie() -> str:
        lines = [line.split("\t") for line in Path(jar).read_text().splitlines() if "\tURISigningPackage\t" in line]
        return lines[0][6] if lines else ""

    assert curl(house.node.port, "/albums/1/a.m4s", protocol, "-b", jar)[0] == 403
    status, head, _ = curl(house.node.port, with_token(first), protocol, "-c", jar)
    assert status == 200 and re.search(rf"set-cookie: URISigningPackage=\S+; Path=/albums; Max-Age={lifetime_s}; HttpOnly\r", head, re.IGNORECASE), head
    begun = cookie()
    assert begun and begun != first
    # Its cookie alone is enough from now on, in the whole of its path and nowhere else.
    status, head, body = curl(house.node.port, "/albums/2/b.m4s", protocol, "-b", jar, "-c", jar)
    assert (status, body) == (200, SONG)

    def renewed() -> bool:
        status, _, _ = curl(house.node.port, "/albums/1/a.m4s", protocol, "-b", jar, "-c", jar)
        assert status == 200, "the chain broke"
        return cookie() != begun

    until(renewed, "the cookie is renewed when half of its time is over", 2 * lifetime_s)
    assert house.node.told("/v1/counters")["access"]["renewals"] >= 2
    # Nobody else gets it with the object.
    status, head, _ = curl(house.node.port, with_token(ONE.jwt()), protocol)
    assert status == 200 and "set-cookie" not in head.lower()
    assert len(house.origin.to("/albums/1/a.m4s")) == 1
    assert all("cookie" not in asked.head.decode("latin-1").lower() for asked in house.origin.asked)
