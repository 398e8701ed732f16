"""What the trainings of a study cost, by row of the run table and by primary question."""

from typing import Any

import pandas as pd

from submission.study.asked import RESTS_ON
from submission.study.measured import Study
from submission.study.planned import plan_of

NOTE = (
    "Core-hours are those of whichever processors drove the trainings. A question's are those of all cells that it "
    "rests on and of what these go on from; questions share trainings, so they do not add up."
)


def cost_rows(study: Study) -> pd.DataFrame:
    """Core-hours of training by row, in all, and by question: a training of several levels counts once."""
    frame = pd.DataFrame([vars(row) for row in study.rows])
    trained = frame.drop_duplicates(["row", "cell", "seed", "stage"])
    rows = [_cost(str(name), part) for name, part in trained.groupby("row")]
    rows.append(_cost("all", trained))
    plan, seeds = plan_of(study), sorted(set(trained["seed"]))
    places = pd.MultiIndex.from_frame(trained[["row", "cell", "seed"]])
    for question, rests_on in RESTS_ON.items():
        asked = [(*cell.key, seed) for cell, seed in plan.runs(seeds=seeds, wanted=rests_on)]
        rows.append(_cost(question, trained[places.isin(asked)]))
    return pd.DataFrame(rows)


def _cost(name: str, trained: pd.DataFrame) -> dict[str, Any]:
    hours = float(trained["seconds"].sum()) / 3600
    return {"of": name, "trainings": len(trained), "steps": int(trained["steps"].sum()), "hours": hours}
