import pytest
import torch
from safetensors.torch import save_file

from underdog.errors import UserError
from underdog.model.classifier import HEAD, add_classes, class_scores, load_classifier, save_classifier
from underdog.model.weights import save_pretrained
from underdog.recipe.teaching import Adapter

TEXTS = [list(range(3, 3 + length)) for length in (5, 1, 40, 12, 7)]
ADAPTER = Adapter(kind="lora", rank=4)


def stirred(model, classes=3):
    add_classes(model, classes, ADAPTER, seed=1)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.normal_(0, 0.1, generator=generator)
    return model


def test_scores_are_those_of_transformers(tiny, tokenizer, tmp_path):
    transformers = pytest.importorskip("transformers")
    model = tiny()
    save_pretrained(model, tokenizer, tmp_path)
    add_classes(model, 3, ADAPTER, seed=1)  # a fresh adapter changes nothing
    torch.nn.init.normal_(model.score.weight)
    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path, num_labels=3).eval()
    theirs.score.weight = model.score.weight
    with torch.no_grad():
        expected = torch.cat([theirs(torch.tensor([ids])).logits for ids in TEXTS])
    torch.testing.assert_close(class_scores(model, TEXTS), expected, atol=1e-4, rtol=1e-4)


def test_a_classifier_comes_back_from_its_folder(tiny, tmp_path):
    model = stirred(tiny())
    save_classifier(model, ADAPTER, "base", tmp_path)
    again = tiny()
    assert load_classifier(again, tmp_path).model_copy(update={"targets": []}) == ADAPTER
    assert torch.equal(class_scores(again, TEXTS), class_scores(model, TEXTS))


def test_a_damaged_folder_is_told(tiny, tmp_path):
    save_classifier(stirred(tiny()), ADAPTER, "base", tmp_path)
    save_file({"other": torch.zeros(1)}, tmp_path / HEAD)
    with pytest.raises(UserError, match=r"head\.safetensors cannot be read"):
        load_classifier(tiny(), tmp_path)
