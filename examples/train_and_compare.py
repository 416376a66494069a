"""
Train LAINR, and compare it with IPC
====================================

Two generalizable INRs learn from the same photographs for the same number of steps, store as many values, and are
measured on photographs that neither saw. LAINR lets every coordinate choose the tokens that it reads; IPC, instance
pattern composers, turns the tokens into the weights of one layer, the same for all coordinates.
"""

# %%
# Pictures
# --------
#
# Any folder of pictures will do; what lies in ``train`` and ``test`` below it is split that way, and otherwise a
# tenth is held out. Here: photographs that come with scikit-image.

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt

import tokenfield as tf
from tokenfield.data import DataConfig
from tokenfield.data.demo_pictures import HELD_OUT, data_folder
from tokenfield.models.hyponet_field import IpcConfig
from tokenfield.models.lainr import LainrConfig
from tokenfield.training import Session, train
from tokenfield.training.journal import METRICS, read
from tokenfield.training.objective import ReconstructionConfig
from tokenfield.training.optimisers import OptimConfig
from tokenfield.training.recipe import Recipe

work = Path(tempfile.mkdtemp(prefix="tokenfield-tutorial-"))
for number, file in enumerate(HELD_OUT.values()):
    target = work / "pictures" / ("test" if number < 2 else "train") / file
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(data_folder() / file, target)
print({split.name: len(list(split.iterdir())) for split in sorted((work / "pictures").iterdir())})

# %%
# A recipe
# --------
#
# A run is one dataclass that holds everything that decides its result. These are small enough for seconds: crops of
# 16 pixels, 16 tokens of 24 numbers, so 384 values for 768 pixel values. On the command line ``tokenfield train
# --help`` lists the recipes there are, those of the papers among them.

encoder = {
    "size": (16, 16),
    "patch": 4,
    "padding": 0,
    "encoder_dim": 64,
    "encoder_depth": 1,
    "encoder_heads": 2,
    "feature_dim": 64,
}
lainr = Recipe(
    name="lainr",
    model=LainrConfig(**encoder, num_latents=16, latent_dim=24, dim=64, sigma_q=4.0, sigmas=(16.0, 4.0), start="local"),
    data=DataConfig(layout="folder", size=16, crop="pyramid"),
    optim=OptimConfig(name="muon", rate=2e-3, betas=(0.9, 0.99), muon_rate=0.02, schedule="cosine", warmup=20),
    objective=ReconstructionConfig(jitter="axis"),
    steps=300,
    batch_size=16,
    clip_norm=1.0,
    evaluate_every=50,
    checkpoint_every=300,
)
ipc = replace(lainr, name="ipc", model=IpcConfig(**encoder, num_latents=6, dim=64, sigma=16.0))
recipes = {"LAINR": lainr, "IPC": ipc}

# %%
# Training
# --------
#
# ``train`` writes a folder: weights, recipe, metrics, a learning curve, checkpoints. Ctrl-C saves, and
# ``resume=True`` goes on, bit for bit on a CPU.

for recipe in recipes.values():
    train(recipe, work / "pictures", work / recipe.name, session=Session(device="cpu", workers=0, quiet=True))

figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
for (name, recipe), colour in zip(recipes.items(), ("#0072B2", "#D55E00"), strict=True):
    lines = [line for line in read(work / recipe.name / METRICS) if "evaluation_psnr" in line]
    steps, psnr = [line["step"] for line in lines], [line["evaluation_psnr"] for line in lines]
    axis.plot(steps, psnr, "o-", color=colour)
    axis.annotate(
        f"{name}, {psnr[-1]:.1f} dB",
        (steps[-1], psnr[-1]),
        xytext=(0, -16),
        textcoords="offset points",
        ha="right",
        color=colour,
    )
axis.set(xlabel="step", ylabel="held-out PSNR / dB", title="Two systems, alike in all else")
axis.grid(alpha=0.3)
plt.show()

# %%
# On a whole photograph
# ---------------------
#
# A model of small crops encodes pictures of every size in overlapping tiles. ``values_stored`` says what that costs.

photo = tf.read_picture(work / "pictures" / "test" / "chelsea.png")[:, 60:188, 100:260]
figure, axes = plt.subplots(1, 3, figsize=(11, 3), layout="constrained")
pictures = {"photograph": photo}
for name, recipe in recipes.items():
    field = tf.Field.of(tf.load(work / recipe.name), photo)
    picture = field.render(*field.native_size)
    pictures[f"{name}: {tf.psnr(picture[None], photo[None]).item():.1f} dB, {field.values_stored} values"] = picture
for axis, (title, picture) in zip(axes, pictures.items(), strict=True):
    axis.imshow(picture.clamp(0, 1).permute(1, 2, 0).numpy())
    axis.set_title(title)
    axis.set_axis_off()
plt.show()

# %%
# With error bars
# ---------------
#
# One seed is an anecdote. The command below trains any systems or recipes on your folder with the same budget,
# several seeds of each, and writes a table with means and standard deviations as Markdown, CSV, LaTeX and JSON, and
# the curves. The tables of the papers are made that way (:doc:`results <../results>`).
#
# .. code-block:: sh
#
#    tokenfield compare lainr ipc anr --data ~/Pictures --budget seconds=300 --seeds 3 -o comparison

shutil.rmtree(work)
