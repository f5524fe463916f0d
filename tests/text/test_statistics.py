from underdog.text.ngrams import WordHashes
from underdog.text.statistics import count

DOCUMENT = """\
The list is sorted in place. It keeps
equal items in their order, so that a second
sort can refine the first!

    def sort(items):
        items.sort(key=lambda item: item.price)
        return items

>>> sorted([3, 1, 2])
[1, 2, 3]

THIS SENTENCE IS SHOUTED AT YOU BY A LICENCE.
too short.
"""


def counted(text):
    return count(text, WordHashes())


def test_sentences_cross_lines_and_leave_out_code_and_shouting():
    assert counted(DOCUMENT).sentences == [
        "The list is sorted in place.",
        "It keeps equal items in their order, so that a second sort can refine the first!",
    ]


def test_code_is_counted_and_interactive_sessions_are_examples():
    statistics = counted(DOCUMENT)
    assert statistics.code_lines == 4  # three of the function, one result of the session
    assert statistics.examples == 1


def test_letters_of_other_scripts_are_letters():
    russian = "Список сортируется прямо на месте. Равные элементы остаются в прежнем порядке."
    statistics = counted(russian)
    assert statistics.code_lines == 0
    assert len(statistics.sentences) == 2


def test_dialogue_is_not_code():
    assert counted('"Come here," she said.\n"Why?" he asked, and stayed where he was.').code_lines == 0


def test_an_empty_text_has_nothing_to_count():
    statistics = counted("")
    assert (statistics.words, statistics.lines, statistics.sentences) == ([], [], [])
