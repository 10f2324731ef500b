"""A speaker's verdicts arrive, survive, and take effect; nobody else's do."""

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from review_folder import SCRIPT, Client, serving, translations

from rodna.benchmark import store
from rodna.benchmark.errors import BenchmarkError
from rodna.benchmark.recheck import Rechecker
from rodna.benchmark.review import Filter, Review
from rodna.benchmark.review_server import MAX_BODY_BYTES, ReviewServer
from rodna.core.artifact import Artifact
from rodna.core.log import read_json_lines


def verdicts(folder: Path) -> list[dict[str, Any]]:
    return read_json_lines(folder / "verdicts.jsonl")


def kept(folder: Path) -> dict[str, dict[str, Any]]:
    return {item["id"]: item for item in read_json_lines(folder / "benchmark.jsonl")}


# What verdicts do.


def test_accepting_editing_and_rejecting_take_effect_in_the_benchmarks_files(folder: Path):
    edited = {**translations(folder, "q2"), "question": "Якое слова на старонцы 6?", "choices.0": "новае"}
    with serving(folder) as (client, _):
        status, answer = client.save("q7", True, translations(folder, "q7"))
        assert (status, answer["item"]["status"], answer["item"]["human"], answer["item"]["who"]) == (200, "accepted", "accept", "Ona")
        status, answer = client.save("q2", True, edited)
        assert (status, answer["item"]["human"]) == (200, "edit")
        status, answer = client.save("q3", False, {})
        assert (status, answer["item"]["status"], answer["item"]["human"]) == (200, "rejected", "reject")
        assert answer["overview"]["human"] == {"seen": 3, "accept": 1, "edit": 1, "reject": 1, "stale": 0}

    items = kept(folder)
    assert "q7" in items
    assert "q3" not in items
    assert items["q2"]["question"] == "Якое слова на старонцы 6?"
    assert items["q2"]["choices"][0] == "новае"
    assert items["q2"]["choices"][1] == translations(folder, "q2")["choices.1"]
    assert verdicts(folder)[1]["text"] == {"question": "Якое слова на старонцы 6?", "choices.0": "новае"}
    artifact = Artifact.open(folder, kind="benchmark")
    artifact.verify()
    assert artifact.manifest.counts["human"]["seen"] == 3
    assert "3 items (12.5%) were seen by 1 person." in (folder / "README.md").read_text(encoding="utf-8")


def test_files_follow_while_the_review_goes_on(folder: Path):
    with serving(folder) as (client, _):
        assert client.save("q3", False, {})[0] == 200
        end = time.monotonic() + 60
        while "q3" in kept(folder) or not (folder / "manifest.json").is_file():
            assert time.monotonic() < end
            time.sleep(0.02)


def test_an_edit_that_is_taken_back_is_an_acceptance(folder: Path, client: Client):
    machine = translations(folder, "q2")
    client.save("q2", True, {**machine, "question": "Іншае 6"})
    status, answer = client.save("q2", True, machine, revision=1)

    assert (status, answer["item"]["human"], answer["item"]["revision"]) == (200, "accept", 2)
    assert [verdict["verdict"] for verdict in verdicts(folder)] == ["edit", "accept"]


def test_accepting_what_somebody_edited_keeps_the_edit(folder: Path, client: Client):
    edited = {**translations(folder, "q2"), "question": "Іншае 6"}
    client.save("q2", True, edited)
    _, answer = client.save("q2", True, edited, revision=1)

    assert answer["item"]["human"] == "edit"
    assert answer["item"]["segments"][0]["text"] == "Іншае 6"


def test_what_another_tab_said_meanwhile_is_not_overruled_unseen(folder: Path, client: Client):
    machine = translations(folder, "q2")
    assert client.save("q2", True, {**machine, "question": "Першая 6"})[0] == 200

    status, answer = client.save("q2", True, machine)
    assert status == 409
    assert "Ona judged this item since it was shown" in answer["error"]
    assert len(verdicts(folder)) == 1
    assert client.get("api/item?id=q2")[1]["item"]["segments"][0]["text"] == "Першая 6"
    assert client.save("q2", False, {}, revision=1)[0] == 200


