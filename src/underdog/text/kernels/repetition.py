"""How often a document says the same: Gopher's shares (arXiv 2112.11446, table A1), in characters.

A run of n + 1 tokens that comes twice begins and ends with runs of n that do. So only the places where both come twice
go on to the next length, and few are left after some lengths.
"""

from underdog.text.kernels.compiled import compiled
from underdog.text.kernels.hashing import follow, place_of
from underdog.text.kernels.tally import Tally


@compiled
def count_repetition(tokens, n, grams, starts, places, table, generation, last, row):
    """Commonest 2- to 4-grams and repeated 5- to 10-grams of `n` tokens as written; returns the next generation.

    `grams`, `starts` and `places` are room for `n` numbers: of each n-gram that may come twice its hash, its first
    token and its place in the table, of which `last` + 1 places are used, a power of two of at least 2 `n`.
    """
    for index in range(n):
        grams[index], starts[index] = tokens.exact[index], index
    left = n
    for size in range(2, 11):
        generation += 1
        left = _go_on(tokens.exact, size, grams, starts, left)
        _tell_apart(grams, places, left, table, generation, last)
        if size <= 4 and size <= n:
            row[Tally.TOP_2 + size - 2] = _commonest(tokens.length, starts, places, left, size, table)
        left = _keep_repeated(grams, starts, places, left, table)
        if size >= 5:
            row[Tally.REPEATED_5 + size - 5] = _repeated(tokens.length, starts, places, left, size, table)
    return generation


@compiled
def _go_on(exact, size, grams, starts, left):
    """Makes n-grams of `size` from those that are one shorter; returns how many may come twice."""
    kept = 0
    for index in range(left):
        start = starts[index]
        if index + 1 < left and starts[index + 1] == start + 1:
            starts[kept], grams[kept] = start, follow(grams[index], exact[start + size - 1])
            kept += 1
    return kept


@compiled
def _tell_apart(grams, places, left, table, generation, last):
    """Fills the places of n-grams in the table, and there how often each comes and which of the `left` is its first."""
    for index in range(left):
        place = place_of(table.keys, table.generations, generation, last, grams[index])
        if table.generations[place] != generation:
            table.generations[place], table.keys[place] = generation, grams[index]
            table.counts[place], table.firsts[place] = 0, index
        table.counts[place] += 1
        places[index] = place


@compiled
def _commonest(lengths, starts, places, left, size, table):
    """Characters, with the spaces between words, of all occurrences of the commonest n-gram; of equals the first."""
    most, first = 1, 0
    for index in range(left):
        times = table.counts[places[index]]
        if times > most:
            most, first = times, starts[index]
    characters = size - 1
    for offset in range(size):
        characters += lengths[first + offset]
    return characters * most


@compiled
def _keep_repeated(grams, starts, places, left, table):
    """Moves the n-grams that come twice to the front; returns how many they are."""
    kept = 0
    for index in range(left):
        if table.counts[places[index]] > 1:
            grams[kept], starts[kept], places[kept] = grams[index], starts[index], places[index]
            kept += 1
    return kept


@compiled
def _repeated(lengths, starts, places, left, size, table):
    """Characters of n-grams that came before; the search goes on behind each that is found."""
    characters = behind = 0
    for index in range(left):
        if starts[index] < behind:
            continue
        place = places[index]
        if table.counts[place] < 0:  # seen
            for offset in range(size):
                characters += lengths[starts[index] + offset]
            behind = starts[index] + size
        else:
            table.counts[place] = -table.counts[place]
    return characters
