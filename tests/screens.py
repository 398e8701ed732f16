"""Pictures of screens, drawn here: text on paper and in a terminal, windows with buttons, icons and a table."""

from PIL import Image, ImageDraw

PAPER, INK, BLUE, GREY, DARK, GREEN = "#fbfbfd", "#20242c", "#2a5bd7", "#d9dce3", "#14161b", "#7bd88f"
TEXT = "the rate of a set is one budget and each image may take more or less of it where it gains most"
WORDS = tuple(TEXT.split(" "))


def document(seed: int, width: int, height: int) -> Image.Image:
    """A page of text with headings, and a table below."""
    image = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(image)
    for number, top in enumerate(range(10, height * 2 // 3, 15)):
        start = (seed + 5 * number) % len(WORDS)
        line = " ".join((WORDS[start:] + WORDS)[: width // 34])
        heading = number % 7 == 0
        draw.text((14, top), line.title() if heading else line, fill=BLUE if heading else INK)
    for number, top in enumerate(range(height * 2 // 3 + 8, height - 16, 18)):
        draw.rectangle((14, top, width - 15, top + 17), outline=GREY, fill=GREY if number == 0 else PAPER)
        for column, left in enumerate(range(20, width - 60, 80)):
            draw.text((left, top + 3), f"{(seed + 37 * number * (column + 1)) % 1000 / 1000:.3f}", fill=INK)
    return image


def desktop(seed: int, width: int, height: int) -> Image.Image:
    """A desktop with icons, a terminal and a dialogue."""
    image = Image.new("RGB", (width, height), "#31507a")
    draw = ImageDraw.Draw(image)
    for number in range(height // 56):
        top = 10 + 56 * number
        draw.rounded_rectangle((10, top, 42, top + 32), 6, fill=(GREEN, GREY, BLUE)[(seed + number) % 3])
        draw.text((10, top + 35), f"file {seed + number}", fill=PAPER)
    box = (64, 14, width - 12, height * 3 // 4)
    draw.rectangle(box, fill=DARK, outline=GREY)
    draw.rectangle((box[0], box[1], box[2], box[1] + 16), fill=GREY)
    for number, top in enumerate(range(box[1] + 22, box[3] - 14, 14)):
        draw.text((box[0] + 6, top), f"$ clic select run --budget {seed + 811 * number}  0.9{number:04d}", fill=GREEN)
    left, top = width // 3, height * 2 // 3
    draw.rounded_rectangle((left, top, left + 170, top + 64), 8, fill=PAPER, outline=INK)
    draw.text((left + 12, top + 10), "Send this decoder?", fill=INK)
    for number, label in enumerate(("Yes", "No")):
        draw.rounded_rectangle((left + 12 + 78 * number, top + 34, left + 78 + 78 * number, top + 54), 5, fill=BLUE)
        draw.text((left + 32 + 78 * number, top + 38), label, fill=PAPER)
    return image
