"""Event tables: the data sets of NONMEM, rxode2 and mrgsolve, read for a model, and regimens written as such."""

from qspx.event_table.table import EventTable as EventTable
from qspx.event_table.writing import events_frame as events_frame
