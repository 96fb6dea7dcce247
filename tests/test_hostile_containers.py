"""Arrow, SQLite, and JSON in other things, made to cost much or damaged in any way."""

import json
import os

import pytest
from bounded import bounded
from hostile_containers import HOSTILE_CONTAINERS

MUTATIONS = int(os.environ.get("HASHTAG_CORE_MUTATIONS", 150))
MOST_MB = 900  # that reading any of them adds


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """Name -> (exit code, what was shown), of all of them read in one bounded process."""
    folder = tmp_path_factory.mktemp("hostile")
    for number, (make, _) in enumerate(HOSTILE_CONTAINERS.values()):
        (folder / f"{number:02d}").write_bytes(make())
    program = f"from hostile_tables import prepare_all\nprepare_all({str(folder)!r})"
    imports = "pyarrow.parquet", "pyarrow.compute", "duckdb", "hashtag_core.prepare.ingest"
    ran = bounded(program=program, imports=imports, seconds=600)
    assert ran.megabytes < MOST_MB
    return dict(zip(HOSTILE_CONTAINERS, json.loads(ran.out).values(), strict=True))


@pytest.mark.parametrize("name", HOSTILE_CONTAINERS)
def test_a_file_that_asks_for_much_gets_little(outcomes, name):
    code, shown = outcomes[name]
    expected, said = HOSTILE_CONTAINERS[name][1]
    assert said in shown and code == expected, shown[-1500:]
    assert max(map(len, shown.splitlines())) < 1000


@pytest.mark.parametrize("kind", ["arrow", "sqlite", "json"])
def test_files_with_any_damage_are_read_or_refused(tmp_path, kind):
    program = f"from hostile_containers import fuzz\nfuzz({kind!r}, {str(tmp_path)!r}, 0, "
    ran = bounded(program=f"{program}{MUTATIONS})", imports=("pyarrow.parquet",), seconds=3600)
    counts = json.loads(ran.out)
    assert counts["read"] + counts["refused"] == MUTATIONS and counts["rows"] > MUTATIONS
    assert min(counts["read"], counts["refused"]) > MUTATIONS // 20
    assert ran.megabytes < MOST_MB
