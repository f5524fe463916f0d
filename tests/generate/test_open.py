import json

import pytest

from underdog.errors import UserError
from underdog.generate.open import Loading, open_model
from underdog.generate.options import Options
from underdog.generate.session import collect
from underdog.model.weights import save_pretrained
from underdog.tokens.messages import Message


@pytest.fixture
def run(checkpoint, tmp_path):
    """A run folder as `underdog run` leaves it."""
    folder = tmp_path / "runs" / "demo-3f9a"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"recipe": {"name": "demo"}, "artifacts": {}}))
    (folder / "model").symlink_to(checkpoint)
    return folder


def test_a_checkpoint_answers(checkpoint):
    served = open_model(checkpoint)
    assert served.name == "tiny"
    answer = collect(served.reply([Message("user", "hi")], Options(max_new_tokens=5)))
    assert 1 <= answer.finish.new_tokens <= 5


@pytest.mark.parametrize("inside", ["", "model"])
def test_a_run_is_known_by_its_recipes_name(run, inside):
    assert open_model(str(run / inside)).name == "demo"


def test_the_models_own_sampling_is_the_default(checkpoint):
    path = checkpoint / "generation_config.json"
    path.write_text(json.dumps({"do_sample": True, "temperature": 0.6, "top_k": 20}))
    assert (open_model(checkpoint).defaults.temperature, open_model(checkpoint).defaults.top_k) == (0.6, 20)
    path.write_text(json.dumps({"do_sample": False, "temperature": 0.6}))
    assert open_model(checkpoint).defaults.temperature == 0
    path.write_text(json.dumps({"temperature": 9}))
    with pytest.raises(UserError, match=r"generation_config\.json: temperature must be"):
        open_model(checkpoint)


def test_a_mistyped_folder_is_guessed(run):
    with pytest.raises(UserError, match=r"no folder .*demo-3f9b") as error:
        open_model(run.parent / "demo-3f9b")
    assert error.value.hint == f"Did you mean {run}?"


def test_the_folder_of_all_runs_lists_them(run):
    with pytest.raises(UserError, match=r"neither a checkpoint .* nor a run") as error:
        open_model(run.parent)
    assert "demo-3f9a" in error.value.hint


def test_an_unfinished_run(run):
    (run / "model").unlink()
    with pytest.raises(UserError, match="no finished model"):
        open_model(run)
    (run / "model").symlink_to("nowhere")
    with pytest.raises(UserError, match="no finished model"):
        open_model(run)


def test_a_file_is_not_a_model(checkpoint):
    with pytest.raises(UserError, match="is a file"):
        open_model(checkpoint / "model.safetensors")


def _without_template(folder):
    (folder / "chat_template.jinja").unlink()
    _edit(folder / "tokenizer_config.json", chat_template=None)


def test_a_checkpoint_with_a_template_of_its_own_is_talked_to_by_it(checkpoint, tokenizer):
    form = "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}{{ '> ' if add_generation_prompt }}"
    (checkpoint / "chat_template.jinja").write_text(form)
    served = open_model(checkpoint)
    answer = collect(served.reply([Message("user", "hi")], Options(max_new_tokens=2)))
    assert answer.finish.prompt_tokens == len(tokenizer.encode("[user] hi\n> "))


def _edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "model.safetensors").unlink(), r"has no model\.safetensors"),
        (lambda f: (f / "model.safetensors").write_bytes(b"x"), "not a safetensors file"),
        (lambda f: (f / "tokenizer.json").write_text("{}"), "not a tokenizer"),
        (lambda f: _edit(f / "config.json", model_type="mamba"), '"mamba" is not supported'),
    ],
)
def test_a_damaged_checkpoint_is_named(checkpoint, damage, message):
    damage(checkpoint)
    with pytest.raises(UserError, match=message):
        open_model(checkpoint)


def test_a_tokenizer_of_another_model(checkpoint, tokenizer, tiny):
    save_pretrained(tiny(vocabulary=tokenizer.vocabulary - 1), tokenizer, checkpoint)
    with pytest.raises(UserError, match=r"its tokenizer has 500 tokens, its model 499"):
        open_model(checkpoint)


@pytest.mark.parametrize(
    ("address", "loading", "words"),
    [
        ("http://localhost:80a0/v1", Loading(), "Invalid port"),
        ("http://[::1", Loading(), "does not answer"),
        ("http://a..b/v1", Loading(), "does not answer"),
        ("http://localhost:1/v1", Loading(context=512), "--context is for local models"),
        ("http://localhost:1/v1", Loading(answers=2), "--answers is for local models"),
        ("http://localhost:1/v1", Loading(cache="int8"), "--cache is for local models"),
    ],
)
def test_an_address_that_is_none_and_what_a_server_is_not_asked(address, loading, words):
    with pytest.raises(UserError, match=words):
        open_model(address, loading)
