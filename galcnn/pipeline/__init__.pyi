from .answers import SCHEMAS as SCHEMAS
from .answers import JsonAnswer as JsonAnswer
from .answers import error_record as error_record
from .answers import schema as schema
from .atlas.subject import AtlasSettings as AtlasSettings
from .atlas.writing import make_atlas as make_atlas
from .attacks import ATTACK_TABLE as ATTACK_TABLE
from .attacks import AttackSettings as AttackSettings
from .attacks import attack_files as attack_files
from .attacks import first_syntheses as first_syntheses
from .attacks import natural_unit as natural_unit
from .attacks import summary as summary
from .classification import ClassifySettings as ClassifySettings
from .classification import classify_batch as classify_batch
from .demo import DemoSettings as DemoSettings
from .demo import run_demo as run_demo
from .dreams import dream_files as dream_files
from .explanations import ExplainSettings as ExplainSettings
from .explanations import explain_files as explain_files
from .explanations import working_methods as working_methods
from .info import describe_installation as describe_installation
from .info import describe_path as describe_path
from .inspection import DataView as DataView
from .inspection import show_data as show_data
from .labelling import label_next as label_next
from .neighbours import features_of_files as features_of_files
from .neighbours import nearest as nearest
from .neighbours import read_embedded as read_embedded
from .redshifts import RedshiftSettings as RedshiftSettings
from .redshifts import redshift_files as redshift_files
from .requests import answer_requests as answer_requests
from .robustness import Robustness as Robustness
from .robustness import choose as choose
from .robustness import robustness_curve as robustness_curve
from .runs import HEALPIX as HEALPIX
from .runs import TABLE as TABLE
from .runs import RunSettings as RunSettings
from .runs import classify as classify
from .runs import counts_of as counts_of
from .runs import run_catalog as run_catalog
from .scores import EvaluationSettings as EvaluationSettings
from .scores import draw_scores as draw_scores
from .scores import evaluate_catalog as evaluate_catalog
from .sheets import ContactSheet as ContactSheet
from .sheets import neighbour_sheet as neighbour_sheet
from .sheets import table_of as table_of
from .sheets import table_sheet as table_sheet
from .simulated_survey import SurveySettings as SurveySettings
from .simulated_survey import write_survey as write_survey
from .tasks import WORDS as WORDS
from .tasks import Engine as Engine
from .tasks import Task as Task
from .tasks import Work as Work
from .tasks import answer_work as answer_work
from .tasks import do_task as do_task
from .tasks import in_turn as in_turn
from .tasks import run_one as run_one
from .tasks import run_tasks as run_tasks
from .tasks import split_rows as split_rows

__all__ = [
    "AtlasSettings",
    "ClassifySettings",
    "ContactSheet",
    "DataView",
    "DemoSettings",
    "Engine",
    "EvaluationSettings",
    "ExplainSettings",
    "ATTACK_TABLE",
    "AttackSettings",
    "HEALPIX",
    "JsonAnswer",
    "RedshiftSettings",
    "Robustness",
    "RunSettings",
    "SCHEMAS",
    "SurveySettings",
    "TABLE",
    "Task",
    "WORDS",
    "Work",
    "answer_requests",
    "answer_work",
    "choose",
    "classify",
    "classify_batch",
    "counts_of",
    "describe_installation",
    "describe_path",
    "do_task",
    "draw_scores",
    "dream_files",
    "error_record",
    "evaluate_catalog",
    "explain_files",
    "features_of_files",
    "first_syntheses",
    "attack_files",
    "in_turn",
    "make_atlas",
    "natural_unit",
    "nearest",
    "neighbour_sheet",
    "read_embedded",
    "redshift_files",
    "robustness_curve",
    "run_catalog",
    "run_demo",
    "run_one",
    "run_tasks",
    "schema",
    "show_data",
    "split_rows",
    "label_next",
    "summary",
    "table_of",
    "table_sheet",
    "working_methods",
    "write_survey",
]
