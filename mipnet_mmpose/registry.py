"""MMPose's registries under the scope ``mipnet_mmpose``; MMEngine looks for them here.

MMPose's inferencers build a model in the scope that they were given to find its name.
Our modules are registered in MMPose's own registries, so those here are empty: what
they do not have they take from their parents.
"""

import mmpose.registry
from mmengine.registry import Registry

for _registry in list(vars(mmpose.registry).values()):
    if isinstance(_registry, Registry) and _registry.scope == 'mmpose':
        Registry(
            _registry.name,
            parent=_registry,
            scope='mipnet_mmpose',
            locations=['mipnet_mmpose'],
        )
