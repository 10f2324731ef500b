"""Garbage goes and the language's own text stays, by thresholds that come from the text itself."""

import random
from pathlib import Path

import numpy as np
import pytest

from rodna.core.errors import ArtifactError
from rodna.corpus.config import QualityConfig
from rodna.corpus.quality.characters import CharacterModel
from rodna.corpus.quality.measures import MEASURES, measure
from rodna.corpus.quality.thresholds import QUALITY_REASONS, Thresholds, explain_quality, fit_thresholds, judge_quality

SYLLABLES = {
    "Cyrl": "ба ве гі до жу зы ка ле мі но пу ры са тэ ўх ца шы ча",
    "Deva": "का खि गु चे जो टं डा ति नु पे फो बं मा रि लु वे शो हं",
    "Hani": "我 你 佢 哋 去 返 工 學 食 飯 水 好 唔 係 喺 度 啲 嘢 嘅 咗",
}


def clean_texts(script: str, number: int, *, seed: int = 0) -> list[str]:
    """Documents of 4 to 12 lines of invented words, most of them frequent ones."""
    source = random.Random(seed)
    syllables = SYLLABLES[script].split()
    make = random.Random(7)
    words = ["".join(make.choices(syllables, k=make.randint(1, 4))) for _ in range(400)]
    weights = [1 / (rank + 3) for rank in range(len(words))]
    join, end = ("", "。") if script == "Hani" else (" ", ".")
    return [
        "\n".join(join.join(source.choices(words, weights, k=source.randint(7, 14))) + end for _ in range(source.randint(4, 12)))
        for _ in range(number)
    ]


def shuffled(text: str) -> str:
    characters = list(text)
    random.Random(1).shuffle(characters)
    return "".join(characters)


