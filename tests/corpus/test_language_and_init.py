import sys

import pytest

from rodna.core.errors import ConfigError, CorpusError
from rodna.corpus import embedded
from rodna.corpus.config import CorpusConfig, Source
from rodna.corpus.detect import document_unit, propose_sources, section_bytes_for
from rodna.corpus.identify import identify_one
from rodna.corpus.language import parse_language
from rodna.corpus.sources import fingerprint, walk


@pytest.mark.parametrize(
    ("tag", "standard", "name", "script", "direction"),
    [
        ("be", "be", "Belarusian", "Cyrl", "ltr"),
        ("zh-yue", "yue", "Yue Chinese", "Hant", "ltr"),
        ("ckb", "ckb", "Central Kurdish", "Arab", "rtl"),
        ("ckb_latn", "ckb-Latn", "Central Kurdish", "Latn", "ltr"),
        ("nqo", "nqo", "N'Ko", "Nkoo", "rtl"),
        ("no", "no", "Norwegian", "Latn", "ltr"),
    ],
)
def test_a_language_tag_says_script_and_direction(tag, standard, name, script, direction):
    language = parse_language(tag)
    assert (language.tag, language.name, language.script, language.direction) == (standard, name, script, direction)


@pytest.mark.parametrize(
    ("typed", "wanted"), [("belarussian", "be (Belarusian)"), ("Kinyarwanda", "rw (Kinyarwanda)"), ("basqe", "eu (Basque)")]
)
def test_an_unknown_tag_is_answered_with_close_ones(typed, wanted):
    with pytest.raises(ConfigError) as error:
        parse_language(typed)
    assert error.value.what == f"unknown language tag: {typed!r}"
    assert f"did you mean {wanted}" in error.value.fix


@pytest.mark.parametrize("tag", ["", "und", "x", "no such", "123", "en-", "mul", "zxx"])
def test_what_names_no_language_is_refused(tag):
    with pytest.raises(ConfigError, match="unknown language tag"):
        parse_language(tag)


def test_the_language_of_a_text_is_identified():
    language, probability = identify_one("Я цябе шукаў усю ноч, але не знайшоў.")
    assert language == "be"
    assert probability > 0.9


def test_files_are_found_without_hidden_ones_and_what_leads_out_of_the_source_is_listed_as_such(tmp_path):
    source, outside = tmp_path / "source", tmp_path / "outside"
    for folder in (source / "b", source / ".hidden", outside):
        folder.mkdir(parents=True)
    for path in (source / "z.txt", source / "b" / "a.txt", source / ".hidden" / "x.txt", source / ".x", outside / "secret.txt"):
        path.write_text("text", encoding="utf-8")
    (source / "loop").symlink_to(source)
    (source / "again").symlink_to(source / "b")
    (source / "escape").symlink_to(outside)
    (source / "secret.txt").symlink_to(outside / "secret.txt")
    files = walk(Source(path="source"), tmp_path)
    assert sorted(file.path.name for file in files if not file.problem) == ["a.txt", "z.txt"]
    outside = "a link that leads out of the source: copy what it leads to into the folder"
    assert {file.name: file.problem for file in files if file.problem} == {"secret.txt": outside, "escape": outside}
    matches = walk(Source(path="source/*.txt"), tmp_path)
    assert [(file.name, file.problem) for file in matches] == [("secret.txt", outside), ("z.txt", "")]
    assert [file.name for file in walk(Source(path="source/z.txt"), tmp_path)] == ["z.txt"]


def test_moving_a_source_keeps_its_fingerprint_and_a_changed_byte_does_not(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.txt").write_text("text", encoding="utf-8")
    first = fingerprint({"s": Source(path="a")}, tmp_path)
    assert fingerprint({"s": Source(path="b")}, tmp_path) == first
    (tmp_path / "b" / "x.txt").write_text("texd", encoding="utf-8")
    assert fingerprint({"s": Source(path="b")}, tmp_path) != first


LOOSE = "\n".join(f"{letter}{number:03} сказ стаіць асобна." for letter in "абвгд" for number in range(30))
STORY = "Янка пайшоў у лес па грыбы. " * 40


def test_the_document_unit_is_read_off_the_text_with_a_reason():
    assert document_unit(LOOSE, len(LOOSE.encode()))[0] == "line"
    chapters = "\n\n".join("\n".join([STORY] * 3) for _ in range(8))
    assert document_unit(chapters, len(chapters.encode())) == ("blank_line", "blank lines part about 8 texts of 3 lines on average")
    novel = "\n\n".join(STORY[:300] for _ in range(40))
    assert document_unit(novel, 2_000_000)[0] == "section"
    assert document_unit("Кароткі тэкст.\nУ два радкі.", 50) == ("file", "one running text of 50 B")


def test_sections_are_short_enough_to_hold_some_out():
    assert [section_bytes_for(size) for size in (10_000, 3_000_000, 10**9)] == [4096, 8192, 65536]


def test_proposals_say_format_unit_scripts_and_reasons(tmp_path):
    (tmp_path / "sentences.txt").write_text(LOOSE, encoding="utf-8")
    (tmp_path / "news.jsonl").write_text('{"id": "1", "body": "Доўгі тэкст навіны."}\n' * 3, encoding="utf-8")
    (tmp_path / "empty.txt").write_bytes(b"")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(20))
    news, lines = propose_sources(tmp_path, "be").proposals
    assert (news.name, news.source.format, news.source.text_field, news.source.document) == ("news", "json_lines", "body", "file")
    assert news.reason == "each line is one document; its text is in the field 'body'"
    assert (lines.name, lines.source.format, lines.source.document) == ("sentences", "text", "line")
    assert lines.scripts == {"Cyrl": 1.0}
    assert lines.warnings == ()


