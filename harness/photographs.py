"""Sample photographs that come with scikit-image, for the demo and for measurements of speed."""

from importlib import resources
from pathlib import Path

from harness.errors import ClicError
from harness.files import write_atomic

PHOTOGRAPHS = (
    "astronaut.png",
    "camera.png",
    "chelsea.png",
    "coffee.png",
    "hubble_deep_field.jpg",
    "moon.png",
    "motorcycle_left.png",
    "rocket.jpg",
)


def write_photographs(folder: Path) -> None:
    """Copy the sample photographs that scikit-image ships to `folder`. Raises ClicError where one is missing."""
    for name in PHOTOGRAPHS:
        try:
            content = resources.files("skimage").joinpath("data", name).read_bytes()
        except (ModuleNotFoundError, FileNotFoundError) as error:
            raise ClicError(
                f"{name}: not in this installation of scikit-image; install it anew, or "
                "run 'clic submit' on photographs of your own"
            ) from error
        write_atomic(folder / name, content)