def test_what_another_process_wrote_counts(folder: Path, client: Client):
    store.apply_verdict(folder, "q4", "reject", {}, "Jonas")

    item = client.get("api/item?id=q4")[1]["item"]
    assert (item["human"], item["who"], item["revision"]) == ("reject", "Jonas", 1)
    assert client.save("q4", True, translations(folder, "q4"))[0] == 409


def test_verdicts_of_many_tabs_at_once_are_all_kept(folder: Path, client: Client):
    answers: list[int] = []

    def work(start: int) -> None:
        for place in range(start, 20, 4):
            answers.append(client.save(f"q{place}", place % 2 == 0, translations(folder, f"q{place}"))[0])

    threads = [threading.Thread(target=work, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == [200] * 20
    assert {verdict["id"]: verdict["verdict"] for verdict in verdicts(folder)} == {
        f"q{place}": "reject" if place % 2 else "accept" for place in range(20)
    }


def test_a_line_that_a_crash_cut_short_costs_no_other(folder: Path):
    with serving(folder) as (client, _):
        client.save("q2", False, {})
    with (folder / "verdicts.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"id": "q3", "verdi')
    with serving(folder) as (client, _):
        assert client.save("q4", False, {})[0] == 200

    assert store.read_verdicts(folder).keys() == {"q2", "q4"}
    assert {"q2", "q4"}.isdisjoint(kept(folder))


def test_an_unfinished_folder_is_mended_when_the_review_opens(folder: Path):
    store.apply_verdict(folder, "q2", "reject", {}, "Ona")
    (folder / "manifest.json").unlink()
    (folder / "benchmark.jsonl").write_text("", encoding="utf-8")
    with serving(folder):
        assert "q2" not in kept(folder)
        assert len(kept(folder)) > 10
        assert (folder / "manifest.json").is_file()


def test_files_that_cannot_be_written_are_said_and_verdicts_kept(folder: Path):
    review = Review(folder, "Ona")
    (folder / "rejected.jsonl").unlink()
    (folder / "rejected.jsonl").mkdir()
    review.save("q2", False, {}, 0)
    end = time.monotonic() + 60
    while not review.overview()["problem"]:
        assert time.monotonic() < end
        time.sleep(0.02)

    assert "rejected.jsonl" in review.overview()["problem"]
    assert store.read_verdicts(folder).keys() == {"q2"}
    (folder / "rejected.jsonl").rmdir()
    review.close()


# What is shown.


def test_an_item_is_shown_with_what_the_checks_found_in_words(client: Client):
    item = client.get("api/item?id=q7")[1]["item"]
    assert item["reasons"][0] == {"name": "numbers", "words": "Numbers are not those of the source."}
    assert item["findings"][0] == {
        "name": "numbers", "level": "problem", "words": "Numbers are not those of the source.", "detail": "question: new 99", "value": "",
    }  # fmt: skip
    assert [segment["label"] for segment in item["segments"]] == ["question", "Option A", "Option B", "Option C", "Option D"]
    assert [segment["right"] for segment in item["segments"]] == [False, False, False, False, True]
    assert item["segments"][1]["back"] == item["segments"][1]["source"]
    assert {"name": "topic", "text": "<b>words</b> 7"} in item["others"]


def test_items_that_cannot_be_kept_say_why_and_can_be_rejected(client: Client):
    item = client.get("api/item?id=q23")[1]["item"]
    assert item["segments"] == []
    assert item["reasons"][0]["name"] == "missing_field"
    assert any(other["name"] == "question" for other in item["others"])
    status, answer = client.save("q23", True, {})
    assert (status, "nothing to keep" in answer["error"]) == (422, True)
    assert client.save("q23", False, {})[0] == 200


def test_what_the_translator_failed_on_can_be_translated_by_hand(folder: Path):
    texts = {"question": "Нешчаслівае пытанне?", **{f"choices.{place}": f"слова {place}" for place in range(4)}}
    with serving(folder) as (client, _):
        assert client.get("api/item?id=q22")[1]["item"]["status"] == "failed"
        assert client.save("q22", True, {**texts, "question": " "})[0] == 422
        assert client.save("q22", True, texts)[0] == 200
    assert kept(folder)["q22"]["question"] == "Нешчаслівае пытанне?"


@pytest.mark.parametrize(
    "wanted",
    [{}, {"status": "rejected"}, {"reason": "numbers"}, {"seen": "yes"}, {"seen": "no"}, {"seen": "edit"}, {"find": "Q1"},
     {"find": "SUN of"}, {"status": "rejected", "seen": "reject"}, {"find": "nowhere"}],
)  # fmt: skip
def test_a_filter_shows_what_a_look_at_every_item_finds(wanted: dict[str, str], folder: Path, client: Client):
    client.save("q2", True, {**translations(folder, "q2"), "question": "Іншае 6"})
    client.save("q3", False, {})
    client.save("q7", True, translations(folder, "q7"))
    items = [client.get(f"api/item?start={place}")[1]["item"] for place in range(24)]
    expected = [
        item["id"]
        for item in items
        if wanted.get("status", item["status"]) == item["status"]
        and (not wanted.get("reason") or wanted["reason"] in [reason["name"] for reason in item["reasons"]])
        and {"": True, "yes": bool(item["human"]), "no": not item["human"], "edit": item["human"] == "edit",
             "reject": item["human"] == "reject"}[wanted.get("seen", "")]
        and any(wanted.get("find", "").lower() in text.lower()
                for text in [item["id"], *(segment[name] for segment in item["segments"] for name in ("source", "text"))])
    ]  # fmt: skip

    assert walk(client, wanted, 0, 1) == [(id, rank + 1, len(expected)) for rank, id in enumerate(expected)]
    assert walk(client, wanted, 10**9, -1) == [(id, rank + 1, len(expected)) for rank, id in enumerate(expected)][::-1]


def test_a_random_order_goes_through_every_item_and_is_the_same_again(folder: Path, client: Client):
    first = walk(client, {"order": "random"}, 0, 1)
    plain = walk(client, {}, 0, 1)
    assert sorted(id for id, _, _ in first) == sorted(id for id, _, _ in plain)
    assert first != plain
    client.save(first[5][0], False, {})
    rest = walk(client, {"order": "random", "seen": "no"}, 0, 1)
    assert [id for id, _, _ in rest] == [id for id, _, _ in first if id != first[5][0]]


def walk(client: Client, wanted: dict[str, str], start: int, step: int) -> list[tuple[str, int, int]]:
    found = []
    while True:
        answer = client.get(f"api/item?{urlencode({**wanted, 'start': start, 'step': step})}")[1]
        if answer["item"] is None:
            return found
        found.append((answer["item"]["id"], answer["rank"], answer["total"]))
        start = answer["item"]["place"] + step


# Checks of an edit.


def test_an_edit_is_checked_as_the_translation_was(folder: Path):
    records = store.read_records(folder)
    rechecker = Rechecker(records, store.read_config(folder))
    for record in (record for record in records if record["checks"]):
        texts = {segment["path"]: segment["translation"] for segment in record["segments"]}
        other = {**record, "segments": [{**record["segments"][0], "translation": "x"}, *record["segments"][1:]]}
        again = {check.name: (check.passed, check.value, check.detail) for check in rechecker.check(other, texts)}
        before = {check["name"]: (check["passed"], check["value"], check["detail"]) for check in record["checks"]}
        assert again.pop("round_trip") == (None, None, "not measured on an edit")
        before.pop("round_trip")
        assert again == before


def test_an_edit_that_loses_a_number_or_an_option_is_told_so(folder: Path, client: Client):
    texts = translations(folder, "q2")
    texts |= {"question": texts["question"].replace("6", ""), "choices.1": texts["choices.0"]}
    status, answer = client.post("api/check", {"id": "q2", "texts": texts})

    problems = {finding["name"]: finding["detail"] for finding in answer["findings"] if finding["level"] == "problem"}
    assert status == 200
    assert problems["numbers"] == "question: lost 6"
    assert problems["distinct_options"].startswith("2 options say the same")
    assert "round_trip" not in problems
    assert verdicts(folder) == []


def test_an_untouched_item_keeps_the_findings_it_has(folder: Path, client: Client):
    stored = client.get("api/item?id=q7")[1]["item"]["findings"]
    assert client.post("api/check", {"id": "q7", "texts": translations(folder, "q7")})[1]["findings"] == stored
    assert next(finding for finding in stored if finding["name"] == "round_trip")["value"]


# Who may ask, and for what.


def test_the_page_loads_nothing_but_its_own_files_and_holds_no_item(client: Client):
    nonces = set()
    for _ in range(2):
        with open_url(client.address) as answer:
            policy, page = answer.headers["Content-Security-Policy"], answer.read().decode()
        nonce = re.search(r"script-src 'nonce-([^']+)'", policy)
        assert nonce
        assert policy.startswith("default-src 'none'; ")
        assert re.findall(r"<script[^>]*>", page) == [f'<script nonce="{nonce[1]}" src="review.js">']
        assert re.findall(r"https?://", page) == []
        assert SCRIPT not in page
        nonces.add(nonce[1])
    assert len(nonces) == 2
    for path in ("review.js", "review.css"):
        status, text = client.get(path)
        assert (status, re.findall(r"https?://|innerHTML|insertAdjacentHTML|\beval\b", text)) == (200, [])


def open_url(address: str) -> Any:
    import urllib.request

    return urllib.request.urlopen(address, timeout=60)


def test_it_listens_on_this_machine_only(folder: Path):
    review = Review(folder, "Ona")
    with ReviewServer(review, 0) as server:
        assert server.server_address[0] == "127.0.0.1"
        assert len(server.token) >= 32
        with ReviewServer(review, 0) as other:
            assert other.token != server.token
        with pytest.raises(BenchmarkError, match="cannot listen on port"):
            ReviewServer(review, server.server_port)
    review.close()


@pytest.mark.parametrize("token", ["", "/", "wrong/", "é/", "%00/"])
def test_without_the_token_nothing_is_shown_or_written(token: str, folder: Path, client: Client):
    parts = urlsplit(client.address)
    stranger = Client(f"{parts.scheme}://{parts.netloc}/{token}")
    for path in ("", "review.js", "api/overview", "api/item"):
        request = stranger.get(path) if token.isascii() else (403, {"error": "`rodna benchmark review`"})
        assert request[0] == 403
        assert "`rodna benchmark review`" in request[1]["error"]
    if token.isascii():
        assert stranger.save("q2", False, {})[0] == 403
    assert verdicts(folder) == []


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": "http://127.0.0.1:1"}, {"Host": "evil.example"},
     {"Host": "127.0.0.1.evil.example:80"}, {"Host": ""},
     {"Host": "127.0.0.1:80@evil.example"}, {"Host": "[::1"}, {"Host": "localhost:x"},
     {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}],
)  # fmt: skip
def test_other_sites_are_refused_though_they_know_the_address(headers: dict[str, str], folder: Path, client: Client):
    assert client.get("api/overview", headers)[0] == 403
    status, answer = client.post("api/verdict", {"id": "q2", "keep": False, "revision": 0}, headers)
    assert status == 403
    assert "refused" in answer["error"] or "127.0.0.1 only" in answer["error"]
    assert verdicts(folder) == []


def test_the_page_itself_and_a_tunnel_to_it_are_served(client: Client):
    netloc = urlsplit(client.address).netloc
    assert client.save("q2", False, {})[0] == 200
    headers = {"Origin": f"http://{netloc}", "Sec-Fetch-Site": "same-origin"}
    assert client.post("api/verdict", {"id": "q3", "keep": False, "revision": 0}, headers)[0] == 200
    assert client.get("api/overview", {"Host": "localhost:9000"})[0] == 200


GOOD = {"id": "q2", "keep": False, "texts": {}, "revision": 0}


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"", 400, "not JSON"),
        (b"{", 400, "not JSON"),
        (b"\xff\xfe", 400, "not JSON"),
        (b"[" * 100_000, 400, "not JSON"),
        (b'{"id": "\\ud800"}', 400, "not JSON"),
        (b"[]", 400, "object is wanted"),
        (b'"x"', 400, "object is wanted"),
        ({**GOOD, "revision": "0"}, 400, "`revision`"),
        ({**GOOD, "revision": True}, 400, "`revision`"),
        ({**GOOD, "keep": 1}, 400, "`keep`"),
        ({**GOOD, "keep": None}, 400, "`keep`"),
        ({**GOOD, "id": ["q2"]}, 400, "`id` is a text"),
        ({**GOOD, "keep": True, "texts": []}, 400, "`texts`"),
        ({**GOOD, "keep": True, "texts": {"question": 1}}, 400, "`texts`"),
        ({**GOOD, "id": "nobody"}, 422, "no item has the id 'nobody'"),
        ({**GOOD, "keep": True}, 422, "texts are wanted for choices.0"),
        ({**GOOD, "keep": True, "texts": {"question": "x", "../../x": "y"}}, 422, "texts are wanted for"),
        ({**GOOD, "keep": True, "texts": {"question": "x"} | {f"choices.{place}": " " for place in range(4)}}, 422, "has no translation"),
        ({**GOOD, "revision": 7}, 409, "judged this item since"),
    ],
    ids=range(19),
)
def test_a_body_that_makes_no_sense_is_refused_and_writes_nothing(body: Any, status: int, says: str, folder: Path, client: Client):
    answered, answer = client.post("api/verdict", body)
    assert (answered, says in answer["error"]) == (status, True), answer
    assert verdicts(folder) == []
    assert client.save("q2", False, {})[0] == 200


