"""Whatever file a user brings: an upright RGB picture on white, or one line that says why not."""

import warnings

import numpy as np
import pytest
from helpers import WORDS
from picture_files import (
    BLUE,
    GREEN,
    RED,
    WHITE,
    claims_to_be,
    encode,
    lying_on_its_side,
    noise,
    red_and_blue,
)
from PIL import Image, ImageFile

from hashtag_core.data import pictures
from hashtag_core.data.pictures import load_picture
from hashtag_core.errors import InputError


def is_near(pixel: tuple, colour: tuple) -> bool:
    return all(abs(p - c) <= 12 for p, c in zip(pixel, colour, strict=True))


def error_of(source, **options) -> str:
    """The message of the InputError that loading raises."""
    with pytest.raises(InputError) as raised:
        load_picture(source, **options)
    message = str(raised.value)
    assert "\n" not in message
    assert message.strip()
    return message


# ---- pictures of all kinds


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_every_format_keeps_size_and_colours(kind):
    loaded = load_picture(encode(red_and_blue(), kind))
    assert loaded.mode == "RGB"
    assert loaded.size == (40, 20)
    assert is_near(loaded.getpixel((5, 10)), RED)
    assert is_near(loaded.getpixel((35, 10)), BLUE)


@pytest.mark.parametrize("as_path", [str, lambda path: path, lambda path: path.read_bytes()])
def test_a_picture_comes_from_a_path_or_from_bytes(tmp_path, as_path):
    path = tmp_path / "a picture.png"
    path.write_bytes(encode(red_and_blue(), "PNG"))
    assert np.array_equal(load_picture(as_path(path)), red_and_blue())


def test_the_format_is_read_from_the_content_and_not_from_the_name(tmp_path):
    path = tmp_path / "really-a-png.jpg"
    path.write_bytes(encode(red_and_blue(), "PNG"))
    assert np.array_equal(load_picture(path), red_and_blue())


def test_grey_becomes_three_equal_channels():
    loaded = load_picture(encode(Image.new("L", (4, 4), 100), "PNG"))
    assert loaded.getpixel((0, 0)) == (100, 100, 100)


def test_black_and_white_of_one_bit_is_read():
    loaded = load_picture(encode(Image.new("1", (4, 4), 1), "PNG"))
    assert loaded.getpixel((0, 0)) == WHITE


@pytest.mark.parametrize(("deep", "shallow"), [(0, 0), (128 * 256, 128), (65_535, 255)])
def test_grey_of_16_bits_is_scaled_and_not_clipped(deep, shallow):
    picture = Image.fromarray(np.full((4, 4), deep, dtype=np.uint16))
    assert load_picture(encode(picture, "PNG")).getpixel((0, 0)) == (shallow,) * 3


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_transparency_becomes_white(kind):
    picture = Image.new("RGBA", (40, 20), (*RED, 255))
    picture.paste((0, 0, 0, 0), (20, 0, 40, 20))  # transparent black
    loaded = load_picture(encode(picture, kind, **({"lossless": True} if kind == "WEBP" else {})))
    assert loaded.getpixel((5, 10)) == RED
    assert loaded.getpixel((35, 10)) == WHITE


def test_half_transparent_red_becomes_pink():
    loaded = load_picture(encode(Image.new("RGBA", (4, 4), (*RED, 128)), "PNG"))
    assert is_near(loaded.getpixel((0, 0)), (255, 127, 127))


def test_grey_with_transparency_becomes_white():
    loaded = load_picture(encode(Image.new("LA", (4, 4), (0, 0)), "PNG"))
    assert loaded.getpixel((0, 0)) == WHITE


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_a_transparent_palette_entry_becomes_white(kind):
    picture = Image.new("P", (4, 4), 0)
    picture.putpalette([*RED, *GREEN])
    picture.putpixel((3, 3), 1)
    loaded = load_picture(encode(picture, kind, transparency=0))
    assert loaded.getpixel((0, 0)) == WHITE
    assert loaded.getpixel((3, 3)) == GREEN


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_picture_lying_on_its_side_is_turned_upright(kind):
    stored = lying_on_its_side(red_and_blue(), kind)
    loaded = load_picture(stored)
    assert loaded.size == (40, 20)
    assert is_near(loaded.getpixel((5, 10)), RED)
    assert is_near(loaded.getpixel((35, 10)), BLUE)


