"""What must be made again and what need not be, what a stopped build leaves, and paths that mean the same everywhere."""

import json
from pathlib import Path

import numpy as np
import pytest

from rodna.core.errors import CorpusError, RodnaError
from rodna.core.registry import PluginError
from rodna.corpus import build, steps
from rodna.corpus.config import CorpusConfig, LanguageConfig, Source
from rodna.corpus.documents import Document
from rodna.corpus.extractors import Rejected
from rodna.corpus.identify import load_identifier
from rodna.corpus.identify.measure import measure_identifier
from rodna.corpus.identify.train import train_identifier
from rodna.corpus.passes.select import benchmark_paths
from rodna.corpus.sources import fingerprint, walk
from rodna.corpus.split import positions_of


@pytest.fixture
def home(tmp_path, monkeypatch):
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder


def write_lines(path: Path, *, start: int = 0, number: int = 60) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(f"Гэта сказ нумар {n}, і ён не падобны да іншых." for n in range(start, start + number)), encoding="utf-8")
    return path


def test_a_model_and_a_benchmark_in_the_users_home_are_found_where_their_digest_looked(home, tmp_path):
    lines = {"be": write_lines(tmp_path / "be.txt"), "lt": tmp_path / "lt.txt"}
    lines["lt"].write_text("\n".join(f"Tai yra {n} sakinys apie mišką ir upę." for n in range(60)), encoding="utf-8")
    train_identifier(lines, home / "model-00000000")
    identifier = load_identifier(LanguageConfig(identifier="~/model-00000000"), language="be", root=tmp_path)
    assert identifier.labels[:2] == ("be", "lt")
    write_lines(home / "benchmark.txt")
    config = CorpusConfig.model_validate({"decontaminate": {"benchmarks": ["~/benchmark.txt"]}})
    assert benchmark_paths(config, tmp_path) == [home / "benchmark.txt"]


def test_what_is_only_written_down_about_a_source_rebuilds_nothing(tmp_path):
    write_lines(tmp_path / "a.txt")
    plain = Source(path="a.txt")
    about = plain.model_copy(update={"licence": "CC0-1.0", "origin": "a book", "date": "1921", "consent": "the author's heirs"})
    assert fingerprint({"a": plain}, tmp_path) == fingerprint({"a": about}, tmp_path)


def test_a_pattern_leaves_out_what_lies_in_hidden_folders(tmp_path):
    for name in ("a.txt", "b/c.txt", ".git/d.txt", "b/.checkpoints/e.txt"):
        write_lines(tmp_path / "texts" / name)
    assert [file.name for file in walk(Source(path="texts/**/*.txt"), tmp_path)] == ["a.txt", "b/c.txt"]


def test_an_identifier_is_not_tried_on_lines_of_no_language_alone(tmp_path):
    with pytest.raises(CorpusError, match="no language to look for"):
        measure_identifier({"other": write_lines(tmp_path / "x.txt")}, LanguageConfig(), root=tmp_path)


def test_one_language_under_two_names_is_refused(tmp_path):
    files = {name: write_lines(tmp_path / f"{name}.txt") for name in ("be", "bel", "lt")}
    with pytest.raises(CorpusError, match="be is named twice"):
        train_identifier(files, tmp_path / "out")


def test_a_finished_file_that_has_gone_is_made_again_by_the_next_build(tmp_path, monkeypatch):
    write_lines(tmp_path / "texts" / "a.txt")
    arguments = {"sources": {"a": Source(path="texts", document="line")}, "config": CorpusConfig(), "language": "be", "root": tmp_path}
    out = tmp_path / "out" / "documents-00000000"
    monkeypatch.setattr(build, "write_json", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        build.make_documents(out=out, **arguments)
    monkeypatch.undo()
    work = out.parent / f".{out.name}.work" / "files"
    (work / "00000-000.jsonl.zst").unlink()
    with pytest.raises(RodnaError, match=r"00000-000\.jsonl\.zst") as error:
        build.make_documents(out=out, **arguments)
    assert "again" in error.value.fix
    assert build.make_documents(out=out, **arguments).counts["documents"] == 60


def test_a_build_leaves_the_work_of_another_corpus_alone(tmp_path):
    write_lines(tmp_path / "texts" / "a.txt")
    other = tmp_path / "out" / ".corpus-lt.work"
    other.mkdir(parents=True)
    (other / "digest").write_text("of a build that is running", encoding="utf-8")
    sources = {"a": Source(path="texts", document="line")}
    build.make_documents(sources, CorpusConfig(), tmp_path / "out" / "corpus-be", language="be", root=tmp_path)
    assert other.is_dir()


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (None, "'odd' returned NoneType"),
        (Document("else", "Тэкст.", "a", "be"), "'odd' returned a document of another id or source"),
        (Document("a/b#1", "\udce9", "a", "be"), "'odd' returned text that is no Unicode"),
        (Rejected("odd", "\udce9", 1), ""),
    ],
)
def test_what_a_step_returns_is_looked_at(result, message):
    document = Document("a/b#1", "Тэкст.", "a", "be")
    if message:
        with pytest.raises(PluginError, match=message):
            steps.apply("odd", lambda _: result, document)
    else:
        assert steps.apply("odd", lambda _: result, document) == Rejected("odd", "?", 1)


def test_the_places_of_texts_are_those_of_their_hashes():
    keys = np.arange(6, dtype=np.uint64).reshape(3, 2)
    assert json.dumps([round(float(place), 6) for place in positions_of(keys, 1)]) == PLACES


PLACES = "[0.97142, 0.43146, 0.110141]"
