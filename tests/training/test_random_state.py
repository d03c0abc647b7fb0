"""The states of the generators, from one machine to another."""

import torch

from fmnist.training.random_state import random_states, restore_random_states


def test_states_of_gpus_are_kept_where_they_are_used_and_restored_where_they_are(monkeypatch):
    states, restored = [torch.zeros(16), torch.ones(16)], []
    monkeypatch.setattr(torch.cuda, "get_rng_state_all", lambda: states)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    assert random_states()["cuda"] == []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    kept = random_states()
    assert kept["cuda"] == states
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda *given: restored.append(given))
    for count in (0, 1, 3):
        restored.clear()
        restore_random_states(kept)
        assert restored == [*zip(states[:count], range(2), strict=False)]
