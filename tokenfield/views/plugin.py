"""What this slice adds to the registry."""

from types import ModuleType

SYSTEMS = {
    "lainr-views": "lainr_views:LainrViews",
    "lainr-views-composed": "lainr_views:ComposedLainrViews",
    "ipc-radiance": "radiance:IpcRadiance",
    "trans-inr-radiance": "radiance:TransInrRadiance",
    "anr-radiance": "radiance:AnrRadiance",
    "anr-trans-inr-radiance": "radiance:HyperTransInrRadiance",
    "anr-ipc-radiance": "radiance:HyperIpcRadiance",
}
"""Where each system is, below `tokenfield.views.models`."""


def register(registry: ModuleType) -> None:
    """Systems, data, objectives, a domain, recipes and commands for posed views."""
    for name, where in SYSTEMS.items():
        registry.MODELS.add(name, f"tokenfield.views.models.{where}")
    registry.DATA.add("views", "tokenfield.views.data:ViewsConfig")
    registry.OBJECTIVES.add("light-field", "tokenfield.views.objective:LightFieldRays")
    registry.OBJECTIVES.add("radiance", "tokenfield.views.objective:RadianceRays")
    registry.DOMAINS.add("light-field", "tokenfield.views.light_field:LightField")
    registry.RECIPES.add_functions("tokenfield.views.recipes", group="Views of objects")
    registry.COMMANDS.add("views", "tokenfield.views.commands:views")
