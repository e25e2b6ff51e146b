# %% [markdown]
# # Round or ragged
# `smoke`: 60 synthetic patients, seconds.
# %% parameters
cohort: str = "synthetic"  # synthetic, a cohort.csv or a folder
external: str = ""  # another cohort, to test on only; empty: none
patients: int = 80  # patients of the synthetic twin [40, 240]
epochs: int = 30  # training epochs [1, 500]
n_boot: int = 200  # bootstrap resamples of the patients [50, 10000]
seed: int = 1  # random seed [0, 1000]
# %%
from nextaim_kit.runs.context import start

run = start("spots/grade", parameters=globals(), seed=seed)
# %% [markdown]
# ## The data, looked at first
# %%
import spots

from nextaim_kit import data, learn, show

table = data.load_cohort(cohort, twin=lambda: spots.make_twin(patients), columns=("image",))
pictures, table, failures = spots.load(data.require_labels(table))
run.failures(failures)
shown = show.gallery(list(pictures[:5, 0]), list(table["subject"][:5]))
run.figure(shown, "spots", caption="Which are ragged?")
# %% [markdown]
# ## The baseline, and the network, in the same folds
# %%
import pandas as pd
from torch import nn

parts = learn.patient_folds(table, 4, seed=seed)
simple = learn.Method("logistic", ["none"], grid={"C": [1.0]}, inner=2)
by_size = learn.nested_cv(table, ["size"], simple, splits=parts, seed=seed).predictions
nets, told = [], []
for k, (train, val, test) in enumerate(learn.rotations(parts)):
    seen, held = (spots.items(pictures, table, rows) for rows in (train, val))
    task = learn.Task(spots.network, nn.BCEWithLogitsLoss(), seen, held)
    recipe = learn.Recipe(epochs, 8, 5e-3)
    nets.append(learn.train(task, recipe, folder=run.checkpoints / str(k), seed=seed))
    p = learn.apply(nets[-1].net, pictures[test])[:, 0].sigmoid().numpy()
    told.append(spots.predictions(table, test, p, k))
run.table(nets[0].history, "history", show=0)
learn.save_weights(nets[0].net, run.file("net.pt"))
# %% [markdown]
# ## Evaluation
# %%
by_model = {"": pd.concat(told, ignore_index=True), "size": by_size}
models, gains = learn.compare_models(by_model, n_boot=n_boot, seed=seed)
run.table(models, "models", show=0)
run.metrics(models, only=["auc"])
pooled = learn.pooled(by_model[""])
run.figure(show.roc({"network": (pooled["y"], pooled["p"])}), "roc", caption="Out of fold.")
# %% [markdown]
# ## Train here, test there
# %%
if external:
    others = data.load_cohort(external, columns=("image",))
    far, others, failures = spots.load(data.require_labels(others))
    p = learn.apply(nets[0].net, far)[:, 0].sigmoid().numpy()
    alone = learn.final_model(table, ["size"], simple, seed=seed).predictions(others)
    there = {"": spots.predictions(others, slice(None), p, 0), "size": alone}
    elsewhere = learn.compare_models(there, n_boot=n_boot, seed=seed)[0]
    run.metrics(elsewhere.assign(metric="external_" + elsewhere["metric"]), only=["external_auc"])
# %% [markdown]
# ## The report
# %%
from nextaim_kit.files import write_text
from nextaim_kit.report import fhir, filling, page

reports, failed = filling.fill_all(spots.TEMPLATE, spots.report_rows(pooled, table))
report = next(iter(reports.values())).confirm_all("reader-1")
write_text(run.file("patient.html"), page.to_html(report))
write_text(run.file("report.json"), fhir.to_json(report))
# %% [markdown]
# ## Exercises
# **1.** Which share of the patients has a ragged spot?
# %% exercise
from nextaim_kit.show import check

answer = ...
check(answer, 1)
# %% solution
# One solution.
answer = table["label"].mean()
# Hint: the mean of zeros and ones is a share
# %% [markdown]
# **2.** How many patients does the network call ragged?
# %% exercise
answer = ...
check(answer, 2)
# %% solution
# One solution.
answer = int(pooled["called"].sum())
# Hint: pooled has a column that says who is called
# %%
run.finish()