GARBAGE = {
    "unlikely_text": shuffled,
    "wrong_script": lambda text: "Lorem ipsum dolor sit amet, consectetur adipiscing elit. " * (len(text) // 57 + 1),
    "too_few_letters": lambda text: "\n".join(f"{number * 17} {number * 31:.2f}" for number in range(len(text) // 12)),
    "too_repetitive": lambda text: " ".join(text.split()[:3] * (len(text) // 18)),
    "not_running_text": lambda text: "\n".join(word.strip(".") for word in text.split()),
}


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return clean_texts("Cyrl", 600)


@pytest.fixture(scope="module")
def model(texts: list[str]) -> CharacterModel:
    return CharacterModel.fit(texts)


@pytest.fixture(scope="module")
def thresholds(texts: list[str], model: CharacterModel) -> Thresholds:
    return fit_thresholds(measure(texts, model), QualityConfig())


def reasons_of(texts: list[str], model: CharacterModel, thresholds: Thresholds, config: QualityConfig | None = None) -> list[str]:
    judged = judge_quality(measure(texts, model), thresholds, config or QualityConfig())
    return [QUALITY_REASONS[index] for index in judged]


@pytest.mark.parametrize("reason", GARBAGE)
def test_garbage_is_dropped_for_what_it_is(reason: str, texts: list[str], model: CharacterModel, thresholds: Thresholds):
    long = [text for text in texts if len(text) > 400][:20]
    found = reasons_of([GARBAGE[reason](text) for text in long], model, thresholds)

    assert set(found) <= {reason, "unlikely_text", "too_repetitive"}
    assert found.count(reason) >= 0.9 * len(long)


@pytest.mark.parametrize("script", SYLLABLES)
def test_clean_text_of_any_script_stays(script: str):
    texts = clean_texts(script, 600)
    model = CharacterModel.fit(texts)

    assert model.spaced == (script != "Hani")
    assert set(reasons_of(texts, model, fit_thresholds(measure(texts, model), QualityConfig()))) == {""}


def test_a_tenth_of_garbage_does_not_move_the_thresholds(texts: list[str]):
    garbage = [shuffled(text) for text in clean_texts("Cyrl", 120, seed=5) if len(text) > 400][:60]
    model = CharacterModel.fit([*texts, *garbage])
    thresholds = fit_thresholds(measure([*texts, *garbage], model), QualityConfig())

    assert set(reasons_of(texts, model, thresholds)) == {""}
    assert reasons_of(garbage, model, thresholds).count("unlikely_text") >= 0.95 * len(garbage)


def test_a_seed_makes_thresholds_of_itself_and_stays_clean(texts: list[str]):
    config = QualityConfig(seed=("clean",))
    model = CharacterModel.fit(texts[:300])
    thresholds = fit_thresholds(measure(texts[:300], model), config)

    assert set(reasons_of(texts, model, thresholds, config)) == {""}
    garbage = [shuffled(text) for text in texts if len(text) > 400]
    assert set(reasons_of(garbage, model, thresholds, config)) == {"unlikely_text"}


def test_few_documents_are_not_judged(model: CharacterModel, texts: list[str]):
    thresholds = fit_thresholds(measure(texts[:40], model), QualityConfig())

    assert np.isnan(thresholds.bounds).all()
    assert reasons_of([shuffled(texts[0])], model, thresholds) == [""]


def test_little_text_makes_no_model_of_characters(texts: list[str]):
    model = CharacterModel.fit(texts[:20])

    assert not model.can_judge
    assert np.isnan(measure(texts[:5], model)[:, MEASURES.index("bits")]).all()


def test_nothing_at_all_can_be_fitted_and_measured():
    model = CharacterModel.fit([])

    assert measure([], model).shape == (0, len(MEASURES))
    assert measure(["", "а", "\n\n", "1"], model)[:, 0].tolist() == [0, 1, 2, 1]
    assert judge_quality(measure([], model), fit_thresholds(measure([], model), QualityConfig()), QualityConfig()).shape == (0,)


def test_no_document_is_judged_by_a_model_that_saw_it(texts: list[str]):
    strange = [shuffled(text) for text in texts[:1]] * 50
    model = CharacterModel.fit([*texts, *strange])
    bits = measure([strange[0], *texts[:50]], model)[:, MEASURES.index("bits")]

    assert bits[0] > 2 * bits[1:].max()


def test_a_document_is_measured_alike_in_whatever_batch(texts: list[str], model: CharacterModel):
    odd = ["", "a", "\n", "漢字", "x" * 5000, "\U0010ffff\u0301", *texts[:20]]
    together = measure(odd, model)
    alone = np.concatenate([measure([text], model) for text in odd])
    backwards = measure(odd[::-1], model)[::-1]

    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(together, backwards)


def test_a_saved_model_measures_the_same_and_is_the_same_bytes(texts: list[str], model: CharacterModel, tmp_path: Path):
    model.save(tmp_path / "a.npz")
    CharacterModel.fit(texts).save(tmp_path / "b.npz")

    np.testing.assert_array_equal(measure(texts[:50], CharacterModel.load(tmp_path / "a.npz")), measure(texts[:50], model))
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_damaged_model_is_an_error(tmp_path: Path, model: CharacterModel):
    model.save(tmp_path / "a.npz")
    (tmp_path / "a.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:500])

    with pytest.raises(ArtifactError, match=r"a\.npz cannot be read"):
        CharacterModel.load(tmp_path / "a.npz")


def test_thresholds_come_back_from_json(thresholds: Thresholds):
    np.testing.assert_allclose(Thresholds.from_json(thresholds.as_json()).bounds, thresholds.bounds, atol=1e-6)


def test_an_explanation_gives_the_number_and_the_threshold(texts: list[str], model: CharacterModel, thresholds: Thresholds):
    row = measure([shuffled(texts[0])], model)[0]

    said = explain_quality(row, thresholds, "unlikely_text")

    assert said.startswith("bits per character under a model of the language's text ")
    assert f"{row[MEASURES.index('bits')]:.3g}, above " in said


def test_the_filter_can_be_switched_off_in_whole_or_in_part(texts: list[str], model: CharacterModel, thresholds: Thresholds):
    garbage = [shuffled(texts[0])]

    assert reasons_of(garbage, model, thresholds) == ["unlikely_text"]
    assert reasons_of(garbage, model, thresholds, QualityConfig(filter=False)) == [""]
    assert reasons_of(garbage, model, thresholds, QualityConfig(ignore=("unlikely_text",))) != ["unlikely_text"]
    assert reasons_of(garbage, model, thresholds, QualityConfig(min_characters=5000)) == [""]


def test_short_documents_have_wider_thresholds():
    lines = [line for text in clean_texts("Cyrl", 800) for line in text.split("\n")]
    pieces = [line[: 20 + 7 * (number % 12)] for number, line in enumerate(lines)]
    model = CharacterModel.fit(pieces)
    bits = fit_thresholds(measure(pieces, model), QualityConfig()).bounds[:, MEASURES.index("bits") - 1]
    bits = bits[~np.isnan(bits)]

    assert len(bits) >= 3
    assert (np.diff(bits) <= 0).all()


def test_words_of_another_script_among_ones_own_are_the_languages(texts: list[str]):
    mixed = [f"{text}\nOK, so nice {text[:20]} very good" for text in texts[:300]]
    own = CharacterModel.fit([*texts[300:], *mixed])
    foreign = CharacterModel.fit([*texts, *["Nothing but another language here."] * 30])

    assert own.alphabet.scripts == ("Cyrl", "Latn")
    assert foreign.alphabet.scripts == ("Cyrl",)


def test_lines_that_differ_in_one_letter_are_not_repeated(model: CharacterModel):
    letters = "абвгдежзіклмнопрстухцчшы"
    pattern = "на гэтым месцы стаіць адна літара * і больш ніякай"
    column = MEASURES.index("repeated_lines")

    assert measure(["\n".join(pattern.replace("*", letter) for letter in letters)], model)[0, column] == 0
    assert measure(["\n".join([pattern] * 10)], model)[0, column] == pytest.approx(0.9)


def test_upper_case_is_no_less_likely(texts: list[str], model: CharacterModel):
    bits = measure([texts[0], texts[0].upper()], model)[:, MEASURES.index("bits")]

    assert bits[0] == pytest.approx(bits[1], rel=0.2)


@pytest.mark.parametrize(("language", "unit"), [("be", "line"), ("yue", "line"), ("is", "line"), ("lt", "line")])
def test_real_clean_text_stays(language: str, unit: str, shared_data: Path):
    texts = [
        line
        for path in sorted((shared_data / "corpora" / language).glob("*.txt"))
        for line in path.read_text(encoding="utf-8").split("\n")
        if line.strip()
    ]
    model = CharacterModel.fit(texts)
    dropped = [reason for reason in reasons_of(texts, model, fit_thresholds(measure(texts, model), QualityConfig())) if reason]

    assert len(dropped) < 0.0015 * len(texts)
