"""How threads wait is set before torch is loaded, and not where the user has set it."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from hashtag_core import threads

ROOT = Path(__file__).parents[1]
NAMES = (*threads.WAIT, *threads.OTHERS)
SHOW = (
    "import os, sys; torch_was_loaded = 'torch' in sys.modules; import hashtag_core;"
    "assert not torch_was_loaded and 'torch' not in sys.modules;"
    f"print([os.environ.get(name) for name in {NAMES!r}])"
)


def settings_with(**user):
    own = {name: value for name, value in os.environ.items() if name not in NAMES}
    run = subprocess.run(
        [sys.executable, "-c", SHOW], capture_output=True, text=True, cwd=ROOT, env=own | user
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


def test_importing_the_library_sets_them_and_loads_no_torch():
    assert settings_with() == str([*threads.WAIT.values(), None, None])


@pytest.mark.parametrize("name", NAMES)
def test_what_the_user_has_set_stays_and_nothing_is_added(name):
    expected = ["7" if name == other else None for other in NAMES]
    assert settings_with(**{name: "7"}) == str(expected)


def test_a_process_of_this_one_has_them(monkeypatch):
    """Kernels and workers are started with this environment."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    threads.wait_without_spinning()
    shown = subprocess.run(
        [sys.executable, "-c", "import os; print(os.environ['GOMP_SPINCOUNT'])"],
        capture_output=True,
        text=True,
    )
    assert shown.stdout.strip() == threads.WAIT["GOMP_SPINCOUNT"]


def test_one_thread_is_for_a_while():
    import torch

    from hashtag_core.devices import one_thread

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
        with pytest.raises(ValueError), one_thread():
            raise ValueError
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_threads_of_python_leave_the_number_as_it_is():
    """Two that would set it at once would not both find what was there before."""
    import torch

    from hashtag_core.devices import one_thread

    before, seen = torch.get_num_threads(), []
    torch.set_num_threads(2)

    def inside():
        with one_thread():
            seen.append(torch.get_num_threads())

    try:
        threads_of_python = [threading.Thread(target=inside) for _ in range(4)]
        for thread in threads_of_python:
            thread.start()
        for thread in threads_of_python:
            thread.join()
        assert seen == [2] * 4 and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
