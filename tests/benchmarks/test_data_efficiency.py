"""The proof's machinery: the split, the accounting, the ladders, the tables, and one tiny training of every system."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.data_efficiency import pieces as pieces_module
from benchmarks.data_efficiency import texts
from benchmarks.data_efficiency.compare import Figure, best_figure, figure_of, reduction, student_of
from benchmarks.data_efficiency.counting import compress, count_ngrams, count_tokens
from benchmarks.data_efficiency.hf_peers import build
from benchmarks.data_efficiency.multiplier import fit_power_law, multiplier, needed
from benchmarks.data_efficiency.ours import train_rodna
from benchmarks.data_efficiency.peers import GPT, rate_factor, train_plain
from benchmarks.data_efficiency.pieces import Piece, all_pieces, curve_search, ladder
from benchmarks.data_efficiency.plots import draw
from benchmarks.data_efficiency.queue import run_queue
from benchmarks.data_efficiency.recipes import BABYLLAMA, BELLM, GOLDFISH, GRIDS, NANOGPT_BPE, PUBLISHED, PeerRecipe
from benchmarks.data_efficiency.results import no_speeds, read_results, read_speeds, write_result, write_speeds
from benchmarks.data_efficiency.run import run_piece, try_settings
from benchmarks.data_efficiency.scoring import score
from benchmarks.data_efficiency.speeds import key_of, measure_missing, steps_of, time_peer, train_peer
from benchmarks.data_efficiency.tables import report
from benchmarks.data_efficiency.texts import BenchmarkError, Place, Text, corpus_of, find_text, tokens_of
from benchmarks.pages import BEGIN, END, put_between_marks

from rodna.core.errors import RodnaError
from rodna.corpus.documents import read_documents
from rodna.data.tokens import Tokens
from rodna.evals.likelihood.scoring import document_nats
from rodna.models.config import ModelConfig
from rodna.models.decoder import Decoder

TINY = {"vocabulary": 512, "width": 16, "layers": 1, "heads": 2, "context": 32, "batch": 2}
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A corpus of invented Cyrillic words, where the benchmark looks for Belarusian."""
    root = tmp_path_factory.mktemp("efficiency")
    (root / "corpora" / "be").mkdir(parents=True)
    random = np.random.default_rng(0)
    syllables = ["ба", "ве", "гі", "до", "жу", "зы", "ка", "ле", "мі", "но", "пу", "ры", "са", "тэ", "ўх", "ца", "шы", "ча"]
    words = ["".join(random.choice(syllables, size=random.integers(1, 4))) for _ in range(400)]
    lines = [" ".join(random.choice(words, size=8)) + "." for _ in range(1500)]
    (root / "corpora" / "be" / "text.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return Place(root / "corpora", root / "work", root / "results")


@pytest.fixture(scope="module")
def tokens(place: Place) -> tuple[Tokens, Tokens]:
    """Training and validation tokens of the tiny vocabulary."""
    artifact, _ = tokens_of(place, find_text("be"), "bpe", 512)
    return Tokens.open(artifact.path, "train"), Tokens.open(artifact.path, "validation")


def documents(place: Place, name: str, split: Any) -> list[str]:
    return [document.text for document in read_documents(corpus_of(place, find_text(name)).path, split)]


def test_a_smaller_part_of_a_text_lies_within_every_larger_one_and_shares_its_held_out_documents(place: Place) -> None:
    whole, half, eighth = (set(documents(place, name, "train")) for name in ("be", "be-1of2", "be-1of8"))
    assert eighth < half < whole
    size = {name: sum(len(text.encode()) for text in documents(place, name, "train")) for name in ("be", "be-1of2", "be-1of8")}
    assert size["be-1of2"] == pytest.approx(size["be"] / 2, rel=0.1)
    assert size["be-1of8"] == pytest.approx(size["be"] / 8, rel=0.3)
    for split in ("validation", "test"):
        assert documents(place, "be", split) == documents(place, "be-1of8", split) != []


def test_every_main_text_has_its_files(shared_data: Path) -> None:
    for name in texts.MAIN:
        assert any((shared_data / "corpora" / find_text(name).corpus).glob("*.txt")), name


def test_held_out_documents_are_in_no_training_text(place: Place) -> None:
    train = set(documents(place, "be", "train"))
    assert not train & {*documents(place, "be", "validation"), *documents(place, "be", "test")}


def test_a_vocabulary_larger_than_the_text_supports_becomes_the_largest_that_fits(place: Place) -> None:
    tokens, _ = tokens_of(place, find_text("be-1of8"), "bpe", 3000)
    assert 512 <= tokens.counts["vocabulary_size"] < 3000


def test_unknown_texts_are_refused_by_name() -> None:
    with pytest.raises(BenchmarkError, match="there is no text 'bee'"):
        find_text("bee")


def test_texts_that_are_not_here_are_named(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="the texts of be are not here"):
        corpus_of(Place(tmp_path / "none", tmp_path / "work", tmp_path / "results"), find_text("be"))


def test_scoring_is_the_sum_over_every_token_and_the_end_of_each_document(tokens: tuple[Tokens, Tokens]) -> None:
    _, validation = tokens
    log_p = torch.log_softmax(torch.randn(validation.vocabulary_size, generator=torch.Generator().manual_seed(0)), 0)
    scored = score(lambda ids: log_p.expand(*ids.shape, -1), validation, context=32, device=CPU)
    expected = -log_p[torch.from_numpy(validation.tokens.astype(np.int64))].sum().item() / np.log(2)
    assert scored.bits_D.sum() == pytest.approx(expected, rel=1e-5)
    assert scored.bits_per_byte == pytest.approx(expected / validation.num_bytes, rel=1e-5)


def test_scoring_rodna_equals_its_own_evaluation(tokens: tuple[Tokens, Tokens]) -> None:
    _, validation = tokens
    decoder = Decoder(ModelConfig(vocabulary_size=validation.vocabulary_size, context_length=32, width=16, num_layers=1, num_heads=2,
                                  num_kv_heads=2, head_width=8, ffn_width=32)).initialize(seed=0)  # fmt: skip
    own = document_nats(decoder, validation, stride=0.5, batch_size=4, compute_dtype=torch.float32) / np.log(2)
    scored = score(lambda ids: decoder.logits(decoder(ids, compute_dtype=torch.float32)), validation, context=32, device=CPU)
    np.testing.assert_allclose(scored.bits_D, own, rtol=1e-5)


def test_a_character_model_pays_for_characters_it_does_not_know(place: Place) -> None:
    _, tokenizer = tokens_of(place, find_text("be"), "character", 0)
    from rodna.tokenizer.tokenizer import Tokenizer

    encoder = Tokenizer.load(tokenizer.path)
    known, unknown = (encoder.encode_batch([text])[0] for text in ("ба", "漢"))
    assert (len(known), len(unknown)) == (2, len("漢".encode()))


@pytest.mark.parametrize("schedule", ["constant", "cosine", "linear"])
def test_every_schedule_warms_up_and_ends_with_the_steps(schedule: Any) -> None:
    recipe = replace(NANOGPT_BPE, schedule=schedule)
    factors = [rate_factor(recipe, step, 200) for step in range(1, 201)]
    assert max(factors) <= 1
    assert factors[0] < factors[10] < factors[21]
    assert factors[-1] == pytest.approx({"constant": 1.0, "cosine": 0.1, "linear": 0.0}[schedule], abs=1e-9)


def test_gpt_is_transformers_gpt2_without_biases() -> None:
    recipe = PeerRecipe("reference", **{**TINY, "dropout": 0.0})
    ours = GPT(recipe, 64).eval()
    theirs = build(recipe, 64, 0).eval()
    state = theirs.state_dict()
    for name in state:
        if name.endswith("bias") and ".attn.bias" not in name:
            state[name].zero_()
    for index, block in enumerate(ours.blocks):
        own = block.state_dict()
        for mine, its in (("qkv", "attn.c_attn"), ("out", "attn.c_proj"), ("up", "mlp.c_fc"), ("down", "mlp.c_proj")):
            state[f"transformer.h.{index}.{its}.weight"].copy_(own[f"{mine}.weight"].T)
    state["transformer.wte.weight"].copy_(ours.embedding.weight.detach())
    state["transformer.wpe.weight"].copy_(ours.position.weight.detach())
    ids = torch.arange(32)[None] % 64
    # Hugging Face takes the tanh form of GELU.
    torch.testing.assert_close(ours(ids), theirs(input_ids=ids).logits, atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("published", [BELLM, NANOGPT_BPE, BABYLLAMA, GOLDFISH], ids=lambda recipe: recipe.system)
def test_every_peer_learns_something_from_a_few_steps(published: PeerRecipe, place: Place) -> None:
    recipe = replace(published, **TINY, ffn_width=0, learning_rate=1e-2)
    artifact, _ = tokens_of(place, find_text("be"), recipe.algorithm, 512 if published.vocabulary else 0)
    train, validation = Tokens.open(artifact.path, "train"), Tokens.open(artifact.path, "validation")
    trained = train_peer(recipe, train, validation, steps=30, seed=0, device=CPU, evaluations=3)
    assert [step for step, _ in trained.curve] == [10, 20, 30]
    assert trained.curve[-1][1] < trained.curve[0][1]
    assert trained.best_step == min(trained.curve, key=lambda point: point[1])[0]
    final = score(trained.logits, validation, context=recipe.context, device=CPU)
    assert final.bits_per_byte < np.log2(train.vocabulary_size) * train.num_tokens / train.num_bytes


def test_a_peer_keeps_the_weights_that_did_best_on_validation(tokens: tuple[Tokens, Tokens]) -> None:
    train, validation = tokens
    wild = PeerRecipe("wild", **{**TINY, "learning_rate": 3.0, "schedule": "constant", "warmup_steps": 0, "clip": 0.0})
    trained = train_plain(wild, train, validation, steps=12, seed=0, device=CPU, evaluations=4)
    from benchmarks.data_efficiency.scoring import glance

    kept = glance(trained.logits, validation, context=wild.context, device=CPU, max_tokens=16_384)
    assert kept == pytest.approx(min(bits for _, bits in trained.curve), abs=1e-3)


def test_the_same_seed_gives_the_same_peer_and_another_one_another(tokens: tuple[Tokens, Tokens]) -> None:
    train, validation = tokens
    first, again, other = (
        train_plain(PeerRecipe("same", **TINY), train, validation, steps=4, seed=seed, device=CPU).curve for seed in (1, 1, 2)
    )
    assert first == again != other


def test_a_speed_holds_the_start_the_step_and_the_evaluation(place: Place) -> None:
    artifact, _ = tokens_of(place, find_text("be"), "bpe", 512)
    found = time_peer(PeerRecipe("timed", **TINY), artifact, compiled=False, seconds=0.05)
    assert found["step_seconds"] > 0
    assert found["tokens_per_second"] == pytest.approx(64 / found["step_seconds"])
    assert found["startup_seconds"] >= 0
    assert found["evaluation_seconds"] >= 0


def speeds_for(recipe: PeerRecipe, *, step: float = 0.1, tokens: int = 10_000) -> dict:
    entry = {"startup_seconds": 20.0, "step_seconds": step, "evaluation_seconds": 2.5, "tokens_per_second": recipe.tokens_per_step / step}
    slow = {**entry, "step_seconds": 10 * step}
    return {
        "steps": {key_of(recipe, 512): {"eager": slow, "compiled": entry}}, "plans": {},
        "machine": {"bf16_flops": 1e12, "fp32_flops": 1e12}, "texts": ["be"],
        "vocabularies": {f"be/{recipe.algorithm}-{recipe.vocabulary or 'planned'}": {"size": 512, "tokens": tokens}},
    }  # fmt: skip


def test_a_budget_pays_for_start_and_evaluations_before_steps() -> None:
    recipe = PeerRecipe("counted", **TINY)
    piece = Piece("tuned", "be", "counted", recipe, 5)
    assert steps_of(speeds_for(recipe), piece) == (round((300 - 20 - 4 * 2.5) / 0.1), True)
    assert steps_of(speeds_for(recipe), replace(piece, fraction=0.25))[0] == round(2700 / 4)


def test_a_recipe_that_ends_after_some_epochs_does_not_use_the_time_that_is_left() -> None:
    recipe = PeerRecipe("six", **TINY, max_epochs=6)
    assert steps_of(speeds_for(recipe), Piece("tuned", "be", "six", recipe, 20))[0] == round(6 * 10_000 / 64)


def test_epochs_of_a_curve_need_no_speed() -> None:
    recipe = PeerRecipe("curve", **TINY)
    known = {**speeds_for(recipe), "steps": {}}
    assert steps_of(known, Piece("curve", "be", "curve", recipe, epochs=3))[0] == round(3 * 10_000 / 64)


def test_a_piece_without_a_measured_speed_says_what_to_run() -> None:
    recipe = PeerRecipe("unknown", **TINY)
    with pytest.raises(BenchmarkError, match="has not been measured") as caught:
        steps_of({"steps": {}, "vocabularies": {}}, Piece("tuned", "be", "unknown", recipe, 5))
    assert "data_efficiency speeds" in caught.value.fix


def test_every_plan_and_step_keeps_the_machine_that_it_was_measured_on(tmp_path: Path) -> None:
    own, recipe = Place(results=tmp_path), PeerRecipe("measured", **TINY)
    write_speeds(own, "a", {**speeds_for(recipe), "machine": {"name": "old"}})
    write_speeds(own, "b", {**no_speeds(), "machine": {"name": "new"}, "texts": ["be"], "plans": {"be/20": {}}})
    found = read_speeds(own)["be"]
    assert {key: machine["name"] for key, machine in found["measured_on"].items()} == {
        **dict.fromkeys(found["steps"], "old"),
        "be/20": "new",
    }


def test_a_text_is_measured_on_one_machine_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = Place(results=tmp_path)
    recipe = PeerRecipe("measured", **TINY)
    write_speeds(own, "old", speeds_for(recipe))
    write_speeds(own, "other", {**no_speeds(), "machine": {"name": "new"}, "texts": ["is"]})
    before = read_speeds(own)
    measure_missing(own, [Piece("tuned", "be", "measured", recipe, 5)], label="other", again=True)
    assert "be: its trainings were measured on old" in capsys.readouterr().out
    known = speeds_for(recipe)
    assert read_speeds(own)["be"] == before["be"] == {**known, "measured_on": dict.fromkeys(known["steps"], known["machine"])}
    assert before["eu"] == {**no_speeds(), "measured_on": {}}


def test_no_two_settings_of_a_grid_share_a_name_and_so_a_file() -> None:
    for system, grid in GRIDS.items():
        assert len({recipe.name for recipe in grid}) == len(grid), system
        assert {recipe.system for recipe in grid} == {system}


def results_of(found: list[Piece], *, counted: float = 2.0) -> dict:
    """Invent a validation figure for pieces: smaller learning rates do better, longer runs too; what has no recipe takes `counted`."""
    return {
        piece.name: {
            "text": piece.text, "system": piece.system, "kind": piece.kind, "minutes": piece.minutes, "fraction": piece.fraction,
            "validation_bits_per_byte": _invented(piece.recipe, piece.fraction) if piece.recipe else counted,
        }
        for piece in found
    }  # fmt: skip


def _invented(recipe: PeerRecipe, fraction: float) -> float:
    return 2 + recipe.learning_rate + recipe.width / 1e4 - fraction


def test_a_ladder_drops_the_hopeless_and_ends_with_the_best() -> None:
    results: dict = {}
    sizes = []
    while (found := ladder("be", "goldfish", 5, results)).winner is None:
        fresh = [piece for piece in found.pieces if piece.name not in results]
        sizes.append((fresh[0].fraction, len(fresh)))
        results |= results_of(fresh)
    count = len(GRIDS["goldfish"])
    assert sizes == [(0.25, count), (0.5, -(-count // 3)), (1.0, 2)]
    assert found.winner.learning_rate == min(recipe.learning_rate for recipe in GRIDS["goldfish"])


def test_a_peer_far_behind_on_be_is_trained_with_the_best_of_its_first_rung_in_the_shorter_budget() -> None:
    rungs = [Piece("search", "be", system, recipe, 5, 0.25) for system, grid in GRIDS.items() for recipe in grid]
    results = results_of(rungs)
    for piece in rungs:
        if piece.system == "bellm":
            results[piece.name]["validation_bits_per_byte"] += 0.5
    behind, near = (ladder("be", system, 5, results) for system in ("bellm", "nanogpt-char"))
    assert near.winner is None
    assert {piece.fraction for piece in behind.pieces} == {0.25}
    assert behind.winner == min(GRIDS["bellm"], key=lambda recipe: recipe.learning_rate)
    finals = [piece for piece in all_pieces(results)[0] if piece.system == "bellm" and piece.kind == "tuned"]
    assert [(piece.minutes, piece.seed, piece.recipe) for piece in finals] == [(5, 1, behind.winner)]
    assert not [line for line in all_pieces(results)[1] if line.startswith("be, bellm")]


@pytest.mark.parametrize(("counted", "seeds"), [(0.9, (1,)), (1.0, pieces_module.SEEDS)])
def test_a_peer_whose_first_final_training_is_behind_counting_is_trained_but_once(counted: float, seeds: tuple[int, ...]) -> None:
    results: dict = {}
    while (found := ladder("be", "nanogpt-bpe", 5, results)).winner is None:
        results |= results_of(found.pieces)

    def finals() -> list[Piece]:
        known = all_pieces(results)[0]
        return [piece for piece in known if piece.system == "nanogpt-bpe" and piece.kind == "tuned" and piece.minutes == 5]

    assert tuple(piece.seed for piece in finals()) == (1,)
    results |= results_of(finals())
    bits = counted * results[finals()[0].name]["validation_bits_per_byte"]
    results |= {Piece("count", "be", "ngram-bpe").name: {"validation_bits_per_byte": bits}}
    assert tuple(piece.seed for piece in finals()) == seeds


def test_a_longer_budget_is_searched_from_the_best_size_up_with_and_without_dropout() -> None:
    results: dict = {}
    while (found := ladder("be", "nanogpt-bpe", 5, results)).winner is None:
        results |= results_of(found.pieces)
    longer = [piece.recipe for piece in ladder("be", "nanogpt-bpe", 20, results).pieces if piece.recipe]
    assert {piece.fraction for piece in ladder("be", "nanogpt-bpe", 20, results).pieces} == {0.5}
    widths = sorted({recipe.width for recipe in longer})
    assert longer[0] == found.winner
    assert widths[0] == found.winner.width < widths[1] < widths[2]
    assert {(recipe.width, recipe.dropout > 0) for recipe in longer[1:]} == {(width, on) for width in widths[1:] for on in (True, False)}


def test_where_all_steps_did_worse_than_a_part_of_them_the_part_is_a_final_training_too() -> None:
    results: dict = {}
    for minutes in (5, 20):
        while (found := ladder("be", "nanogpt-bpe", minutes, results)).winner is None:
            results |= results_of(found.pieces)
    firsts = [pieces_module.first_finals("be", "nanogpt-bpe", 20, results)]
    for bits in (found.validation_bits_per_byte - 0.01, found.validation_bits_per_byte + 0.01):
        results[firsts[0][0].name] = {"validation_bits_per_byte": bits}
        firsts.append(pieces_module.first_finals("be", "nanogpt-bpe", 20, results))
    assert [[piece.fraction for piece in each] for each in firsts] == [[1.0], [1.0], [1.0, 0.5]]
    assert [piece.name for piece in firsts[2]] == ["be--nanogpt-bpe--tuned-20min--seed1", "be--nanogpt-bpe--tuned-20min-50pct--seed1"]


def test_of_final_trainings_of_two_lengths_those_that_did_better_on_validation_count() -> None:
    def result(fraction: float, seed: int, validation: float, test: float) -> dict:
        return {"text": "be", "system": "nanogpt-bpe", "kind": "tuned", "minutes": 20, "fraction": fraction, "seed": seed,
                "validation_bits_per_byte": validation, "test_bits_per_byte": test, "test_document_bits": [10 * test],
                "test_document_bytes": [10]}  # fmt: skip

    results = {"whole": result(1.0, 1, 1.2, 1.0), "half": result(0.5, 1, 1.1, 1.05), "half-2": result(0.5, 2, 1.12, 1.07)}
    found = figure_of(results, "be", "nanogpt-bpe", "tuned", 20)
    assert found is not None
    assert found.values == [1.05, 1.07]


def run_all(*, counted: float) -> list[Piece]:
    """Return every piece there is in the end, where counting takes so many bits per byte."""
    results: dict = {}
    for _ in range(40):
        known, waiting = all_pieces(results)
        fresh = [piece for piece in known if piece.name not in results]
        if not fresh:
            break
        results |= results_of(fresh, counted=counted)
    assert not waiting
    return known


def test_where_counting_is_the_best_peer_of_be_no_network_is_searched_on_another_text() -> None:
    known = run_all(counted=0.9)
    assert {piece.text for piece in known if piece.kind in ("search", "tuned")} == {"be"}
    assert {piece.text for piece in known if piece.kind == "count"} == set(texts.MAIN)


def test_all_of_a_text_is_learned_by_what_did_best_on_half_of_it() -> None:
    finals = [piece for piece in run_all(counted=0.9) if piece.kind == "curve"]
    for text in texts.LONG:
        half, whole = ({(piece.recipe, piece.epochs) for piece in finals if piece.text == name} for name in (f"{text}-1of2", text))
        assert half == whole
        assert len(whole) == 1


def test_members_are_trainings_of_their_own_by_the_plan_of_one_model() -> None:
    members = pieces_module.members_of("be")
    assert [(piece.kind, piece.seed) for piece in members] == [("member", 1), ("member", 2), ("member", 3)]
    assert {piece.plan_key for piece in members} == {"be/20-alone"} == {Piece("student", "be", "student", minutes=60, seed=1).plan_key}
    assert {piece.name for piece in members} <= {piece.name for piece in all_pieces({})[0]}
    assert [piece.is_final for piece in members] == [True, True, True]


def test_the_list_grows_until_every_text_has_its_final_trainings() -> None:
    known = run_all(counted=2.0)
    finals = {(piece.text, piece.kind, piece.minutes) for piece in known if piece.is_final}
    for text in texts.MAIN:
        assert {(text, "rodna", 5), (text, "rodna", 20), (text, "tuned", 5), (text, "tuned", 20), (text, "count", 0)} <= finals
    assert {("be-1of8", "curve", 0), ("is-1of2", "curve", 0), ("be", "curve", 0)} <= finals
    assert {piece.seed for piece in known if piece.kind == "tuned"} == set(pieces_module.SEEDS)
    assert not {piece.seed for piece in known if piece.kind == "search"} & set(pieces_module.SEEDS)


def test_a_curve_trains_longer_only_while_that_gains() -> None:
    recipe = PeerRecipe("curve", **TINY)
    results, gains = {}, iter([2.0, 1.8, 1.9])
    for bits in gains:
        found, best = curve_search("be", [recipe], results)
        assert best is None
        results[found[-1].name] = {"validation_bits_per_byte": bits}
    found, best = curve_search("be", [recipe], results)
    assert [piece.epochs for piece in found] == [10, 20, 40]
    assert best == (recipe, 20)


def test_counting_pieces_are_scored_on_the_same_documents_and_their_looks_are_noted(place: Place, tmp_path: Path) -> None:
    own = Place(place.corpora, place.work, tmp_path)
    text = find_text("be")
    held_out = [len(document.encode()) for document in documents(place, "be", "test")]
    for system, count in (("ngram", count_ngrams), ("ngram-bpe", count_tokens), ("xz", compress)):
        scored, detail = count(own, text, piece=system)
        assert scored.bytes_D.tolist() == held_out
        assert 0.5 < scored.bits_per_byte < 6
        assert detail["validation_looks"] >= 1
    looks = [json.loads(line)["piece"] for line in (tmp_path / "test-looks.jsonl").read_text().splitlines()]
    assert looks == ["ngram", "ngram-bpe", "xz"]


def test_a_search_never_looks_at_test_and_a_final_training_once(place: Place, tmp_path: Path) -> None:
    own = Place(place.corpora, place.work, tmp_path)
    recipe = PeerRecipe("nanogpt-bpe", **TINY)
    write_speeds(own, "here", speeds_for(recipe, step=60.0))
    searched = run_piece(own, Piece("search", "be", "nanogpt-bpe", recipe, 5), device="cpu")
    assert "test_bits_per_byte" not in searched
    assert not (tmp_path / "test-looks.jsonl").exists()
    final = run_piece(own, Piece("tuned", "be", "nanogpt-bpe", recipe, 5, seed=1), device="cpu")
    low, high = final["test_interval"]
    assert low < final["test_bits_per_byte"] < high
    assert sum(final["test_document_bits"]) / sum(final["test_document_bytes"]) == pytest.approx(final["test_bits_per_byte"], abs=1e-4)
    assert (tmp_path / "test-looks.jsonl").read_text().count("\n") == 1
    assert {"commit", "command", "machine", "seconds", "tokens_per_second", "curve", "recipe", "steps"} <= set(final)
    assert set(read_results(own)) == {"be--nanogpt-bpe--search-5min-100pct--" + recipe.name, "be--nanogpt-bpe--tuned-5min--seed1"}
    table = report(own)
    assert f"{final['test_bits_per_byte']:.3f} (1)" in table
    assert "| be | 1 | 1 |" in table


def test_rodna_trains_its_recorded_plan_with_another_seed(place: Place, tmp_path: Path) -> None:
    own = Place(place.corpora, place.work, tmp_path)
    figures, scored = train_rodna(own, find_text("be"), tiny_plan(place), piece="tiny", seed=7, device="cpu", reads_test=True)
    assert scored is not None
    assert figures["steps"] == 6
    assert figures["validation_looks"] == len(figures["curve"]) + 1 == 3
    assert 0 < scored.bits_per_byte < 9
    counted = figures["with_counts"]
    # After six steps the counts know more than the model.
    assert counted["test_bits_per_byte"] < scored.bits_per_byte
    assert counted["validation_bits_per_byte"] < figures["validation_bits_per_byte"]
    assert 0 < counted["weight"] < 1

    another = tiny_plan(place)
    another["train"]["steps"] = 7
    with pytest.raises(BenchmarkError, match="by an earlier plan"):
        train_rodna(own, find_text("be"), another, piece="tiny", seed=7, device="cpu", reads_test=True)


def test_a_plan_with_another_setting_is_tried_on_validation_alone(place: Place, tmp_path: Path) -> None:
    own = Place(place.corpora, tmp_path / "work", tmp_path / "results")
    write_speeds(own, "here", {**no_speeds(), "texts": ["be"], "plans": {"be/5": tiny_plan(place)}})
    with_320_tokens = replace(find_text("be"), vocabulary=320)
    file = try_settings(own, "be", 5, ["model.dropout=0.1", "train.steps=4"], device="cpu")
    tried = json.loads(file.read_text(encoding="utf-8"))

    assert file == own.results / "tries" / "be--try-5min-model.dropout=0.1-train.steps=4.json"
    assert (tried["steps"], tried["recipe"]["model"]["dropout"]) == (4, 0.1)
    assert tried["validation_bits_per_byte"] == pytest.approx(tried["curve"][-1][1], rel=0.2)
    smaller = json.loads(try_settings(own, "be", 5, ["tokenizer.vocabulary_size=320"], device="cpu").read_text(encoding="utf-8"))
    planned, tokens = (Tokens.open(tokens_of(own, text, "bpe", 0)[0].path, "train") for text in (find_text("be"), with_320_tokens))
    assert smaller["recipe"]["model"]["vocabulary_size"] == tokens.vocabulary_size == 320 < planned.vocabulary_size
    assert smaller["steps"] == round(tiny_plan(place)["estimates"]["epochs"] * tokens.num_tokens / 2 / 32)
    given = try_settings(own, "be", 5, ["train.steps=3", "tokenizer.vocabulary_size=320"], device="cpu")
    assert json.loads(given.read_text(encoding="utf-8"))["steps"] == 3
    assert not (own.results / "test-looks.jsonl").exists()
    assert read_results(own) == {}
    with pytest.raises(BenchmarkError, match=r"a plan has no 'model\.dropuot'"):
        try_settings(own, "be", 5, ["model.dropuot=0.1"], device="cpu")


def tiny_plan(place: Place) -> dict:
    """Return what `plan.json` holds, for the smallest training."""
    from rodna.train.config import TrainConfig

    artifact, _ = tokens_of(place, find_text("be"), "bpe", 0)
    model = ModelConfig(vocabulary_size=artifact.counts["vocabulary_size"], context_length=32, width=16, num_layers=1, num_heads=2,
                        num_kv_heads=2, head_width=8, ffn_width=32, tied_embeddings=True)  # fmt: skip
    train = TrainConfig(steps=6, batch_size=2, micro_batch_size=2, learning_rate=0.01, adam_learning_rate=0.01, weight_decay=0.1,
                        warmup_steps=1, decay_fraction=0.5, checkpoint_activations=False, evaluations=2, compile="off",
                        trackers=(), bpe_dropout=0.0)  # fmt: skip
    machine = {"device": "cpu", "bf16_flops": 1e12, "fp32_flops": 1e12}
    estimates = {"seconds": 1.0, "epochs": 0.01}
    return {"model": model.model_dump(mode="json"), "train": train.model_dump(mode="json"), "estimates": estimates, "reasons": [],
            "machine": machine}  # fmt: skip


def test_members_their_average_and_their_student_go_through_rodnas_stages(place: Place, tmp_path: Path) -> None:
    own = Place(place.corpora, place.work, tmp_path)
    plan = tiny_plan(place)
    plan["estimates"]["seconds"] = 60.0 * pieces_module.MEMBER_MINUTES
    of_members = pieces_module.members_of("be")[0].plan_key
    speeds = {**no_speeds(), "texts": ["be"], "plans": {of_members: plan, "be/20": plan}}
    write_speeds(own, "here", speeds)
    ensemble, released = (
        Piece("ensemble", "be", "ensemble"),
        Piece("student", "be", "student", minutes=pieces_module.STUDENT_MINUTES, seed=1),
    )
    with pytest.raises(BenchmarkError, match="members were trained elsewhere"):
        run_piece(own, ensemble, device="cpu")
    alone = [run_piece(own, member, device="cpu") for member in pieces_module.members_of("be")]
    assert ["test_bits_per_byte" in result for result in alone] == [True, True, True]
    # One model of a member's time is that member.
    same = run_piece(own, Piece("rodna", "be", "rodna", minutes=20, seed=2), device="cpu")
    assert (same["trained_as"], same["test_bits_per_byte"]) == ("be--rodna--member-20min--seed2", alone[1]["test_bits_per_byte"])
    assert read_results(own)["be--rodna--rodna-20min--seed2"] == same
    assert not (place.work / "be" / "runs" / "be--rodna--rodna-20min--seed2").exists()
    together = run_piece(own, ensemble, device="cpu")
    validation = [result["validation_bits_per_byte"] for result in alone]
    assert together["members_validation_bits_per_byte"] == pytest.approx(validation, rel=1e-4)
    assert together["validation_bits_per_byte"] <= float(np.mean(validation)) + 1e-6
    learned = run_piece(own, released, device="cpu")
    # Its hour is three times a member's time: enough for as many steps and for what three teachers' forward passes take.
    assert learned["steps"] == 6
    assert learned["teachers"] == 3
    assert learned["recipe"]["train"]["steps"] == learned["steps"]
    assert 0 < learned["test_bits_per_byte"] < 9
    for made in (together, learned):
        assert made["with_counts"]["test_bits_per_byte"] < made["test_bits_per_byte"]
    figures = [student_of(read_results(own), "be", counted=counted) for counted in (False, True)]
    assert [found.mean for found in figures if found] == [learned["test_bits_per_byte"], learned["with_counts"]["test_bits_per_byte"]]


def test_a_plan_that_leaves_time_is_used_for_members_and_a_student(place: Place, tmp_path: Path) -> None:
    own, plan = Place(place.corpora, place.work, tmp_path), tiny_plan(place)
    of_member = {**plan, "ensemble": {"members": 2, "share": 0.5}}
    write_speeds(own, "here", {**no_speeds(), "texts": ["be"], "plans": {"be/20": of_member, "be/5": plan}})
    made = run_piece(own, Piece("rodna", "be", "rodna", minutes=20, seed=8), device="cpu")
    assert made["members"] == 2
    assert 1 <= made["steps"] <= 6
    assert made["seconds"] > made["members_seconds"] > 0
    assert 0 < made["with_counts"]["test_bits_per_byte"] < made["test_bits_per_byte"] < 9
    members = sorted((place.work / "be" / "runs" / "be--rodna--rodna-20min--seed8" / "members").glob("member-*/finished/manifest.json"))
    assert [json.loads(file.read_text())["seed"] for file in members] == [80, 81]
    assert "members" not in run_piece(own, Piece("rodna", "be", "rodna", minutes=5, seed=8), device="cpu")


def figure(system: str, rates: list[float], *, num_documents: int = 50) -> Figure:
    sizes = np.full(num_documents, 1000)
    noise = np.random.default_rng(1).normal(0, 20, num_documents)
    bits = np.array([rate * sizes + noise for rate in rates])
    return Figure(system, [float(row.sum() / sizes.sum()) for row in bits], bits, sizes, float(np.mean(rates)))


def test_a_reduction_has_an_interval_that_holds_it() -> None:
    found = reduction(figure("peer", [2.0, 2.02, 1.98]), figure("rodna", [1.8, 1.81, 1.79]))
    assert found is not None
    assert found.share == pytest.approx(0.1, abs=0.005)
    assert found.low < found.share < found.high
    assert reduction(None, figure("rodna", [1.8])) is None


def scored_five_minutes_of_be() -> dict:
    """Return results of everything there is of be at five minutes, the test scores the other way round than those on validation."""
    results: dict = {}
    while True:
        known, _ = all_pieces(results)
        fresh = [piece for piece in known if (piece.text, piece.minutes) in (("be", 5), ("be", 0)) and piece.name not in results]
        if not fresh:
            return results
        if any(piece.kind == "search" for piece in fresh):
            assert best_figure(results, "be", 5) is None
        results |= results_of(fresh, counted=2.0)
        for result in results.values():
            bits = 4 - result["validation_bits_per_byte"]
            result |= {"test_bits_per_byte": bits, "test_document_bits": [bits * 10], "test_document_bytes": [10]}


def test_the_best_peer_is_chosen_on_validation_not_on_test() -> None:
    results = scored_five_minutes_of_be()
    best = best_figure(results, "be", 5)
    assert best is not None
    tuned = [result for result in results.values() if result["kind"] == "tuned"]
    assert best.validation == min(result["validation_bits_per_byte"] for result in tuned)
    assert best.mean > min(result["test_bits_per_byte"] for result in tuned)
    assert best_figure(results, "be", 20) is None
    # On another text it is missing until it is tuned there; what counts is there already.
    assert best_figure(results, "is", 5) is None


def test_counting_is_the_best_peer_where_it_does_better() -> None:
    results: dict = {}
    for _ in range(10):
        known, _ = all_pieces(results)
        results |= results_of([piece for piece in known if piece.minutes in (0, 5) and piece.name not in results], counted=0.9)
    for result in results.values():
        result |= {"test_bits_per_byte": 1.0, "test_document_bits": [10.0], "test_document_bytes": [10]}
    for text in ("be", "is"):
        best = best_figure(results, text, 5)
        assert best is not None
        assert best.system in pieces_module.COUNTING


def test_a_power_law_is_found_again_and_says_how_much_text_is_needed() -> None:
    shares = np.array([1 / 8, 1 / 4, 1 / 2, 1])
    floor, scale, exponent = fit_power_law(shares, 1.0 + 0.5 * shares**-0.3)
    assert (floor, scale, exponent) == pytest.approx((1.0, 0.5, 0.3), rel=0.05)
    assert needed(0.0, 2.0, 0.1, 2.0 * 4**-0.1) == pytest.approx(4)
    assert needed(1.0, 0.5, 0.3, 0.9) == float("inf")
    points = [(float(share), figure("nanogpt-bpe", [2.0 * share**-0.1])) for share in shares]
    found = multiplier(points, figure("rodna", [2.0 * 3**-0.1]), floor_share=0.0)
    assert found.value == pytest.approx(3, rel=0.05)
    assert found.low <= found.value <= found.high


def test_a_report_without_results_says_that_everything_is_missing(tmp_path: Path) -> None:
    text = report(Place(tmp_path, tmp_path, tmp_path))
    assert "| be | missing | missing | missing | missing | missing |" in text
    assert "| be | 5 |  | missing | rodna | missing | missing | missing |" in text
    assert "| be | 5 |  | missing | rodna, with counts | missing | missing | missing |" in text
    assert "* be, rodna, rodna: 6 pieces" in text


def test_results_of_another_run_replace_the_old_ones(tmp_path: Path) -> None:
    place = Place(tmp_path, tmp_path, tmp_path / "results")
    for value in (1, 2):
        write_result(place, "piece", {"value": value})
    assert read_results(place) == {"piece": {"piece": "piece", "value": 2}}


def test_every_published_recipe_is_searched() -> None:
    assert set(PUBLISHED) == set(GRIDS)
    assert isinstance(find_text("be"), Text)


def test_tables_go_between_the_marks_of_a_document(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    put_between_marks(document, "new")
    assert document.read_text() == f"before\n{BEGIN}\n\nnew\n{END}\nafter\n"
    document.write_text("no marks")
    with pytest.raises(RodnaError, match="no place for the tables"):
        put_between_marks(document, "new")


def test_pictures_are_drawn_from_what_there_is(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    place = Place(tmp_path, tmp_path, tmp_path / "results")
    assert draw(place, tmp_path / "pictures") == []
    for name, result in scored_five_minutes_of_be().items():
        write_result(place, name, {"validation_looks": 1, **result})
    for part in (8, 4, 2, 1):
        text = "be" if part == 1 else f"be-1of{part}"
        bits = 2 * part**0.1
        write_result(place, f"{text}-curve", {"text": text, "kind": "curve", "system": "nanogpt-bpe", "minutes": 0, "validation_looks": 1,
                     "validation_bits_per_byte": bits, "test_bits_per_byte": bits, "test_document_bits": [10 * bits],
                     "test_document_bytes": [10]})  # fmt: skip
    made = [path.name for path in draw(place, tmp_path / "pictures")]
    assert made == ["equal-time.svg", "equal-time.png", "amount-be.svg", "amount-be.png"]
    assert "<svg" in (tmp_path / "pictures" / "equal-time.svg").read_text()


@pytest.mark.slow
def test_the_queue_runs_what_is_left_and_nothing_twice(place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = Place(place.corpora, place.work, tmp_path)
    for done in (2, 0):
        run_queue(own, minutes=10, only="^be--(ngram--|xz)", jobs=2, threads=1, device="cpu", compiled=False)
        assert f"{done} pieces done, 0 failed" in capsys.readouterr().out
    assert set(read_results(own)) == {"be--ngram--count--seed0", "be--xz--count--seed0"}
