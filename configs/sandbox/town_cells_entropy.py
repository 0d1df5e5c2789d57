# Cells of the street, 4 m wide: one that is asked is answered in all frames that see it, and billed
# once.
_base_ = ['./town_entropy.py']
acquisition = dict(unit=dict(_delete_=True, type='WorldCells', size=(4.0, 4.0)))
