"""Data-parallel training under torchrun: every process takes its part of each batch, and all take the same step.

A batch and its noise are drawn whole by each process, from the same seeds as a process alone would, and each keeps its
part. Gradients are then averaged over the processes: the losses are those of one process with the whole batch, but for
the order of sums. Only the first process writes.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed

from harness.errors import ClicError
from submission.quantization.quantizer import PartOfBatch

BACKEND = "gloo"  # between processors


@dataclass(frozen=True)
class Part:
    """Which of how many equal parts of every batch this process has; alone, all of it."""

    rank: int = 0
    ranks: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def check(self, batch: int) -> None:
        """Raises ClicError where a batch has no equal parts."""
        if batch % self.ranks:
            raise ClicError(f"batch is {batch}; {self.ranks} processes need a multiple of {self.ranks}")

    def of(self, batch: Tensor) -> Tensor:
        """This process's part of a batch (N, ...)."""
        return batch if self.ranks == 1 else batch.chunk(self.ranks)[self.rank]

    def generator(self, seed: int) -> torch.Generator:
        """A generator from which this process draws its part of a batch's noise."""
        generator = torch.Generator() if self.ranks == 1 else PartOfBatch(self.rank, self.ranks)
        return generator.manual_seed(seed)

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor, in place, by its mean over the processes."""
        if self.ranks == 1:
            return
        tensors = list(tensors)
        joined = torch.cat([tensor.reshape(-1) for tensor in tensors])
        distributed.all_reduce(joined)
        joined /= self.ranks
        for tensor, mean in zip(tensors, joined.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(mean.reshape(tensor.shape))

    def average_figures(self, figures: Mapping[str, float]) -> dict[str, float]:
        """Means over the processes of figures for the log."""
        values = torch.tensor(list(figures.values()), dtype=torch.float64)
        self.average([values])
        return dict(zip(figures, values.tolist(), strict=True))

    def wait(self) -> None:
        """Until all processes have come here: what the first has written is then there for all."""
        if self.ranks > 1:
            distributed.barrier()

    def first_says(self, yes: bool) -> bool:
        """What the first process says: clocks differ, and all must stop after the same step."""
        if self.ranks == 1:
            return yes
        said = torch.tensor([int(yes)])
        distributed.broadcast(said, src=0)
        return bool(said)


ALONE = Part()


def is_first_process() -> bool:
    """Whether this process is the only one or, of those that torchrun started, the one that writes."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def part_of_torchrun() -> Iterator[Part]:
    """The part that torchrun gave this process; all of the batch where torchrun did not start it."""
    if not distributed.is_torchelastic_launched() or os.environ["WORLD_SIZE"] == "1":
        yield ALONE
        return
    distributed.init_process_group(BACKEND)
    try:
        yield Part(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()