def test_a_cmyk_jpeg_keeps_its_colours():
    loaded = load_picture(encode(red_and_blue().convert("CMYK"), "JPEG"))
    assert loaded.mode == "RGB"
    assert is_near(loaded.getpixel((5, 10)), RED)


@pytest.mark.parametrize("kind", ["GIF", "WEBP"])
def test_of_an_animation_the_first_frame_is_taken(kind):
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, BLUE, GREEN)]
    animation = encode(frames[0], kind, save_all=True, append_images=frames[1:])
    assert is_near(load_picture(animation).getpixel((4, 4)), RED)


# ---- files that cannot be used


def test_a_missing_file_is_named(tmp_path):
    assert "nowhere.jpg: no such file" in error_of(tmp_path / "nowhere.jpg")


def test_a_folder_is_no_picture(tmp_path):
    assert str(tmp_path) in error_of(tmp_path)


def test_an_empty_file_is_named(tmp_path):
    (tmp_path / "empty.png").touch()
    assert "empty.png: the file is empty" in error_of(tmp_path / "empty.png")


def test_a_text_file_is_no_picture(tmp_path):
    (tmp_path / "notes.jpg").write_text("\n".join(WORDS))
    assert "notes.jpg: not a picture" in error_of(tmp_path / "notes.jpg")


def test_bytes_are_called_as_the_caller_wishes():
    assert error_of(b"no picture", name="row 7").startswith("row 7: ")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
@pytest.mark.parametrize("kept", [0.002, 0.5, 0.9])
def test_a_file_that_breaks_off_is_refused_without_a_warning_beside_it(kind, kept):
    whole = encode(noise(), kind)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        error_of(whole[: int(len(whole) * kept)])
    assert [str(warning.message) for warning in caught] == []


def test_a_format_that_is_not_listed_is_refused():
    assert "not a picture" in error_of(encode(red_and_blue(), "PPM"))


def test_too_many_bytes_are_not_even_read(tmp_path, monkeypatch):
    path = tmp_path / "heavy.png"
    path.write_bytes(encode(noise(), "PNG"))
    monkeypatch.setattr(pictures, "MAX_BYTES", 1000)
    monkeypatch.setattr("pathlib.Path.read_bytes", lambda self: pytest.fail("it was read"))
    assert "at most 1,000 are read" in error_of(path)


def test_too_many_bytes_in_memory_are_refused(monkeypatch):
    monkeypatch.setattr(pictures, "MAX_BYTES", 1000)
    assert "at most 1,000 are read" in error_of(encode(noise(), "PNG"))


@pytest.mark.parametrize("side", [8_001, 9_500, 13_000, 30_000])  # Pillow warns from 9,460 on
def test_too_many_pixels_are_refused_undecoded_and_without_a_warning(side, monkeypatch):
    def decode(self):
        pytest.fail("it was decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", decode)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert "pixels" in error_of(claims_to_be(side, side))
    assert caught == []


def test_as_many_pixels_as_allowed_are_decoded(monkeypatch):
    monkeypatch.setattr(pictures, "MAX_PIXELS", 800)
    assert load_picture(encode(red_and_blue(40, 20), "PNG")).size == (40, 20)
    assert "pixels" in error_of(encode(red_and_blue(41, 20), "PNG"))


def test_a_thin_strip_is_refused_before_it_is_blown_up():
    assert "times as long" in error_of(encode(red_and_blue(20_000, 1), "PNG"))
    assert load_picture(encode(red_and_blue(50, 1), "PNG")).size == (50, 1)