def test_only_json_of_a_known_and_bounded_size_is_read(folder: Path, client: Client):
    body = json.dumps(GOOD).encode()
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        assert client.post("api/verdict", body, {"Content-Type": kind})[0] == 415
    assert raw(client, b"Content-Type: application/json\r\n\r\n").startswith(b"HTTP/1.0 411")
    for length in (b"-1", b"1e3", b"x", "٣".encode()):
        assert raw(client, b"Content-Type: application/json\r\nContent-Length: " + length + b"\r\n\r\n").startswith(b"HTTP/1.0 411")
    for length in (MAX_BODY_BYTES + 1, 10**30):
        assert raw(client, b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % length).startswith(b"HTTP/1.0 413")
    assert verdicts(folder) == []


def test_half_a_request_writes_nothing_and_harms_nobody(folder: Path, client: Client):
    half = json.dumps(GOOD).encode()[:-5]
    answer = raw(client, b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (len(half) + 5) + half)
    assert answer.startswith(b"HTTP/1.0 400")
    assert verdicts(folder) == []
    assert client.get("api/overview")[0] == 200


@pytest.mark.parametrize(
    "line", ["GET http://[::1 HTTP/1.1", "GET / HTTP/1.1", "POST ? HTTP/1.0", "GET /%ff%fe/ HTTP/1.1", "GET * HTTP/1.1"]
)
def test_odd_addresses_are_refused_in_words(line: str, client: Client):
    parts = urlsplit(client.address)
    with socket.create_connection((parts.hostname, parts.port), timeout=60) as connection:
        connection.sendall(f"{line}\r\nHost: {parts.netloc}\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.0 403")


