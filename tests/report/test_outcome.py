from underdog.report.outcome import finish


def test_the_table_fits_a_terminal_of_eighty_columns(finished, monkeypatch, capsys):
    """No cell is broken over two lines, and none is cut."""
    monkeypatch.setenv("COLUMNS", "80")
    finish(finished)
    table = capsys.readouterr().out.split("run card")[0]
    assert "Control: more SFT" in table and "…" not in table
    assert all(line.count("[") == line.count("]") for line in table.splitlines())
    assert max(line.count("[") for line in table.splitlines()) == 2
