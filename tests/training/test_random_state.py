"""The states of the generators, from one machine, or GPU, to another."""

import torch

from fmnist.training.random_state import random_states, restore_random_states


def test_the_state_of_a_gpu_is_kept_where_one_is_used_and_restored_on_the_one_in_use(monkeypatch):
    used = {"device": 1}
    gpus = {0: torch.zeros(16), 1: torch.ones(16)}  # device -> state of its generator
    monkeypatch.setattr(torch.cuda, "current_device", lambda: used["device"])
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda: gpus[used["device"]])
    monkeypatch.setattr(
        torch.cuda, "set_rng_state", lambda state: gpus.update({used["device"]: state})
    )
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    assert random_states()["cuda"] == []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    kept = random_states()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    restore_random_states(kept)
    assert gpus[0].sum() == 0
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    used["device"] = 0  # the other one, as another process has it, or this one when it goes on
    restore_random_states(kept)
    assert torch.equal(gpus[0], torch.ones(16))


def test_a_checkpoint_with_the_states_of_all_gpus_gives_each_its_own(monkeypatch):
    states, restored = [torch.zeros(16), torch.ones(16)], []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_rng_state", restored.append)
    for device in (0, 1, 3):
        monkeypatch.setattr(torch.cuda, "current_device", lambda device=device: device)
        restore_random_states({**random_states(), "cuda": states})
        assert torch.equal(restored[-1], states[min(device, 1)])
