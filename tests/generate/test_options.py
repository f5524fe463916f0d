import pickle

from underdog.generate.options import ContextFull


def test_worker_processes_can_send_what_was_refused():
    told = pickle.loads(pickle.dumps(ContextFull("input", "It is too long.", hint="Cut it.")))
    assert (type(told), told.option, str(told), told.hint) == (ContextFull, "input", "It is too long.", "Cut it.")
