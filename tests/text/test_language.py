from underdog.text.kernels.count import count
from underdog.text.language import domains, languages, settle

ENGLISH = "The list is sorted in place, and equal items keep the order that they had before it was sorted."
RUSSIAN = "Список сортируется на месте, и равные элементы сохраняют тот порядок, который был до сортировки."
GERMAN = "Die Liste wird an Ort und Stelle sortiert, und gleiche Elemente behalten ihre Reihenfolge."


def test_languages_by_their_codes():
    assert languages([ENGLISH, RUSSIAN, GERMAN, "", "0x00 0x01 || 17 ;;"]) == ["en", "ru", "de", "und", "und"]


def test_domains_by_lines_and_words():
    code = "def f(x):\n    y = g(x)\n    return y[0]\n"
    proof = "By the lemma the matrix has an inverse. The proof of the theorem uses a polynomial equation."
    assert domains(count([ENGLISH, code, proof, RUSSIAN, ""])) == ["text", "code", "mathematics", "text", "text"]


def test_noise_counts_with_the_commonest_language():
    assert settle(["ru", "und", "en", "en"]) == ["ru", "en", "en", "en"]
    assert settle(["und"]) == ["und"]
