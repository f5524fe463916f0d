from underdog.warm import warm


def test_it_takes_a_few_documents_through_and_leaves_nothing(capsys):
    warm()
    assert capsys.readouterr().out == ""
