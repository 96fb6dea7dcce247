"""Memory that does not grow with the number of steps."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PRODUCTS = """
import re, torch
from pathlib import Path
from hashtag_core.model.products import product

def most():  # KB, of this process alone
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

b = torch.rand(512, 256)
product(torch.rand(400, 256), b)
before = most()
for n in range(1, 400):
    product(torch.rand(n, 256), b)
print((most() - before) / 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="no /proc")
def test_products_of_ever_new_shapes_do_not_pile_up():
    """oneDNN compiles a kernel for each; all that are kept by default take more than 1 GB."""
    run = subprocess.run([sys.executable, "-c", PRODUCTS], capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    assert float(run.stdout) < 150  # MB; 250 without a bound
