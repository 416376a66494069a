"""One file per system, each with `encode` and `decode`."""

from tokenfield.generation.denoiser import Denoiser as Denoiser
from tokenfield.generation.lattice_denoiser import LatticeDenoiser as LatticeDenoiser
from tokenfield.models.anchored import Anchored as Anchored
from tokenfield.models.anr import Anr as Anr
from tokenfield.models.anr_radiance import AnrRadiance as AnrRadiance
from tokenfield.models.autoencoder_kl import AutoencoderKl as AutoencoderKl
from tokenfield.models.base import FieldModel as FieldModel
from tokenfield.models.coordinate_mlp import CoordinateMlp as CoordinateMlp
from tokenfield.models.functa import Functa as Functa
from tokenfield.models.gridded import GriddedAnchored as GriddedAnchored
from tokenfield.models.gridded import GriddedAnr as GriddedAnr
from tokenfield.models.gridded import GriddedLainr as GriddedLainr
from tokenfield.models.ipc import Ipc as Ipc
from tokenfield.models.lainr import Lainr as Lainr
from tokenfield.models.lainr_anchored import AnchoredLainr as AnchoredLainr
from tokenfield.models.lainr_composed import ComposedLainr as ComposedLainr
from tokenfield.models.lainr_localized import LocalizedLainr as LocalizedLainr
from tokenfield.models.lainr_views import ComposedLainrViews as ComposedLainrViews
from tokenfield.models.lainr_views import LainrViews as LainrViews
from tokenfield.models.learned_init import LearnedInit as LearnedInit
from tokenfield.models.radiance import IpcRadiance as IpcRadiance
from tokenfield.models.radiance import TransInrRadiance as TransInrRadiance
from tokenfield.models.spatial_functa import SpatialFuncta as SpatialFuncta
from tokenfield.models.switched import Switched as Switched
from tokenfield.models.trans_inr import TransInr as TransInr

MODELS: dict[str, type[FieldModel]] = {
    model.name: model
    for model in (
        Lainr,
        Anchored,
        Switched,
        Anr,
        LocalizedLainr,
        AnchoredLainr,
        ComposedLainr,
        Ipc,
        TransInr,
        LearnedInit,
        CoordinateMlp,
        Functa,
        SpatialFuncta,
        AutoencoderKl,
        IpcRadiance,
        TransInrRadiance,
        AnrRadiance,
        GriddedLainr,
        GriddedAnr,
        GriddedAnchored,
        LainrViews,
        ComposedLainrViews,
        Denoiser,
        LatticeDenoiser,
    )
}
"""Every system by the name its configuration carries."""
