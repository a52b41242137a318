from .atlas.subject import AtlasSettings as AtlasSettings
from .atlas.writing import make_atlas as make_atlas
from .attacks import AttackSettings as AttackSettings
from .attacks import attack_files as attack_files
from .classification import ClassifySettings as ClassifySettings
from .classification import classify_batch as classify_batch
from .concepts import ConceptSettings as ConceptSettings
from .concepts import concept_table as concept_table
from .demo import DemoSettings as DemoSettings
from .demo import run_demo as run_demo
from .dreams import dream_files as dream_files
from .embedding import embed_catalog as embed_catalog
from .explanations import ExplainSettings as ExplainSettings
from .explanations import explain_files as explain_files
from .explanations import working_methods as working_methods
from .info import describe as describe
from .inspection import DataView as DataView
from .inspection import show_data as show_data
from .label_page import LabelPage as LabelPage
from .label_page import write_label_page as write_label_page
from .labelling import label_next as label_next
from .models import KnownModel as KnownModel
from .models import known_models as known_models
from .neighbours import features_of_files as features_of_files
from .neighbours import nearest as nearest
from .neighbours import read_embedded as read_embedded
from .redshifts import RedshiftSettings as RedshiftSettings
from .redshifts import redshift_files as redshift_files
from .requests import answer_requests as answer_requests
from .robustness import Robustness as Robustness
from .robustness import robustness_curve as robustness_curve
from .runs import MANIFEST as MANIFEST
from .runs import TABLE as TABLE
from .runs import RunSettings as RunSettings
from .runs import classify as classify
from .runs import run_catalog as run_catalog
from .scores import evaluate_catalog as evaluate_catalog
from .scores import evaluate_predictions as evaluate_predictions
from .sheets import ContactSheet as ContactSheet
from .sheets import images_of_table as images_of_table
from .sheets import neighbour_sheet as neighbour_sheet
from .sheets import rows_sheet as rows_sheet
from .sheets import table_of as table_of
from .sheets import table_sheet as table_sheet
from .simulated_survey import SurveySettings as SurveySettings
from .simulated_survey import write_survey as write_survey
from .tasks import Task as Task
from .tasks import Work as Work
from .tasks import run_one as run_one
from .tasks import run_tasks as run_tasks

__all__ = [
    "MANIFEST",
    "TABLE",
    "AtlasSettings",
    "ClassifySettings",
    "ConceptSettings",
    "ContactSheet",
    "DataView",
    "DemoSettings",
    "ExplainSettings",
    "KnownModel",
    "LabelPage",
    "AttackSettings",
    "RedshiftSettings",
    "Robustness",
    "RunSettings",
    "SurveySettings",
    "Task",
    "Work",
    "answer_requests",
    "classify",
    "classify_batch",
    "concept_table",
    "describe",
    "embed_catalog",
    "dream_files",
    "evaluate_catalog",
    "evaluate_predictions",
    "explain_files",
    "features_of_files",
    "attack_files",
    "images_of_table",
    "known_models",
    "make_atlas",
    "nearest",
    "neighbour_sheet",
    "read_embedded",
    "redshift_files",
    "robustness_curve",
    "run_catalog",
    "run_demo",
    "run_one",
    "run_tasks",
    "rows_sheet",
    "show_data",
    "label_next",
    "table_of",
    "table_sheet",
    "working_methods",
    "write_label_page",
    "write_survey",
]