def raw(client: Client, rest: bytes) -> bytes:
    """Send a POST byte by byte as written, and end the sending side."""
    parts = urlsplit(client.address)
    with socket.create_connection((parts.hostname, parts.port), timeout=60) as connection:
        connection.sendall(f"POST {parts.path}api/verdict HTTP/1.1\r\nHost: {parts.netloc}\r\n".encode() + rest)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while part := connection.recv(65536):
            answer += part
        return answer


@pytest.mark.parametrize(
    "path",
    ["items.jsonl", "../about.json", "..%2fabout.json", "review.js/..", "%2e%2e/%2e%2e/etc/passwd", "/etc/passwd", "review.html.jinja",
     "api", "api/verdict", "//evil.example/", "review.js%00"],
)  # fmt: skip
def test_no_path_leads_to_a_file_that_is_not_named(path: str, client: Client):
    status, answer = client.get(path)
    assert (status, answer) == (404, {"error": "there is nothing here"})


@pytest.mark.parametrize("query", ["start=x", "step=1.5", "start=1&start=y"])
def test_places_that_are_no_numbers_are_refused(query: str, client: Client):
    status, answer = client.get(f"api/item?{query}")
    assert (status, answer["error"]) == (400, "start and step are whole numbers")


# The review itself.


@pytest.mark.parametrize("who", ["", "   ", "a\x00b", "x" * 101])
def test_a_name_that_is_none_is_explained(who: str, folder: Path):
    with pytest.raises(BenchmarkError, match="not a name") as caught:
        Review(folder, who)
    assert caught.value.where == "--who"


