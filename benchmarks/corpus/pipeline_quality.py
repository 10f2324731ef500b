"""What rodna and datatrove make of the same pages, which planted copies they find, and what they drop of clean text."""

import argparse
import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pipeline_texts

HERE = Path(__file__).parent
STOCK_WORDS = {"eu": "eus", "is": "isl", "lt": "lit", "rw": "kin", "en": "eng", "ca": "cat"}
"""What datatrove calls the word finders that it has for these languages."""


def fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def quality(options: argparse.Namespace) -> dict[str, Any]:
    """Compare what both extract from pages of which the text is known, which copies they find, and what their filters drop."""
    return {"extraction": extraction(options), "copies": copies(options), "dropped": drops(options)}


def peer_run(options: argparse.Namespace, *arguments: str) -> None:
    command = [str(options.peer), str(HERE / "pipeline_datatrove.py"), *arguments]
    with (options.scratch / "peer.log").open("ab") as log:
        subprocess.run(command, check=True, stdout=log, stderr=log)


def extraction(options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Return each system's character F1 by set of pages, as both pipelines call their extractors."""
    from extraction import cases
    from metric import Match, character_match

    from rodna.corpus.config import NormalizeConfig
    from rodna.corpus.extractors.html_text import text_of
    from rodna.corpus.normalize import normalize

    found: dict[str, dict[str, float]] = {}
    for name, pairs in cases(options.data / "dirty").items():
        pages = [page for group, _ in pairs for page in group]
        (options.scratch / "pages.json").write_text(json.dumps(pages), encoding="utf-8")
        peer_run(options, "extract", "--input", str(options.scratch / "pages.json"), "--out", str(options.scratch / "texts.json"))
        texts = {
            "rodna": [normalize(text_of(page)[0], NormalizeConfig()).text for page in pages],
            "datatrove": json.loads((options.scratch / "texts.json").read_text(encoding="utf-8")),
        }
        found[name] = {}
        for system, extracted in texts.items():
            rest, total = iter(extracted), Match(0, 0, 0)
            for group, gold in pairs:
                total += character_match("\n".join(next(rest) for _ in group), gold)
            found[name][system] = round(total.f1, 4)
        print(name, found[name], flush=True)
    return found


def planted(corpora: Path) -> tuple[list[str], list[str]]:
    """Return texts, each followed by all copies in the same order, and the kind of edit of each copy."""
    import random

    import near_duplicates

    chance = random.Random(0)
    originals: list[str] = []
    edited: list[str] = []
    kinds: list[str] = []
    for language in near_duplicates.FILES:
        texts = near_duplicates.documents_of(corpora, language)
        words = [word for text in texts for word in near_duplicates.TOKEN.findall(text) if word[0].isalnum()]
        for text in texts:
            kinds.append(list(near_duplicates.EDITS)[len(kinds) % len(near_duplicates.EDITS)])
            edited.append("".join(near_duplicates.EDITS[kinds[-1]](near_duplicates.TOKEN.findall(text), words, chance)))
        originals += texts
    return [*originals, *edited], kinds


def copies(options: argparse.Namespace) -> dict[str, Any]:
    """Return recall by edit, and precision, of both on planted near copies, each with its defaults."""
    import numpy as np
    from near_duplicates import EDITS, by_rodna

    from rodna.corpus.config import DeduplicateConfig

    texts, kinds = planted(options.data / "corpora")
    folder = fresh(options.scratch / "copies")
    with tempfile.TemporaryDirectory() as signals:
        kept, _ = by_rodna(texts, DeduplicateConfig().similarity, Path(signals))
    lines = "".join(json.dumps({"id": str(number), "text": text}) + "\n" for number, text in enumerate(texts))
    fresh(folder / "in")
    (folder / "in" / "0.jsonl").write_text(lines, encoding="utf-8")
    peer_run(options, "copies", "--input", str(folder / "in"), "--out", str(folder / "out"))
    pairs = np.fromfile(folder / "out" / "remove" / "000000.clusters", np.uint32).reshape(-1, 2)
    removed = np.fromfile(folder / "out" / "remove" / "000000.remove", np.uint32)
    cluster = np.full(len(texts), -1)
    cluster[pairs[:, 0]] = pairs[:, 1]
    num_originals = len(kinds)
    partner = (np.arange(len(texts)) + num_originals) % len(texts)
    gone = np.flatnonzero(kept >= 0)
    # Of a cluster datatrove says only who is in it: a removal counts as right where the partner is.
    right = {"rodna": (gone, kept[gone] == partner[gone]), "datatrove": (removed, cluster[removed] == cluster[partner[removed]])}
    report: dict[str, Any] = {"documents": len(texts)}
    for system, (which, good) in right.items():
        found = np.zeros(num_originals, dtype=bool)
        found[which[good] % num_originals] = True
        recall = {kind: round(float(found[np.array(kinds) == kind].mean()), 3) for kind in EDITS}
        report[system] = {
            "recall": recall,
            "all": round(float(found.mean()), 3),
            "precision": round(float(good.mean()), 4),
            "gone": len(which),
        }
        print(system, report[system], flush=True)
    return report


def drops(options: argparse.Namespace) -> dict[str, Any]:
    """Return, by language, the share of clean documents that each system's quality filters drop with their defaults."""
    import zstandard

    from rodna.corpus.build import build_corpus
    from rodna.corpus.config import CorpusConfig, Source
    from rodna.corpus.extractors.html_text import text_of

    found: dict[str, Any] = {}
    sets = {f"{language} texts": texts for language, texts in pipeline_texts.texts_of(options.data / "corpora").items()}
    pages = pipeline_texts.pages_of(options.data / "dirty")
    for language, pattern in zip(("lt", "eu", "ca"), pages, strict=False):
        sets[f"{language} pages"] = [text_of(page)[0] for page in pages[pattern]]
    for name, texts in sets.items():
        language = name[:2]
        folder = fresh(options.scratch / "drops")
        fresh(folder / "in")
        lines = "".join(json.dumps({"id": str(number), "text": text}) + "\n" for number, text in enumerate(texts))
        (folder / "in" / "0.jsonl").write_text(lines, encoding="utf-8")
        peer_run(options, "drops", "--input", str(folder / "in"), "--out", str(folder / "out"), "--words", STOCK_WORDS[language])
        by_step = {}
        for step in ("repetition", "quality", "fineweb"):
            reasons: dict[str, int] = {}
            for path in (folder / "out" / "dropped" / step).glob("*.jsonl*"):
                for line in path.read_text(encoding="utf-8").rstrip("\n").split("\n"):
                    reason = json.loads(line)["metadata"]["filter_reason"]
                    reasons[reason] = reasons.get(reason, 0) + 1
            by_step[step] = reasons
        config = CorpusConfig.model_validate({"language": {"action": "keep"}, "runner": {"workers": 1}})
        made = build_corpus({"texts": Source(path="in")}, config, folder / "corpus-00000000", language=language, root=folder)
        with zstandard.open(made.path / "dropped.jsonl.zst", "rt", encoding="utf-8") as file:
            own: dict[str, int] = {}
            for line in file:
                drop = json.loads(line)
                reason = f"{drop['step']}: {drop['reason']}"
                own[reason] = own.get(reason, 0) + 1
        dropped = sum(number for reasons in by_step.values() for number in reasons.values())
        filtered = sum(number for reason, number in own.items() if reason.startswith("quality"))
        shares = {"datatrove": round(dropped / len(texts), 4), "rodna": round(filtered / len(texts), 4)}
        found[name] = {"documents": len(texts), "share_dropped_by_quality": shares, "datatrove": by_step, "rodna": own}
        print(name, found[name], flush=True)
    return found
