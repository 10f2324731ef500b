import pytest

from rodna.corpus.documents import Document
from rodna.evals.config import EvalConfig
from rodna.evals.data import EvaluationData
from rodna.evals.generation import beginning, choose_prompts, distinct, evaluate, in_loops, reference_texts

HELD_OUT = [
    "Над ціхай ракою стаяла старая хата, і ў хаце той жыла бабуля з унукам.",
    "Увосень лісце жаўцее і падае долу, а птушкі ляцяць у вырай.",
    "Кароткі сказ.",
    "На рынку прадавалі яблыкі, мёд і свежы хлеб з печы.",
]
TRAIN = ["У лесе жыў воўк, які вельмі любіў слухаць песні пра далёкія моры і высокія горы.", "Яблыкі растуць у садзе за старой хатай."]
CONFIG = EvalConfig(num_samples=4, bootstrap_samples=100)


class Parrot:
    """A language model that says the same to everyone."""

    def __init__(self, text):
        self.text, self.prompts = text, []

    def score(self, contexts, continuations):
        raise NotImplementedError

    def generate(self, prompts, sampling):
        self.prompts += prompts
        return [self.text] * len(prompts)


def data(train=TRAIN):
    documents = [Document(str(n), text, "s", "be") for n, text in enumerate(HELD_OUT)]
    return EvaluationData("be", documents, tokens=None, train=train, train_bytes=sum(len(t.encode()) for t in train), validation=[])


def measured(text):
    return {result.metric: result for result in evaluate(Parrot(text), data(), CONFIG).results}


@pytest.mark.parametrize(
    ("text", "looped"),
    [
        ("ха" * 20, 40),
        ("well, " + "и так далее " * 5 + "end", 61),
        ("............", 0),
        ("one two three four five six seven", 0),
        ("", 0),
        ("食飯" * 13, 26),
        ("я і ён. я і ён. я і ён.", 0),
    ],
)
def test_characters_in_loops_are_counted(text, looped):
    assert in_loops(text) == looped


def test_distinct_ngrams_are_counted_over_all_texts_but_not_across_them():
    assert distinct(["a b a", "a b"], 1) == (2, 5)
    assert distinct(["a b a", "a b"], 2) == (2, 3)
    assert distinct(["a"], 2) == (0, 0)


def test_a_beginning_ends_with_a_whole_word_and_is_at_most_half_of_the_text():
    assert beginning("Над ціхай ракою стаяла хата", 12) == "Над ціхай"
    assert beginning("Над ціхай ракою", 100) == "Над"
    assert beginning("我哋今日去食飯", 100) == "我哋今"
    assert beginning("слова", 100) == ""
    assert beginning("", 5) == ""


def test_half_of_the_prompts_begin_like_held_out_documents_and_half_are_empty():
    prompts = choose_prompts(HELD_OUT, CONFIG)
    assert [bool(prompt.text) for prompt in prompts] == [True, True, False, False]
    assert all(HELD_OUT[prompt.document].startswith(prompt.text) for prompt in prompts[:2])
    assert [prompt.document for prompt in prompts[2:]] == [-1, -1]
    assert choose_prompts(HELD_OUT, CONFIG) == prompts


def test_the_reference_has_as_many_characters_as_the_samples():
    texts = ["x" * 30, "y" * 25]
    pieces = reference_texts(data(), texts, seed=0)
    assert sum(map(len, pieces)) == 55
    assert max(map(len, pieces)) <= 30


def test_a_model_that_copies_is_found_out():
    found = measured(TRAIN[0])
    assert found["copied_characters"].value == 1
    assert found["copied_characters"].detail["reference"] == 0
    assert found["longest_copy"].value == len(TRAIN[0])
    assert found["longest_copy"].detail["copy"] == TRAIN[0]
    assert found["longest_copy"].detail["reference"] < 15
    assert found["unseen_5_grams"].value == 0
    assert found["unseen_5_grams"].detail["reference"] > 0.5


def test_a_model_that_goes_round_in_circles_is_found_out():
    found = measured("і зноў " * 10)
    assert (found["loops"].value, found["looped_characters"].value) == (1, 1)
    assert found["distinct_1"].value == pytest.approx(2 / 80)
    assert found["distinct_1"].detail["reference"] > 0.8


def test_a_model_that_leaves_its_script_and_language_is_found_out():
    ours, theirs = measured(HELD_OUT[1]), measured("The leaves turn yellow in autumn and the birds fly away to the south.")
    assert (ours["in_script"].value, theirs["in_script"].value) == (1, 0)
    assert (ours["in_language"].value, theirs["in_language"].value) == (1, 0)
    assert theirs["in_language"].detail["taken_for"] == "be"
    assert theirs["in_language"].detail["languages"] == {"en": 4}


def test_samples_are_kept_with_their_prompts():
    samples = evaluate(Parrot("так"), data(), CONFIG).files["samples.json"]
    assert [sample["text"] for sample in samples] == ["так"] * 4
    assert HELD_OUT[samples[0]["document"]].startswith(samples[0]["prompt"])


@pytest.mark.parametrize("text", ["", "1", "\n", "?!"])
def test_a_model_that_says_nothing_is_no_reason_to_stop(text):
    assert all(result.n for result in evaluate(Parrot(text), data(), CONFIG).results)


def test_no_samples_asked_for_means_none_made():
    evaluation = evaluate(Parrot("так"), data(), EvalConfig(num_samples=0))
    assert evaluation.results == []
    assert evaluation.files == {"samples.json": []}