def test_markdown_is_never_taken_for_a_list_of_sentences(tmp_path):
    (tmp_path / "a.md").write_text(LOOSE, encoding="utf-8")
    (proposal,) = propose_sources(tmp_path, "be").proposals
    assert (proposal.source.document, proposal.reason) == ("file", "one Markdown text of 6.3 kB")


def test_a_script_that_does_not_fit_the_tag_is_warned_about(tmp_path):
    (tmp_path / "a.txt").write_text(LOOSE, encoding="utf-8")
    (proposal,) = propose_sources(tmp_path, "uz").proposals
    assert proposal.warnings == (
        "100% of the letters are Cyrl, but uz (Uzbek) is written in Latn unless its tag says more: use `uz-Cyrl` if this is right",
    )


def test_many_alike_files_become_one_source(tmp_path):
    for number in range(30):
        (tmp_path / f"{number}.md").write_text(f"# Тэкст {number}\n\n{STORY[:400]}", encoding="utf-8")
    (proposal,) = propose_sources(tmp_path, "be").proposals
    assert (proposal.source.path, proposal.source.document, proposal.num_files) == (str(tmp_path), "file", 30)
    assert proposal.reason.startswith("30 texts, one a file (")


def test_a_folder_without_text_is_refused_with_what_is_in_it(tmp_path):
    with pytest.raises(CorpusError, match="there is no such folder"):
        propose_sources(tmp_path / "nowhere", "be")
    with pytest.raises(CorpusError, match="the folder has no files"):
        propose_sources(tmp_path, "be")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(20))
    with pytest.raises(CorpusError, match=r"no text found: 1 files \(\.png\), none of them text with anything in it") as error:
        propose_sources(tmp_path, "be")
    assert error.value.fix.startswith("convert them to one of these first: .txt, .md, .html, .pdf")


def test_the_demo_has_two_sources_with_licence_and_origin(tmp_path):
    pytest.importorskip("pycantonese")
    sources = embedded.write_demo_sources(tmp_path)
    assert {name: source.licence for name, source in sources.items()} == {"hkcancor": "CC-BY-4.0", "common_voice": "CC0-1.0"}
    assert all(source.origin for source in sources.values())
    dialogues = (tmp_path / sources["hkcancor"].path).read_text(encoding="utf-8")
    assert dialogues.startswith("喂遲啲去唔去旅行啊?\n你老公有冇平機票啊?\n")
    assert len(dialogues.split("\n\n")) == 58
    times = [(tmp_path / source.path).stat().st_mtime_ns for source in sources.values()]
    embedded.write_demo_sources(tmp_path)
    assert times == [(tmp_path / source.path).stat().st_mtime_ns for source in sources.values()]


def test_without_the_extra_the_demo_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pycantonese", None)
    monkeypatch.setattr(embedded, "find_spec", lambda name: None)
    with pytest.raises(CorpusError, match="the demo's Cantonese text is not installed") as error:
        embedded.write_demo_sources(tmp_path)
    assert "pip install 'rodna[demo]'" in error.value.fix
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "text"),
    [("喂 遲 啲 去 !", "喂遲啲去!"), ("誒 , Orlando 嗰個 舊", "誒, Orlando 嗰個舊"), ("High season 去 喎 .", "High season 去喎.")],
)
def test_words_are_joined_as_they_are_written(words, text):
    assert embedded.join_words(words) == text


def test_a_split_that_leaves_nothing_to_train_on_is_refused():
    with pytest.raises(ValueError, match="leave at least 10% to train on"):
        CorpusConfig.model_validate({"split": {"validation": 0.6, "test": 0.4}})


def test_files_that_a_parser_must_open_are_looked_into(tmp_path):
    import zipfile

    book = "".join(f"<p>{STORY} Раздзел {number}.</p>" for number in range(400))
    with zipfile.ZipFile(tmp_path / "book.odt", "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.text")
        office = "urn:oasis:names:tc:opendocument:xmlns"
        body = book.replace("<p>", "<text:p>").replace("</p>", "</text:p>")
        archive.writestr(
            "content.xml",
            f'<office:document-content xmlns:office="{office}:office:1.0" xmlns:text="{office}:text:1.0"><office:body>'
            f"<office:text>{body}</office:text></office:body></office:document-content>",
        )
    (tmp_path / "films.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nДобры дзень, як справы?\n", encoding="utf-8")
    for number in range(25):
        (tmp_path / f"{number}.html").write_text(f"<html><body><p>{STORY} {number}</p></body></html>", encoding="utf-8")
    found = {proposal.source.path.rpartition("/")[2]: proposal for proposal in propose_sources(tmp_path, "be").proposals}
    assert set(found) == {"*.html", "book.odt", "films.srt"}
    assert (found["book.odt"].source.document, found["book.odt"].source.format) == ("section", "auto")
    assert found["book.odt"].reason.startswith("a book: cut into sections, so that parts of it can be held out (of about ")
    assert (found["*.html"].num_files, found["*.html"].reason) == (25, "each page is one document")
    assert found["films.srt"].scripts == {"Cyrl": 1.0}


def test_a_line_that_nests_without_end_does_not_stop_a_proposal(tmp_path):
    (tmp_path / "a.jsonl").write_text("[" * 100_000 + '\n{"text": "Адзін сказ пра мову."}\n', encoding="utf-8")
    (proposal,) = propose_sources(tmp_path, "be").proposals
    assert proposal.source.format == "json_lines"
