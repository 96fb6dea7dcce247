"""The training objective: softmax over all training hashtags (§3.3, Equations 8 and 9).

With 442,000 hashtags the scores are not the problem: phi_tag(psi(y)) of all hashtags is, 1.8 GB
that every step would compute and keep, with a gradient as large. So the loss goes over the
vocabulary in chunks, twice: once for the normaliser of Equation 8, once for the gradients, with
each chunk's phi_tag computed again. Only psi, the queries and one chunk are ever in memory, and all
is exact. A small vocabulary is one chunk, and nothing is computed twice.

Shapes: N photos, V hashtags, C hashtags of a chunk, d_w word vector, d
joint space.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from hashtag_core.model.products import fold, product

CHUNK_BYTES = {"cpu": 16 * 2**20, "cuda": 512 * 2**20}  # what a chunk may take
ONE_CHUNK = 4  # times as much, where all hashtags fit into it


def softmax_loss(
    queries: Tensor,
    psi: Tensor,
    tag_side: nn.Module,
    targets: Tensor,
    weights: Tensor,
    chunk: int | None = None,
) -> Tensor:
    """The weighted negative log-likelihood of the photos' target hashtags.

    Args:
        queries: (N, d), the image side of Equation 7.
        psi: (V, d_w), the training hashtags.
        tag_side: (C, d_w) -> (C, d), phi_tag, each hashtag by itself.
        targets: (N,) int64, ids in psi: the drawn hashtag of each photo.
        weights: (N,); 1 / (U N_u) for Equation 9.
        chunk: C; None for as many as fit into `CHUNK_BYTES`.

    Returns:
        sum over n of weights[n] * -log p(targets[n] | photo n), a scalar (float32, or float64 where
        the queries are). Gradients go to the queries, psi, and every parameter of the tag side.

    Raises:
        ValueError: where there is not one target and one weight for each photo.
    """
    if not len(queries) == len(targets) == len(weights):
        raise ValueError(f"{len(queries)} photos, {len(targets)} targets, {len(weights)} weights.")
    queries, tag_side, _ = fold(queries, tag_side, len(psi))
    parameters = [p for p in tag_side.parameters() if p.requires_grad]
    chunk = chunk or chunk_size(queries, psi)
    return _ChunkedSoftmax.apply(tag_side, chunk, targets, weights, queries, psi, *parameters)


def chunk_size(queries: Tensor, psi: Tensor) -> int:
    """How many hashtags fit into `CHUNK_BYTES`: their scores, their tags, and the gradients."""
    budget = CHUNK_BYTES.get(queries.device.type, CHUNK_BYTES["cpu"])
    numbers = 2 * len(queries) + 4 * queries.shape[1] + psi.shape[1]
    if 4 * numbers * len(psi) <= ONE_CHUNK * budget:
        return max(len(psi), 1)
    return max(256, budget // (4 * numbers) // 256 * 256)


class _ChunkedSoftmax(torch.autograd.Function):
    """The loss, and with it its gradients: `backward` has them ready.

    With p of Equation 8 and w_n the weight of photo n, d loss / d score_nv = w_n (p_nv - 1) for its
    target v, and w_n p_nv for every other hashtag.
    """

    @staticmethod
    def forward(ctx, tag_side, chunk, targets, weights, queries, psi, *parameters):
        """The loss; its gradients to the queries, psi and the parameters are kept in `ctx`."""
        exact = torch.promote_types(queries.dtype, torch.float32)  # sums, also under autocast
        starts = range(0, len(psi), chunk)
        by_target = targets.argsort()  # (N,) photos; the GPU is waited for once, not in each chunk
        ends = torch.tensor([start + chunk for start in starts], device=targets.device)
        counts = torch.searchsorted(targets[by_target], ends).tolist()
        pieces = [  # of the vocabulary: its ids, and which photos' targets are among them
            (slice(start, min(start + chunk, len(psi))), by_target[first:last])
            for start, first, last in zip(starts, [0, *counts], counts, strict=False)
        ]
        learns = any(ctx.needs_input_grad)
        once = len(pieces) == 1

        def look_at(ids: slice, learns: bool) -> tuple[Tensor, Tensor, Tensor]:
            with torch.set_grad_enabled(learns):
                given = psi[ids].detach().requires_grad_(learns and psi.requires_grad)  # (C, d_w)
                tags = tag_side(given)  # (C, d)
            scores = product(queries, tags.detach(), once).to(exact)  # Eq. 7: (N, C)
            return given, tags, scores

        log_z = torch.full(queries.shape[:1], -torch.inf, dtype=exact, device=queries.device)
        of_targets = torch.zeros_like(log_z)  # (N,)
        for ids, n in pieces:
            given, tags, scores = look_at(ids, learns and once)
            log_z = torch.logaddexp(log_z, scores.logsumexp(dim=1))  # (N,)
            of_targets[n] = scores[n, targets[n] - ids.start]
        weights = weights.to(exact)
        loss = (weights * (log_z - of_targets)).sum()  # Eq. 8 and 9

        if not learns:
            return loss
        d_queries = torch.zeros_like(queries, dtype=exact)  # (N, d)
        d_psi = torch.empty_like(psi) if psi.requires_grad else None  # (V, d_w)
        d_parameters = [torch.zeros_like(p, dtype=exact) for p in parameters]
        unit = weights.abs().max().clamp(min=1e-30)  # w_n p_nv / unit is no fp16 zero
        share = (weights / unit)[:, None]  # (N, 1), of each photo in what its scores do
        weighted = queries * share  # (N, d)
        for ids, n in pieces:
            if not once:  # else they are those of above
                given, tags, scores = look_at(ids, learns)
            d_scores = scores.sub_(log_z[:, None]).exp_()  # p of Eq. 8
            d_scores[n, targets[n] - ids.start] -= 1
            d_scores = d_scores.to(tags.dtype)
            d_queries += d_scores @ tags.detach()
            inputs = [given, *parameters] if psi.requires_grad else list(parameters)
            if not inputs:
                continue
            d_tags = d_scores.T @ weighted.to(tags.dtype)  # (C, d)
            gradients = torch.autograd.grad(tags, inputs, d_tags, materialize_grads=True)
            if psi.requires_grad:
                d_psi[ids] = gradients[0] * unit
                gradients = gradients[1:]
            for total, part in zip(d_parameters, gradients, strict=True):
                total += part
        d_queries *= share
        gradients = [d_queries * unit, d_psi, *(total * unit for total in d_parameters)]
        ctx.save_for_backward(*gradients)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx, d_loss):
        """The kept gradients, times the gradient that comes from above."""
        gradients = (None if part is None else d_loss * part for part in ctx.saved_tensors)
        return (None, None, None, None, *gradients)
