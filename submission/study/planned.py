"""The plan that measured rows were made by."""

from submission.study.measured import Study
from submission.study.plan import Study as Plan
from submission.study.plan import read_study, study_names


def plan_of(study: Study) -> Plan:
    """The plan of the study that the rows name: one of the package's, or the run table where it is a file's."""
    name = study.rows[0].study
    return read_study(name if name in study_names() else "full")
