"""What is counted of a document: one whole number each, so that no order of adding changes a bit."""

from enum import IntEnum, auto


class Tally(IntEnum):
    # characters
    CHARACTERS = 0
    VISIBLE = auto()  # not white space
    LETTERS = auto()
    STOPS = auto()  # full stops and commas
    HASHES = auto()  # "#"
    ELLIPSES = auto()  # "..." and "…"
    BROKEN = auto()  # U+FFFD and control characters
    UNBALANCED = auto()  # |opening − closing| brackets, round and square
    ADDRESSES = auto()  # "@" inside a word
    LONG_NUMBERS = auto()  # of thirteen digits and more: cards, telephones, keys
    NEWLINES = auto()
    BEGINS_SMALL = auto()  # the first character is a small letter
    ENDS_WELL = auto()  # the last mark ends a sentence
    CUT_OFF = auto()  # ends in "...", "…" or ":"
    # words
    TOKENS = auto()  # words and marks, split as spaCy does
    WORDS = auto()  # tokens that are not punctuation alone
    PARTS = auto()  # runs of letters, digits and underscores: f(x_1) has two
    WORD_CHARACTERS = auto()
    WITH_LETTER = auto()  # tokens with a letter
    STOP_WORDS = auto()  # different ones of Gopher's eight
    RUNS = auto()  # between white space
    SPELLED_RUNS = auto()  # letters alone within the marks of prose
    BOILERPLATE = auto()
    UNSAFE = auto()
    MATHEMATICAL = auto()  # words of mathematics, operators in text, LaTeX commands
    # lines
    LINES = auto()  # not blank
    CODE_LINES = auto()  # code or table
    COMMENT_LINES = auto()
    WIDE_CODE_LINES = auto()  # more than 100 characters
    CODE_WORDS = auto()
    CODE_LONG_WORDS = auto()  # three characters and more
    BULLETS = auto()
    LISTED = auto()  # lines that begin with a bullet or a number
    ELLIPSIS_LINES = auto()
    EXAMPLES = auto()  # interactive sessions
    PARAGRAPHS = auto()
    ENDED_PARAGRAPHS = auto()  # as a sentence, or announcing what follows
    DUPLICATE_LINES = auto()
    DUPLICATE_LINE_CHARACTERS = auto()
    DUPLICATE_PARAGRAPHS = auto()
    DUPLICATE_PARAGRAPH_CHARACTERS = auto()
    # what C4 keeps of the lines, and FineWeb's figures on that
    LOREM_IPSUM = auto()
    BRACES = auto()
    KEPT_LINES = auto()
    KEPT_SENTENCES = auto()
    KEPT_TOKENS = auto()
    KEPT_CHARACTERS = auto()
    KEPT_ENDED = auto()
    KEPT_SHORT = auto()  # at most 30 characters
    KEPT_DUPLICATE_CHARACTERS = auto()
    # repetition: characters in the commonest n-gram, and in n-grams that came before
    TOP_2 = auto()
    TOP_3 = auto()
    TOP_4 = auto()
    REPEATED_5 = auto()
    REPEATED_6 = auto()
    REPEATED_7 = auto()
    REPEATED_8 = auto()
    REPEATED_9 = auto()
    REPEATED_10 = auto()
    # sentences of prose: they begin and end like sentences and hold no code
    SENTENCES = auto()
    SENTENCE_WORDS = auto()
    NATURAL_WORDS = auto()  # in sentences of ordinary length that function words hold together
    MISFITS = auto()  # an article or preposition before what cannot follow it
    CONTENT_WORDS = auto()
    DISTINCT_CONTENT_WORDS = auto()
    TERMS = auto()  # different content words of eight letters and more
    FACTS = auto()  # names, numbers and quoted terms inside sentences
    EXPLAINING = auto()
    REASONING = auto()
    INSTRUCTING = auto()
    OPINIONS = auto()
    EXCLAMATIONS = auto()
    QUESTIONS = auto()
    CONNECTED = auto()  # sentences that take up a word of the two before, or refer back
    ON_TOPIC = auto()  # sentences with one of the document's five commonest content words
