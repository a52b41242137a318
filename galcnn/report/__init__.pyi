from .figures import draw_run as draw_run
from .sources import Known as Known
from .writing import write_report as write_report

__all__ = [
    "Known",
    "draw_run",
    "write_report",
]
