"""Pure functions of the published acquisition methods: arrays in, arrays out, no classes."""

from dense_al.acquisition.functional.badge import badge_select
from dense_al.acquisition.functional.boundary import boundary_distance, boundary_quota
from dense_al.acquisition.functional.boxes import box_in_box_pairs, box_in_box_pairs_batched
from dense_al.acquisition.functional.cdal import cdal_select
from dense_al.acquisition.functional.class_density import (
    CategoryDensity,
    category_density,
    density_order,
)
from dense_al.acquisition.functional.clue import clue_select
from dense_al.acquisition.functional.density import density_ratio
from dense_al.acquisition.functional.domain import (
    aada_score,
    best_versus_second_best,
    class_balanced_score,
    class_weights,
    top_count,
)
from dense_al.acquisition.functional.inter_frame import inter_frame_scores, search_tree
from dense_al.acquisition.functional.inter_frame_device import (
    frame_cells,
    inter_frame_scores_on_device,
    nearest_in_cells,
)
from dense_al.acquisition.functional.inter_frame_select import select_inter_frame
from dense_al.acquisition.functional.k_center import k_center_greedy
from dense_al.acquisition.functional.kmeans import weighted_kmeans
from dense_al.acquisition.functional.kmeans_pp import grouped_kmeans_pp, kmeans_pp
from dense_al.acquisition.functional.points import (
    mask_uncertainty,
    peaks,
    pixel_boxes,
    point_of_max_entropy,
    random_points,
)
from dense_al.acquisition.functional.redal import diversity_aware_order
from dense_al.acquisition.functional.ripu import (
    region_impurity,
    ripu_score,
    ripu_select,
    window_mask,
)
from dense_al.acquisition.functional.round_robin import d2ada_budgets, weighted_round_robin
from dense_al.acquisition.functional.surface import label_entropy, surface_variation
from dense_al.acquisition.functional.uncertainty import entropy, least_confidence, margin
from dense_al.groups import (
    region_count,
    region_max,
    region_mean,
    region_sum,
    region_topk_mean,
)

__all__ = [
    'CategoryDensity',
    'aada_score',
    'badge_select',
    'best_versus_second_best',
    'boundary_distance',
    'boundary_quota',
    'box_in_box_pairs',
    'box_in_box_pairs_batched',
    'category_density',
    'cdal_select',
    'class_balanced_score',
    'class_weights',
    'clue_select',
    'd2ada_budgets',
    'density_order',
    'density_ratio',
    'diversity_aware_order',
    'entropy',
    'frame_cells',
    'grouped_kmeans_pp',
    'inter_frame_scores',
    'inter_frame_scores_on_device',
    'k_center_greedy',
    'kmeans_pp',
    'label_entropy',
    'least_confidence',
    'margin',
    'mask_uncertainty',
    'nearest_in_cells',
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
    'search_tree',
    'select_inter_frame',
    'surface_variation',
    'top_count',
    'weighted_kmeans',
    'weighted_round_robin',
    'window_mask',
]
