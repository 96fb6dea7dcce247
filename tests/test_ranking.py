"""The exact top k and exact ranks, ties to the lower id, in tiles of any size."""

import pytest
import torch
from torch import nn

from hashtag_core.evaluation import ranking
from hashtag_core.evaluation.ranking import top_hashtags


def top(scores, k, candidates=None):
    """`top_hashtags` where the scores are given: (N, V) -> (N, k), (N, k)."""
    queries = torch.eye(len(scores))  # query n picks component n of each hashtag
    if candidates is None:
        candidates = range(scores.shape[1])
    return top_hashtags(queries, scores.T.contiguous(), nn.Identity(), candidates, k)


def fully_sorted(scores, k, candidates=None):
    """The same by sorting everything: by falling score, equal ones by rising id."""
    ids = range(scores.shape[1]) if candidates is None else candidates
    return [sorted(ids, key=lambda i, row=row: (-row[i], i))[:k] for row in scores.tolist()]


def random_scores(num_photos, num_hashtags, kind):
    generator = torch.Generator().manual_seed(0)
    if kind == "many ties":
        shape = (num_photos, num_hashtags)
        return torch.randint(-2, 3, shape, generator=generator).float()
    scores = torch.randn(num_photos, num_hashtags, generator=generator)
    factor = {"any sign": 1.0, "all negative": -1.0, "tiny": 1e-38, "huge": 1e37}[kind]
    return scores.abs() * factor if kind == "all negative" else scores * factor


KINDS = ["any sign", "all negative", "tiny", "huge", "many ties"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [1, 3, 10, 60])
def test_the_top_k_are_the_beginning_of_a_full_stable_sort(kind, k):
    scores = random_scores(7, 60, kind)
    best, ids = top(scores, k)
    assert ids.tolist() == fully_sorted(scores, k)
    assert torch.equal(best, scores.gather(1, ids))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tile", [1, 2, 7, 59, 60])
def test_the_size_of_the_tiles_changes_nothing(kind, tile, monkeypatch):
    scores = random_scores(5, 60, kind)
    whole = top(scores, 10)
    monkeypatch.setattr(ranking, "TILE", {"cpu": tile})
    in_tiles = top(scores, 10)
    assert torch.equal(in_tiles[0], whole[0]) and torch.equal(in_tiles[1], whole[1])


@pytest.mark.parametrize("tile", [4, 1000])
def test_where_all_scores_are_equal_the_order_is_that_of_the_ids(tile, monkeypatch):
    monkeypatch.setattr(ranking, "TILE", {"cpu": tile})
    for value in (0.0, -1.5, 3.25):
        _, ids = top(torch.full((2, 50), value), 10)
        assert ids.tolist() == [list(range(10))] * 2


def test_negative_zero_ties_with_zero():
    psi = torch.tensor([[-1e-30], [1e-30], [-1e-30], [0.0], [-1e30]])
    queries = torch.full((2, 1), 1e-30)  # the products are too small for a float: 0, with a sign
    assert torch.signbit(queries @ psi.T)[0].tolist() == [True, False, True, False, True]
    _, ids = top_hashtags(queries, psi, nn.Identity(), range(5), 5)
    assert ids.tolist() == [[0, 1, 2, 3, 4]] * 2


def test_the_smallest_difference_decides_before_the_id():
    up = torch.nextafter(torch.tensor(1.0), torch.tensor(2.0))
    down = torch.nextafter(torch.tensor(-1.0), torch.tensor(-2.0))
    scores = torch.stack([down, torch.tensor(-1.0), torch.tensor(1.0), up])[None]
    assert top(scores, 4)[1].tolist() == [[3, 2, 1, 0]]


@pytest.mark.parametrize("candidates", [range(0, 20), range(20, 45), range(44, 45), range(0, 45)])
@pytest.mark.parametrize("tile", [6, 1000])
def test_only_candidates_are_ranked(candidates, tile, monkeypatch):
    monkeypatch.setattr(ranking, "TILE", {"cpu": tile})
    scores = random_scores(4, 45, "many ties")
    k = min(8, len(candidates))
    assert top(scores, k, candidates)[1].tolist() == fully_sorted(scores, k, candidates)


