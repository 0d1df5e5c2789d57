"""Learning curves, comparisons of methods, pictures of queries, and the HTML report."""

from dense_al.analysis.curves import Curve, curve_of, load_curve
from dense_al.analysis.gallery import Panel, region_maps_of, round_panels
from dense_al.analysis.report import Gallery, write_report
from dense_al.analysis.runs import Round, Run, group_runs, load_run
from dense_al.analysis.statistics import (
    PairedInterval,
    RankCorrelation,
    SummaryRow,
    area_under_curve,
    common_range,
    labels_to_reach,
    paired_t_interval,
    rank_correlation,
    rank_tests_note,
    read_table,
    summarise,
    write_table,
)

__all__ = [
    'Curve',
    'Gallery',
    'PairedInterval',
    'Panel',
    'RankCorrelation',
    'Round',
    'Run',
    'SummaryRow',
    'area_under_curve',
    'common_range',
    'curve_of',
    'group_runs',
    'labels_to_reach',
    'load_curve',
    'load_run',
    'paired_t_interval',
    'rank_correlation',
    'rank_tests_note',
    'read_table',
    'region_maps_of',
    'round_panels',
    'summarise',
    'write_report',
    'write_table',
]
