"""Pure functions of the published acquisition methods: arrays in, arrays out, no classes."""

from dense_al.acquisition.functional.badge import badge_select, badge_squared_distance
from dense_al.acquisition.functional.boundary import boundary_distance, boundary_quota
from dense_al.acquisition.functional.boxes import box_in_box_pairs, box_in_box_pairs_batched
from dense_al.acquisition.functional.density import density_ratio
from dense_al.acquisition.functional.inter_frame import inter_frame_scores, select_inter_frame
from dense_al.acquisition.functional.k_center import k_center_greedy
from dense_al.acquisition.functional.kmeans_pp import grouped_kmeans_pp, kmeans_pp
from dense_al.acquisition.functional.points import (
    mask_uncertainty,
    peaks,
    pixel_boxes,
    point_of_max_entropy,
    random_points,
)
from dense_al.acquisition.functional.region import (
    region_count,
    region_max,
    region_mean,
    region_sum,
    region_topk_mean,
)
from dense_al.acquisition.functional.ripu import region_impurity, ripu_score, ripu_select
from dense_al.acquisition.functional.round_robin import d2ada_budgets, weighted_round_robin
from dense_al.acquisition.functional.uncertainty import entropy, least_confidence, margin

__all__ = [
    'badge_select',
    'badge_squared_distance',
    'boundary_distance',
    'boundary_quota',
    'box_in_box_pairs',
    'box_in_box_pairs_batched',
    'd2ada_budgets',
    'density_ratio',
    'entropy',
    'grouped_kmeans_pp',
    'inter_frame_scores',
    'k_center_greedy',
    'kmeans_pp',
    'least_confidence',
    'margin',
    'mask_uncertainty',
    'peaks',
    'pixel_boxes',
    'point_of_max_entropy',
    'random_points',
    'region_count',
    'region_impurity',
    'region_max',
    'region_mean',
    'region_sum',
    'region_topk_mean',
    'ripu_score',
    'ripu_select',
    'select_inter_frame',
    'weighted_round_robin',
]
