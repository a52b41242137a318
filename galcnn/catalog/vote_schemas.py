"""Decision trees of Galaxy Zoo by name, with the columns of the published tables.

A question that is asked after several answers has no parent here; its fractions are of those who were asked:
whether anything is odd or merging, which all but those who saw a star or an artefact are asked. The questions
of Galaxy Zoo: Hubble and CANDELS about the arrangement of clumps, which follow several answers, are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from galcnn.catalog.votes import Kind, Question, Votes
from galcnn.errors import did_you_mean, message


@dataclass(frozen=True)
class _Schema:
    """Columns of one campaign: the beginning of each question's columns, its answers, and its parent column.

    `suffixes` are the ends of the columns of each kind of votes, the default kind first.
    """

    questions: Sequence[tuple[str, str, str | None]]
    suffixes: Mapping[Kind, str]


def _tagged(tag: str, questions: Sequence[tuple[str, str, str | None]]) -> list[tuple[str, str, str | None]]:
    """Return questions with the tag of a campaign: ``bar_`` becomes ``bar-hubble_``."""
    return [
        (start.replace("_", f"{tag}_"), answers, parent and parent.replace("_", f"{tag}_"))
        for start, answers, parent in questions
    ]


_DISK, _NO_EDGE = "smooth-or-featured_featured-or-disk", "disk-edge-on_no"
_DECALS: list[tuple[str, str, str | None]] = [
    ("smooth-or-featured_", "smooth featured-or-disk artifact", None),
    ("disk-edge-on_", "yes no", _DISK),
    ("has-spiral-arms_", "yes no", _NO_EDGE),
    ("bar_", "strong weak no", _NO_EDGE),
    ("bulge-size_", "dominant large moderate small none", _NO_EDGE),
    ("how-rounded_", "round in-between cigar-shaped", "smooth-or-featured_smooth"),
    ("edge-on-bulge_", "boxy none rounded", "disk-edge-on_yes"),
    ("spiral-winding_", "tight medium loose", "has-spiral-arms_yes"),
    ("spiral-arm-count_", "1 2 3 4 more-than-4 cant-tell", "has-spiral-arms_yes"),
    ("merging_", "none minor-disturbance major-disturbance merger", None),
]

_SCHEMAS: Mapping[str, _Schema] = {
    # Willett et al. 2013, MNRAS 435, 2835: table 2 (tree) and table 5 (columns).
    "gz2": _Schema(
        [
            ("t01_smooth_or_features_", "a01_smooth a02_features_or_disk a03_star_or_artifact", None),
            ("t02_edgeon_", "a04_yes a05_no", "t01_smooth_or_features_a02_features_or_disk"),
            ("t03_bar_", "a06_bar a07_no_bar", "t02_edgeon_a05_no"),
            ("t04_spiral_", "a08_spiral a09_no_spiral", "t02_edgeon_a05_no"),
            (
                "t05_bulge_prominence_",
                "a10_no_bulge a11_just_noticeable a12_obvious a13_dominant",
                "t02_edgeon_a05_no",
            ),
            ("t06_odd_", "a14_yes a15_no", None),
            (
                "t07_rounded_",
                "a16_completely_round a17_in_between a18_cigar_shaped",
                "t01_smooth_or_features_a01_smooth",
            ),
            (
                "t08_odd_feature_",
                "a19_ring a20_lens_or_arc a21_disturbed a22_irregular a23_other a24_merger a38_dust_lane",
                "t06_odd_a14_yes",
            ),
            ("t09_bulge_shape_", "a25_rounded a26_boxy a27_no_bulge", "t02_edgeon_a04_yes"),
            ("t10_arms_winding_", "a28_tight a29_medium a30_loose", "t04_spiral_a08_spiral"),
            (
                "t11_arms_number_",
                "a31_1 a32_2 a33_3 a34_4 a36_more_than_4 a37_cant_tell",
                "t04_spiral_a08_spiral",
            ),
        ],
        {"counts": "_count", "conditional": "_fraction"},
    ),
    # Walmsley et al. 2022, MNRAS 509, 3966: the tree of its campaign GZD-5, and of GZ DESI.
    "gz_decals": _Schema(_DECALS, {"counts": "", "conditional": "_fraction"}),
    # Willett et al. 2017, MNRAS 464, 4176 (tree); columns of gz_hubble in mwalmsley/galaxy-datasets.
    "gz_hubble": _Schema(
        _tagged(
            "-hubble",
            [
                ("smooth-or-featured_", "smooth features artifact", None),
                ("how-rounded_", "completely in-between cigar-shaped", "smooth-or-featured_smooth"),
                ("clumpy-appearance_", "yes no", "smooth-or-featured_features"),
                ("clump-count_", "1 2 3 4 5-plus cant-tell", "clumpy-appearance_yes"),
                ("galaxy-symmetrical_", "yes no", "clumpy-appearance_yes"),
                ("clumps-embedded-larger-object_", "yes no", "clumpy-appearance_yes"),
                ("disk-edge-on_", "yes no", "clumpy-appearance_no"),
                ("bulge-shape_", "rounded boxy none", "disk-edge-on_yes"),
                ("bar_", "yes no", _NO_EDGE),
                ("has-spiral-arms_", "yes no", _NO_EDGE),
                ("spiral-winding_", "tight medium loose", "has-spiral-arms_yes"),
                ("spiral-arm-count_", "1 2 3 4 5-plus cant-tell", "has-spiral-arms_yes"),
                ("bulge-size_", "none just-noticeable obvious dominant", _NO_EDGE),
            ],
        ),
        {"counts": "", "conditional": "_fraction"},
    ),
    # Simmons et al. 2017, MNRAS 464, 4420: figure 1 (tree) and its table, which has no counts by answer.
    "gz_candels": _Schema(
        [
            ("t00_smooth_or_featured_", "a0_smooth a1_features a2_artifact", None),
            (
                "t01_how_rounded_",
                "a0_completely a1_inbetween a2_cigarshaped",
                "t00_smooth_or_featured_a0_smooth",
            ),
            ("t02_clumpy_appearance_", "a0_yes a1_no", "t00_smooth_or_featured_a1_features"),
            (
                "t03_how_many_clumps_",
                "a0_1 a1_2 a2_3 a3_4 a4_5_plus a5_cant_tell",
                "t02_clumpy_appearance_a0_yes",
            ),
            ("t09_disk_edge_on_", "a0_yes a1_no", "t02_clumpy_appearance_a1_no"),
            ("t10_edge_on_bulge_", "a0_yes a1_no", "t09_disk_edge_on_a0_yes"),
            ("t11_bar_feature_", "a0_yes a1_no", "t09_disk_edge_on_a1_no"),
            ("t12_spiral_pattern_", "a0_yes a1_no", "t09_disk_edge_on_a1_no"),
            ("t13_spiral_arm_winding_", "a0_tight a1_medium a2_loose", "t12_spiral_pattern_a0_yes"),
            (
                "t14_spiral_arm_count_",
                "a0_1 a1_2 a2_3 a3_4 a4_5_plus a5_cant_tell",
                "t12_spiral_pattern_a0_yes",
            ),
            ("t15_bulge_prominence_", "a0_no_bulge a1_obvious a2_dominant", "t09_disk_edge_on_a1_no"),
            ("t16_merging_tidal_debris_", "a0_merging a1_tidal_debris a2_both a3_neither", None),
        ],
        {"conditional": "_frac"},
    ),
    # Euclid Collaboration: Walmsley et al. 2025, arXiv:2503.15310 (tree); columns of the table gz_euclid.
    "gz_euclid": _Schema(
        _tagged(
            "-euclid",
            [
                ("smooth-or-featured_", "smooth featured-or-disk problem", None),
                *_DECALS[1:],
                ("clumps_", "yes no", _NO_EDGE),
                ("problem_", "star artifact zoom", "smooth-or-featured_problem"),
                (
                    "artifact_",
                    "satellite scattered diffraction ray saturation other ghost",
                    "problem_artifact",
                ),
            ],
        ),
        {"conditional": "_fraction"},
    ),
}


def vote_schema(name: str, kind: Kind | None = None) -> Votes:
    """Return the decision tree of a Galaxy Zoo campaign, with the columns of its published table.

    Parameters
    ----------
    name : {"gz2", "gz_decals", "gz_hubble", "gz_candels", "gz_euclid"}
        Campaign.
    kind : {"counts", "conditional"}, optional
        Columns to be read: numbers of votes, or fractions of those who were asked. Counts by default, where
        they are published.

    Returns
    -------
    Votes
        Questions whose answers are the names of the columns without the ending of the kind, such as
        ``_count``, which is the `suffix`.

    Raises
    ------
    ValueError
        If there is no such campaign, or its table has no such columns.

    Examples
    --------
    >>> votes = vote_schema("gz2")
    >>> len(votes.questions), len(votes.answers), votes.kind, votes.answers[0] + votes.suffix
    (11, 37, 'counts', 't01_smooth_or_features_a01_smooth_count')
    """
    if name not in _SCHEMAS:
        remedy = did_you_mean(name, _SCHEMAS, "Or list the questions: [[data.votes.questions]].")
        raise ValueError(message(f"votes among {tuple(_SCHEMAS)}", remedy, votes=name))
    schema = _SCHEMAS[name]
    kinds = tuple(schema.suffixes)
    if kind is not None and kind not in kinds:
        raise ValueError(message(f"a kind among {kinds} for {name}", "", kind=kind))
    chosen = kind or kinds[0]
    questions = tuple(
        Question(start.rstrip("_"), tuple(start + answer for answer in answers.split()), parent)
        for start, answers, parent in schema.questions
    )
    return Votes(questions, chosen, schema.suffixes[chosen])
