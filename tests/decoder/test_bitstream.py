"""Stream and data file: what is written is read again, and what no encoder writes is refused with its reason."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from decoder.bitstream import (
    MAX_PIXELS,
    MAX_PIXELS_PER_BYTE,
    MAX_SIDE,
    Header,
    Stream,
    checksum,
    get_varint,
    least_words,
    put_varint,
    read_header,
    read_stream,
    write_stream,
)
from decoder.container import MAX_NAMES, pack, unpack
from decoder.errors import BitstreamError
from submission.conformance.suite import EXPECTED, FOLDER, read_suite

bytes_of_a_field = st.integers(0, 255)


@st.composite
def streams(draw: st.DrawFn) -> Stream:
    """Any stream that the format can say."""
    width = draw(st.integers(1, MAX_SIDE))
    height = draw(st.integers(1, min(MAX_SIDE, MAX_PIXELS // width)))
    fields = [draw(bytes_of_a_field) for _ in range(4)]
    header = Header(width, height, fields[0], fields[1], draw(st.booleans()), fields[2], fields[3], draw(st.booleans()))
    lanes = draw(st.sampled_from([1, 32, 33, 255, 256]))
    words = draw(st.integers(least_words(header), least_words(header) + 40)) if lanes in (1, 256) else 0
    if lanes != 256:
        words = min(words, 12_000)
    content = np.random.default_rng(draw(st.integers(0, 99))).integers(0, 1 << 16, words).astype(np.uint16)
    main = draw(st.integers(0, 1 << 34)) if lanes > 1 else 1 << 62
    escapes = draw(st.lists(st.integers(-(1 << 31), (1 << 31) - 1), max_size=6))
    return Stream(header, draw(st.integers(0, 65535)), content, lanes, main, escapes)


@given(streams())
def test_streams_are_read_as_they_were_written(stream: Stream) -> None:
    content = write_stream(stream)
    if stream.header.width * stream.header.height > MAX_PIXELS_PER_BYTE * len(content):
        with pytest.raises(BitstreamError, match="pixels in"):
            read_stream(content)
        return
    again = read_stream(content)
    assert np.array_equal(again.words, stream.words)
    for name in ("header", "check", "lanes", "main", "escapes"):
        assert getattr(again, name) == getattr(stream, name), name
    assert read_header(content)[0] == stream.header


@given(st.integers(0, (1 << 35) - 1), st.binary(max_size=5))
def test_numbers_are_read_as_they_were_written(value: int, before: bytes) -> None:
    written = put_varint(value)
    assert len(written) == max(1, -(-value.bit_length() // 7))
    assert get_varint(before + written + b"\xff", len(before)) == (value, len(before) + len(written))
    for end in range(len(written)):
        with pytest.raises(BitstreamError, match="ends inside a number"):
            get_varint(before + written[:end], len(before))


def test_a_number_of_36_bits_is_refused() -> None:
    assert get_varint(put_varint((1 << 35) - 1), 0) == ((1 << 35) - 1, 5)
    with pytest.raises(BitstreamError, match="too long"):
        get_varint(put_varint(1 << 35), 0)


names = st.text(st.characters(blacklist_characters="/\\\0\n", blacklist_categories=["Cs"]), min_size=1).filter(
    lambda name: name not in (".", "..")
)


@given(st.dictionaries(names, st.binary(max_size=50), max_size=6))
def test_data_files_are_read_as_they_were_written(images: dict[str, bytes]) -> None:
    content = pack(images)
    assert unpack(content) == images
    assert list(unpack(content)) == sorted(images)
    for damaged in (content[:-1], content + b"\0", content[4:]):
        with pytest.raises(BitstreamError):
            unpack(damaged)


def test_a_name_with_a_line_feed_cannot_be_packed() -> None:
    with pytest.raises(ValueError, match="line feed"):
        pack({"a\nb": b""})


@pytest.mark.parametrize("name", ["", "/", "a/b", "/etc", "\\", "a\\b", "\0", "a\0", ".", ".."])
def test_a_name_that_would_leave_the_folder_is_refused(name: str) -> None:
    with pytest.raises(BitstreamError, match="which is no file name"):
        unpack(pack({name: b"x", "good": b"y"}))


def test_a_name_table_of_16_megabytes_is_the_longest() -> None:
    longest = {"a" * MAX_NAMES: b""}
    assert unpack(pack(longest)) == longest
    with pytest.raises(BitstreamError, match="name table"):
        unpack(pack({"a" * (MAX_NAMES + 1): b""}))


def test_an_image_of_the_most_pixels_a_byte_allows() -> None:
    def written(height: int) -> bytes:
        return write_stream(Stream(Header(MAX_PIXELS_PER_BYTE, height, 3), 0, np.zeros(2, np.uint16), 1, 1 << 62))

    assert len(written(13)) == len(written(14)) == 13 and read_stream(written(13)).header.height == 13
    with pytest.raises(BitstreamError, match="2048 x 14 pixels in 13 bytes"):
        read_stream(written(14))


@pytest.mark.parametrize("value", [(1 << 32) - 1, 1 << 32])
def test_an_escaped_value_has_32_bits(value: int) -> None:
    header = Stream(Header(8, 8, 3), 0, np.zeros(0, np.uint16), 1, 1 << 62)
    stream = write_stream(header)[:-1] + put_varint(3) + put_varint(1) + put_varint(value)
    if value < 1 << 32:
        assert read_stream(stream).escapes == [-(1 << 31)]
    else:
        with pytest.raises(BitstreamError, match="an escaped value is out of range"):
            read_stream(stream)


def test_no_more_escaped_values_than_bytes() -> None:
    stream = write_stream(Stream(Header(8, 8, 3), 0, np.zeros(0, np.uint16), 1, 1 << 62))[:-1] + put_varint(3)
    with pytest.raises(BitstreamError, match="more escaped values than it has bytes"):
        read_stream(stream + put_varint(3) + b"\0\0")
    assert read_stream(stream + put_varint(3) + b"\0\0\0").escapes == [0, 0, 0]


def test_header_bounds() -> None:
    def header(width: int, height: int) -> bytes:
        return write_stream(Stream(Header(width, height, 3), 0, np.zeros(4, np.uint16), 1, 1 << 62))

    for width, height in ((MAX_SIDE, 1), (1, MAX_SIDE), (8192, 8192), (1024, MAX_SIDE)):
        assert read_header(header(width, height))[0] == Header(width, height, 3)
    for width, height in ((MAX_SIDE + 1, 1), (1, MAX_SIDE + 1), (8193, 8192), (0, 1), (1, 0)):
        with pytest.raises(BitstreamError, match=f"{width} x {height} pixels"):
            read_header(header(width, height))


@pytest.mark.parametrize(("pixels", "words"), [(1, 1), (4096, 1), (4097, 2), (8192, 2), (8193, 3)])
def test_words_that_sides_ask_for(pixels: int, words: int) -> None:
    assert least_words(Header(pixels, 1, 0)) == words
    assert least_words(Header(1, pixels, 0)) == words and least_words(Header(pixels, 4096, 0)) == pixels


def test_the_checksum_is_of_header_and_symbols() -> None:
    symbols = [np.array([[1, -2]]), np.array([3])]
    known = checksum(Header(5, 6, 7), symbols)
    assert known == checksum(Header(5, 6, 7), [np.array([1, -2, 3])])
    others = [
        Header(5, 6, 7, grey=True),
        Header(6, 6, 7),
        Header(5, 7, 7),
        Header(5, 6, 8),
        Header(5, 6, 7, 1),
        Header(5, 6, 7, 0, True),
    ]
    found = {
        checksum(header, symbols) for header in (*others, Header(5, 6, 7, 0, False, 1), Header(5, 6, 7, 0, False, 0, 1))
    }
    assert len(found) == 8 and known not in found
    assert checksum(Header(5, 6, 7), [np.array([1, -2]), np.array([4])]) != known


def test_errors_are_those_of_the_conformance_suite() -> None:
    """Word for word, where reading alone finds them."""
    suite, told = read_suite(), 0
    for file, due in json.loads((FOLDER / EXPECTED).read_text())["vectors"].items():
        try:
            (unpack if file.endswith(".set") else read_stream)(suite.streams[file])
        except BitstreamError as error:
            assert str(error) == due["error"], file
            told += 1
    assert told > 80