@pytest.mark.parametrize("tile", [2, 1000])
def test_fewer_candidates_than_k_leave_minus_one_and_minus_infinity(tile, monkeypatch):
    monkeypatch.setattr(ranking, "TILE", {"cpu": tile})
    scores = torch.tensor([[9.0, 1.0, 2.0, 3.0, 9.0]])
    best, ids = top(scores, 5, range(1, 4))
    assert ids.tolist() == [[3, 2, 1, -1, -1]]
    assert best.tolist() == [[3.0, 2.0, 1.0, -torch.inf, -torch.inf]]


def test_without_candidates_nothing_is_ranked():
    best, ids = top(torch.ones(2, 5), 3, range(5, 5))
    assert ids.tolist() == [[-1] * 3] * 2
    assert torch.isneginf(best).all()


def test_scores_are_the_inner_products_of_equation_7(monkeypatch):
    torch.manual_seed(0)
    tag_side = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 4))
    queries, psi = torch.randn(6, 4), torch.randn(50, 8)
    monkeypatch.setattr(ranking, "TILE", {"cpu": 9})
    best, ids = top_hashtags(queries, psi, tag_side, range(10, 50), 5)
    expected = (queries @ tag_side(psi).T)[:, 10:].topk(5)
    assert torch.equal(ids, expected.indices + 10)
    torch.testing.assert_close(best, expected.values)
    assert not best.requires_grad


def test_no_more_than_a_tile_of_hashtags_goes_through_the_tag_side(monkeypatch):
    monkeypatch.setattr(ranking, "TILE", {"cpu": 8})
    side = Watched(nn.Linear(3, 3))
    top_hashtags(torch.randn(4, 3), torch.randn(50, 3), side, range(5, 47), 10)
    assert max(side.sizes) == 8 and sum(side.sizes) == 48  # whole tiles, the same ones always


class Watched(nn.Module):
    """A tag side that notes how many hashtags it is given at a time."""

    def __init__(self, side):
        super().__init__()
        self.side, self.sizes = side, []

    def forward(self, psi):
        self.sizes.append(len(psi))
        return self.side(psi)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tile", [1, 7, 20, 1000])
def test_several_sets_in_one_pass_are_ranked_as_each_alone(kind, tile, monkeypatch):
    """Sets that touch, overlap, hold another, are empty, or lie in no common tile."""
    monkeypatch.setattr(ranking, "TILE", {"cpu": tile})
    scores = random_scores(6, 50, kind)
    sets = [range(0, 30), range(30, 50), range(0, 50), range(5, 9), range(7, 31), range(4, 4)]
    queries, psi = torch.eye(len(scores)), scores.T.contiguous()
    for k in (1, 5, 40):
        together = ranking.top_of_each(queries, psi, nn.Identity(), sets, k)
        assert len(together) == len(sets)
        for candidates, found in zip(sets, together, strict=True):
            wanted = top(scores, k, candidates)
            assert torch.equal(found[0], wanted[0]) and torch.equal(found[1], wanted[1])
            expected = fully_sorted(scores, k, candidates)
            assert [[i for i in row if i >= 0] for row in found[1].tolist()] == expected


def test_a_pass_looks_at_each_tile_once(monkeypatch):
    monkeypatch.setattr(ranking, "TILE", {"cpu": 10})
    seen = []

    class Side(nn.Identity):
        def forward(self, psi):
            seen.append(len(psi))
            return psi

    sets = [range(0, 30), range(30, 45), range(0, 45)]
    ranking.top_of_each(torch.randn(4, 3), torch.randn(50, 3), Side(), sets, 10)
    assert seen == [10] * 5
    seen.clear()
    ranking.top_of_each(torch.randn(4, 3), torch.randn(50, 3), Side(), [range(35, 38)], 10)
    assert seen == [10]


def test_it_ranks_also_where_float64_is_the_default():
    scores = random_scores(5, 40, "any sign").double()
    torch.set_default_dtype(torch.float64)
    try:
        _, ids = top(scores, 10)
    finally:
        torch.set_default_dtype(torch.float32)
    assert ids.tolist() == fully_sorted(scores, 10)
