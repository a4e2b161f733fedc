"""One layer's look, whatever becomes of it."""

from collections.abc import Callable

from holdtrue.core.drift import layer_unknown
from holdtrue.errors import HoldtrueError
from holdtrue.models.base import Progress, ProgressLevel
from holdtrue.models.drift import LayerDrift
from holdtrue.models.environment import DriftLayer
from tasks.journal import watch


def look(layer: DriftLayer, at_layer: Callable[[], LayerDrift]) -> LayerDrift:
    """What the layer's check saw; a layer that could not be looked at is unknown and hides no other."""
    try:
        return at_layer()
    except HoldtrueError as error:
        watch(Progress(message=f"{layer} could not be checked: {error}", level=ProgressLevel.ERROR))
        return layer_unknown(layer, str(error))
