"""What instruments write, as tidy tables: any text file of columns, and what was understood of it."""

from neurosim.devices.measurements.columns import QUANTITIES
from neurosim.devices.measurements.reads import FEWEST_READS
from neurosim.devices.measurements.result import ONE_DEVICE, Measured
from neurosim.devices.measurements.settings import Setting
from neurosim.devices.measurements.tidy import measured

__all__ = ["FEWEST_READS", "ONE_DEVICE", "QUANTITIES", "Measured", "Setting", "measured"]