def test_filters_have_a_place_for_everything(folder: Path):
    review = Review(folder, "Ona")
    overview = review.overview()
    assert sum(overview["status"].values()) == overview["items"] == 24
    for reason in overview["reasons"]:
        assert review.find(Filter(reason=reason["name"]), 0, 1)["total"] == reason["count"]
    review.close()


def start_review(folder: Path, *more: str) -> tuple[subprocess.Popen[str], Client]:
    command = [sys.executable, "-m", "rodna.cli", "benchmark", "review", str(folder), *more]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    return process, Client(process.stdout.readline().strip())


def test_killing_it_at_any_moment_loses_no_verdict_that_was_answered(folder: Path):
    answered: set[str] = set()
    for round_ in range(3):
        process, client = start_review(folder, "--who", "Ona")
        killer = threading.Timer(random.Random(round_).uniform(0.05, 0.6), lambda: os.kill(process.pid, signal.SIGKILL))  # noqa: B023
        killer.start()
        try:
            for place in range(round_ * 7, round_ * 7 + 7):
                if client.save(f"q{place}", False, {})[0] == 200:
                    answered.add(f"q{place}")
        except OSError:
            pass
        killer.join()
        process.communicate()

        assert process.returncode == -signal.SIGKILL
        assert answered <= store.read_verdicts(folder).keys()
    with serving(folder):
        pass
    assert answered.isdisjoint(kept(folder))
    Artifact.open(folder, kind="benchmark").verify()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_cleanly_and_nobody_else_writes_meanwhile(number: signal.Signals, folder: Path, rodna: Any):
    process, client = start_review(folder, "--who", "Ona")
    try:
        assert client.save("q2", False, {})[0] == 200
        assert "another rodna is at work" in rodna("benchmark", "rebuild", folder).stderr
    finally:
        process.send_signal(number)
        out, errors = process.communicate(timeout=120)

    assert process.returncode == 0, errors
    assert out == ""
    assert "verdicts are signed Ona" in errors
    assert "1 seen by a person" in errors
    assert "Traceback" not in errors
    assert "q2" not in kept(folder)


def test_a_folder_that_is_no_benchmark_is_explained(tmp_path: Path, rodna: Any):
    result = rodna("benchmark", "review", tmp_path)
    assert result.exit_code == 1
    assert "no translated benchmark here" in result.stderr
