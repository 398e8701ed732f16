"""What a weights file says of its networks: widths, kind of context, kind of attention."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Architecture:
    """Widths and kinds of the codec's networks; everything else follows from them.

    `stride4`, `stride8`, `stride16` are the channels of the transforms at that stride, `blocks` the number of
    residual blocks at each (in that order). `groups` are the latent's channel groups in coding order, `hyper` the
    channels of the hyper-latent, `features` those of the hyperprior's output and of the entropy parameter networks.
    `levels` are the rates that one model is trained for. `context` is a key of `decoder.context.CONTEXTS`,
    `attention` one of `decoder.attention.ATTENTIONS`.
    """

    stride4: int = 64
    stride8: int = 160
    stride16: int = 256
    blocks: tuple[int, int, int] = (2, 4, 3)
    groups: tuple[int, ...] = (16, 32, 48, 96)
    hyper: int = 96
    features: int = 128
    levels: int = 8
    context: str = "3d"
    attention: str = "group-separate"

    @property
    def latent(self) -> int:
        """Channels of the latent."""
        return sum(self.groups)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        return asdict(self)

    @staticmethod
    def from_json(fields: Mapping[str, Any]) -> "Architecture":
        """The inverse of `to_json`. Raises TypeError on unknown fields."""
        given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
        return Architecture(**given)

    @staticmethod
    def of(about: Mapping[str, Any]) -> "Architecture":
        """The one in the description of a weights file or checkpoint; older ones call it their shape."""
        return Architecture.from_json(about["architecture"] if "architecture" in about else about["shape"])
