import pytest

from underdog.errors import UserError
from underdog.text.readers.formats import read_span
from underdog.text.readers.span import MOST_SPANS, UNIT, Span, units
from underdog.text.sources import expand, find_files, find_spans


def test_a_misspelt_source_is_named_and_guessed():
    with pytest.raises(UserError, match='"pyhton-docs"') as problem:
        find_spans(["pyhton-docs"])
    assert problem.value.hint == 'Did you mean "python-docs"?'


def test_a_missing_path_is_an_error_before_anything_is_read(tmp_path):
    with pytest.raises(UserError, match=r"curate\.sources: .*/nowhere does not exist"):
        find_spans(["python-docs", f"{tmp_path}/nowhere"])
    with pytest.raises(UserError, match=r'curate\.unlike: there is no file or folder "articles"'):
        find_spans(["articles"], setting="curate.unlike")


def test_named_corpora_and_the_users_files_mix_in_the_order_of_the_recipe(tmp_path):
    (tmp_path / "mine.txt").write_text("My own text.")
    mine, first, *_ = find_spans([str(tmp_path), "python-docs"])
    (document,) = read_span(mine)
    assert (document.text, document.source) == ("My own text.", str(tmp_path))
    topic = next(iter(read_span(first)))
    assert topic.source == "python-docs"
    assert topic.origin.startswith("topic")


def test_a_folder_is_searched_to_its_depth_in_a_fixed_order(tmp_path):
    names = ("b.md", "a.txt", "deep/er/c.rst", "deep/d.jsonl", ".git/config.txt", "deep/.e.txt", "image.png")
    for name in (
        *names,
        "x.py",
        "y.html",
        "z.warc.gz",
        "node_modules/left.md",
        "n.json.gz",
        "p.parquet",
        "l.jsonl.zst",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    names = [str(path.relative_to(tmp_path)) for path in find_files(str(tmp_path))]
    assert names == ["a.txt", "b.md", "deep/d.jsonl", "deep/er/c.rst", "l.jsonl.zst", "p.parquet", "x.py", "y.html"] + [
        "z.warc.gz"
    ]


def test_globs_and_single_files(tmp_path):
    for name in ("one.txt", "two.TXT", "[three].txt", "four.bin"):
        (tmp_path / name).write_text("x")
    assert [path.name for path in find_files(f"{tmp_path}/t*.TXT")] == ["two.TXT"]
    assert len(find_files(f"{tmp_path}/*")) == 3  # only what can be read
    literal = find_files(f"{tmp_path}/[three].txt")
    assert [path.name for path in literal] == ["[three].txt"]  # a name, not a pattern


@pytest.mark.parametrize("entry", ["missing", "missing/*.txt", "empty", "picture.png"])
def test_nothing_to_read_is_an_error_that_names_the_entry(tmp_path, entry):
    (tmp_path / "empty").mkdir()
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    with pytest.raises(UserError, match=entry.replace("*", r"\*")):
        find_files(f"{tmp_path}/{entry}")


def test_a_manifest_lists_files_folders_and_globs_from_its_own_folder_on(tmp_path):
    for name in ("a.txt", "b.md", "deep/c.txt", "deep/d.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    manifest = tmp_path / "list.manifest"
    manifest.write_text("# good ones\n\ndeep\n*.md\ndeep/c.txt\n")
    spans = find_spans([str(manifest)])
    assert [span.path for span in spans] == [f"{tmp_path}/{name}" for name in ("deep/c.txt", "deep/d.py", "b.md")]
    assert {span.source for span in spans} == {str(manifest)}
    assert expand([str(manifest), "python-docs"])[1:3] == [f"{tmp_path}/deep", f"{tmp_path}/*.md"]
    manifest.write_text("gone.txt")
    with pytest.raises(UserError, match=r"list\.manifest: .*gone\.txt does not exist") as problem:
        find_spans([str(manifest)])
    assert "its own folder" in problem.value.hint
    manifest.write_text("# nothing\n")
    with pytest.raises(UserError, match="lists nothing"):
        find_spans([str(manifest)])


def test_units_hold_every_span_once_in_order_and_are_about_equal():
    spans = [Span("s", "text", str(n), size=n * 10_000) for n in range(100)] + [Span("s", "text", "e")] * 1200
    made = list(units(spans))
    assert [span for unit in made for span in unit.spans] == spans
    assert [unit.number for unit in made] == list(range(len(made)))
    assert all(unit.size <= UNIT and len(unit.spans) <= MOST_SPANS for unit in made)
    assert len(made) < 1.3 * (sum(span.size for span in spans) / UNIT + 1200 / MOST_SPANS)
