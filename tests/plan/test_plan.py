import json

import pytest

from rodna.core.artifact import Artifact
from rodna.core.errors import ArtifactError
from rodna.corpus.build import build_corpus
from rodna.corpus.config import CorpusConfig, Source
from rodna.plan.config import ModelSection, PlanConfig
from rodna.plan.plan import PLAN_FILE, make_plan, measure_text, plan_inputs, plan_settings, read_plan
from rodna.plan.speed import StepTime
from rodna.tokenizer.config import TokenizerConfig
from rodna.tokenizer.tokenizer import Tokenizer
from rodna.tokenizer.train import train_tokenizer
from rodna.train.config import TrainConfig, TrainValues


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("plan")
    lines = [f"Слова нумар {number}: {['жыта', 'сонца', 'мова'][number % 3]} і вада {number * 7919 % 1009}." for number in range(3000)]
    (root / "text.txt").write_text("\n".join(lines), encoding="utf-8")
    source = Source(path="text.txt", document="line", licence="CC0-1.0")
    corpus = build_corpus({"text": source}, CorpusConfig(), root / "corpus-00000000", language="be", root=root)
    return corpus, train_tokenizer(corpus, TokenizerConfig(vocabulary_size=300), root / "tokenizer-00000000")


def timer(model, train, *, machine, expected_seconds):
    return StepTime(seconds=0.05)


def planned(made, out, **config):
    return make_plan(*made, PlanConfig(device="cpu", **config), model=ModelSection(), train=TrainConfig(), out=out, timer=timer)


def test_the_plan_of_a_real_corpus_can_be_trained(made, tmp_path):
    plan = read_plan(planned(made, tmp_path / "plan-00000000"))
    assert TrainValues.model_validate(plan.train).steps > 1
    assert plan.model.vocabulary_size == Tokenizer.load(made[1].path).vocabulary_size
    assert plan.reasons
    assert plan.machine["device"] == "cpu"


def test_the_manifest_has_the_figures_and_the_licences(made, tmp_path):
    artifact = planned(made, tmp_path / "plan-00000000")
    assert artifact.counts["parameters"] == read_plan(artifact).model.num_parameters
    assert artifact.manifest.licences == made[0].manifest.licences
    assert set(artifact.manifest.inputs) == {"corpus", "tokenizer", "machine"}


def test_the_same_machine_and_settings_have_the_same_inputs(made):
    first, second = (plan_inputs(*made, PlanConfig(device="cpu")) for _ in range(2))
    assert first["machine"] == second["machine"]
    assert set(plan_settings(PlanConfig(), model=ModelSection(), train=TrainConfig())) == {"plan", "model", "train", "left_open"}


def test_tokens_are_counted_with_the_ends_of_documents(made):
    text = measure_text(*made)
    encoder = Tokenizer.load(made[1].path)
    from rodna.corpus.documents import read_documents

    documents = list(read_documents(made[0].path, "train"))
    assert text.num_tokens == sum(len(encoder.encode(document.text)) + 1 for document in documents)
    assert text.num_documents == len(documents)
    assert 0 < text.validation_tokens < text.num_tokens / 5


def test_a_damaged_plan_says_what_to_delete(made, tmp_path):
    artifact = planned(made, tmp_path / "plan-00000000")
    (artifact.path / PLAN_FILE).write_text('{"model": 3}', encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"plan\.json cannot be read") as error:
        read_plan(Artifact(artifact.path, artifact.manifest))
    assert "delete" in error.value.fix


def test_settings_that_nobody_wrote_are_left_to_the_recipe_and_count_towards_the_plans_digest():
    silent, written = (
        plan_settings(PlanConfig(), model=ModelSection(), train=train) for train in (TrainConfig(), TrainConfig(optimizer="muon"))
    )
    assert "optimizer" in silent["left_open"]
    assert "optimizer" not in written["left_open"]
    assert silent["train"] == written["train"]


def test_a_fit_is_among_what_a_plan_depends_on(made):
    assert "scaling" not in plan_inputs(*made, PlanConfig(device="cpu"))
    assert plan_inputs(*made, PlanConfig(device="cpu"), fit=made[0])["scaling"] is made[0]


def test_plans_for_different_gpus_are_different_plans(made):
    first, second = (plan_inputs(*made, PlanConfig(hardware=name))["machine"] for name in ("h100", "l4"))
    assert first != second


def test_the_texts_own_n_gram_figure_is_measured(made):
    text = measure_text(*made)
    assert 0.1 < text.ngram_bits_per_byte < 8
    assert text.ngram_tokens == text.num_tokens


def test_a_plan_written_before_expectations_were_kept_can_still_be_read(made, tmp_path):
    artifact = planned(made, tmp_path / "plan-00000000")
    values = json.loads((artifact.path / PLAN_FILE).read_text(encoding="utf-8"))
    old = {name: values[name] for name in ("model", "train", "estimates", "reasons", "machine")}
    (artifact.path / PLAN_FILE).write_text(json.dumps(old), encoding="utf-8")
    assert read_plan(artifact).expected == {}
