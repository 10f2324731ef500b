import pytest
from tests.corpus.markup import leftovers

from rodna.corpus.config import Source
from rodna.corpus.extractors import Limits, Piece
from rodna.corpus.extractors.subtitles import clean_line, extract


def read(path, **limits):
    return list(extract(path, Source(path="."), Limits(**limits)))


def srt(*cues):
    """Make SubRip of (start in seconds, end, text)."""
    blocks = (f"{n}\n00:00:{a:06.3f} --> 00:00:{b:06.3f}\n{text}\n" for n, (a, b, text) in enumerate(cues, start=1))
    return "\n".join(blocks).replace(".", ",", 0)


def lines(tmp_path, content, name="a.srt", encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(content.encode(encoding))
    (piece,) = read(path)
    assert not leftovers(piece.text)
    return piece.text.split("\n")


def test_a_sentence_goes_on_over_cues_and_a_dash_begins_a_turn(tmp_path):
    content = srt(
        (1, 2, "Я доўга думаў\nпра гэта"), (2, 3, "і вырашыў."), (3, 4, "- Што?\n– Нічога."), (4, 5, "Добра"), (20, 21, "пасля паўзы.")
    )
    assert lines(tmp_path, content) == ["Я доўга думаў пра гэта і вырашыў.", "Што?", "Нічога.", "Добра", "пасля паўзы."]


def test_tags_positions_music_and_entities_go(tmp_path):
    content = srt((1, 2, "{\\an8}<i>Дзень</i> <font color='#fff'>добры</font>."), (2, 3, "♪ Песня &amp; танец. ♪"), (3, 4, "♪♪"))
    assert lines(tmp_path, content) == ["Дзень добры.", "Песня & танец."]


def test_captions_that_roll_or_grow_are_said_once(tmp_path):
    rolling = srt((1, 2, "першы радок"), (2, 3, "першы радок\nдругі радок"), (3, 4, "другі радок\nтрэці радок."))
    assert lines(tmp_path, rolling) == ["першы радок другі радок трэці радок."]
    growing = srt((1, 2, "Я"), (2, 3, "Я думаю"), (3, 4, "Я думаю так."))
    assert lines(tmp_path, growing) == ["Я думаю так."]


def test_where_nobody_writes_full_stops_a_gap_ends_the_line(tmp_path):
    content = srt((1, 2, "佢"), (2, 3, "係個怪人嚟"), (3.5, 4, "冇錯啦"))
    assert lines(tmp_path, content) == ["佢係個怪人嚟", "冇錯啦"]


def test_webvtt_substation_and_microdvd_are_read_too(tmp_path):
    vtt = "WEBVTT\n\nNOTE схавана\n\nSTYLE\n::cue {color: red}\n\n1\n00:01.000 --> 00:02.000 align:start\n<v Ян>Добры <c.x>дзень</c>.\n"
    assert lines(tmp_path, vtt, "a.vtt") == ["Добры дзень."]
    ass = (
        "[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\nFormat: Name\nStyle: Default\n\n[Events]\n"
        "Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
        "Comment: 0,0:00:00.00,0:00:01.00,Default,,0,0,0,,схавана\n"
        "Dialogue: 0,0:00:01.00,0:00:02.00,Default,,0,0,0,,{\\i1}Адзін{\\i0}\\Nдва.\n"
        "Dialogue: 0,0:00:02.00,0:00:03.00,Default,,0,0,0,,{\\p1}m 0 0 l 100 0{\\p0}\n"
    )
    assert lines(tmp_path, ass, "a.ass") == ["Адзін два."]
    assert lines(tmp_path, "{1}{50}Адзін|два.\n{51}{90}{y:i}Тры.\n", "a.sub") == ["Адзін два.", "Тры."]


def test_a_legacy_encoding_is_told(tmp_path):
    path = tmp_path / "a.srt"
    path.write_bytes(
        srt(*((n, n + 0.9, "Добры дзень, шаноўныя сябры! Сёння вельмі добрае надвор'е.") for n in range(1, 40))).encode("cp1251")
    )
    (piece,) = read(path)
    assert piece.text.startswith("Добры дзень, шаноўныя сябры!")
    assert piece.meta == {"encoding": "cp1251"}


@pytest.mark.parametrize("content", ["", "проста тэкст\n", "1\n00:00:01,000 --> 00:00:02,000\n\n", "WEBVTT\n\n99:99 --> x\nа\n", "{1}{a}b"])
def test_a_file_without_cues_is_rejected(tmp_path, content):
    path = tmp_path / "a.srt"
    path.write_text(content, encoding="utf-8")
    (rejected,) = read(path)
    assert (rejected.reason, rejected.detail) == ("no_text", "no subtitle with a time and words in it was found")


def test_a_large_file_is_rejected(tmp_path):
    path = tmp_path / "a.srt"
    path.write_text("а" * 3000, encoding="utf-8")
    (rejected,) = read(path, max_page_bytes=2000)
    assert (rejected.reason, rejected.detail) == ("page_too_large", "6,000 bytes; subtitles are read whole, up to 2,000")


def test_real_cantonese_subtitles_are_read(shared_data):
    (piece,) = read(shared_data / "dirty" / "srt" / "yue-subtitle-test.srt")
    assert isinstance(piece, Piece)
    assert "從前有個叫朱平萬嘅青年好多人都覺得" in piece.text.split("\n")
    assert not leftovers(piece.text)


@pytest.mark.parametrize(
    ("line", "clean"),
    [
        ("{per favore} ciao", "{per favore} ciao"),
        ("{y:i}{C:$0000ff}{\\an8}Так", "Так"),
        ("♪ песня # ♪", "песня #"),
        ("#♪# да", "да"),
        ("# 1", "# 1"),
        ("#" * 100_000, "#" * 100_000),
    ],
)
def test_only_what_is_no_speech_goes_from_a_line(line, clean):
    assert clean_line(line) == clean
