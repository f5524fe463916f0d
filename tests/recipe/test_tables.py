import tomllib

from hypothesis import given
from hypothesis import strategies as st

from underdog.recipe.tables import flat, key_lines, merged, put, taken

TEXT = """\
# a comment with key = 1
name = "x"

[ model ]          # spaces are allowed
width = 3
"layers" = 4
[a.b]
c-d = [
  "x = 1",
]
[[pretrain.phase]]
name = "one"
lr = { from = 0, to = 1 }
[[pretrain.phase]]
name = "two"
"""


def test_keys_and_headers_have_lines():
    assert key_lines(TEXT) == {
        "name": 2,
        "[model]": 4,
        "model.width": 5,
        "model.layers": 6,
        "[a.b]": 7,
        "a.b.c-d": 8,
        "[pretrain.phase.0]": 11,
        "pretrain.phase.0.name": 12,
        "pretrain.phase.0.lr": 13,
        "[pretrain.phase.1]": 14,
        "pretrain.phase.1.name": 15,
    }
    tomllib.loads(TEXT)


NAMES = st.text("abc", min_size=1, max_size=2)
TABLES = st.recursive(st.integers(), lambda inner: st.dictionaries(NAMES, inner, max_size=3), max_leaves=8)
TABLES = st.dictionaries(NAMES, TABLES, max_size=3)


@given(TABLES)
def test_a_table_is_rebuilt_from_its_flat_form(table):
    rebuilt = {}
    for key, value in flat(table):
        if key:
            put(rebuilt, key, value, "test")
    assert rebuilt == table


@given(TABLES, TABLES)
def test_a_merge_keeps_what_is_not_taken(base, over):
    both = dict(flat(merged(base, over)))
    gone = tuple(taken(base, over))
    for key, value in flat(over):
        if value != {}:
            assert both[key] == value
    for key, value in flat(base):
        if not any(key == name or key.startswith(f"{name}.") for name in gone) and value != {}:
            assert both[key] == value
