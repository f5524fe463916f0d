"""How often a document says the same: Gopher's shares (arXiv 2112.11446, table A1), in characters."""

from underdog.text.kernels.compiled import compiled
from underdog.text.kernels.hashing import follow, place_of
from underdog.text.kernels.tally import Tally


@compiled
def count_repetition(tokens, n, grams, table, generation, last, row):
    """Commonest 2- to 4-grams and repeated 5- to 10-grams of `n` tokens as written; returns the next generation.

    `grams` is room for `n` hashes; `last` + 1 places of the table are used, a power of two of at least 2 `n`.
    """
    for index in range(n):
        grams[index] = tokens.exact[index]
    any_twice = True
    for size in range(2, 11):
        count = n - size + 1
        for index in range(count):
            grams[index] = follow(grams[index], tokens.exact[index + size - 1])
        if count <= 0:
            break
        if size <= 4:
            generation += 1
            row[Tally.TOP_2 + size - 2] = _commonest(tokens.length, grams, count, size, table, generation, last)
        elif any_twice:  # where no 5-gram comes twice, no longer one does
            generation += 1
            found = _repeated(tokens.length, grams, count, size, table, generation, last)
            row[Tally.REPEATED_5 + size - 5] = found
            any_twice = found > 0
    return generation


@compiled
def _commonest(lengths, grams, count, size, table, generation, last):
    """Characters, with the spaces between words, of all occurrences of the commonest n-gram; of equals the first."""
    most, first = 0, 0
    for index in range(count):
        place = place_of(table.keys, table.generations, generation, last, grams[index])
        if table.generations[place] != generation:
            table.generations[place], table.keys[place] = generation, grams[index]
            table.counts[place], table.firsts[place] = 0, index
        table.counts[place] += 1
        times, earliest = table.counts[place], table.firsts[place]
        if times > most or (times == most and earliest < first):
            most, first = times, earliest
    characters = size - 1
    for offset in range(size):
        characters += lengths[first + offset]
    return characters * most


@compiled
def _repeated(lengths, grams, count, size, table, generation, last):
    """Characters of n-grams that came before; the search goes on behind each that is found."""
    characters = index = 0
    while index < count:
        place = place_of(table.keys, table.generations, generation, last, grams[index])
        if table.generations[place] == generation:
            for offset in range(size):
                characters += lengths[index + offset]
            index += size
        else:
            table.generations[place], table.keys[place] = generation, grams[index]
            index += 1
    return characters
