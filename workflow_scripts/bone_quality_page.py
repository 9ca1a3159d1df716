"""Write the page of bone quality: figures, and pictures of slices with what is true and what was answered."""

from vertegrade.files import read_json, write_text
from vertegrade.levels import NAMES
from vertegrade.metastasis.classes import INVOLVED, MULTITASK, NETWORKS
from vertegrade.metastasis.network.vertebrae import read_vertebrae
from vertegrade.metastasis.tables import BONE_PREDICTIONS
from vertegrade.report.metastasis.page import Example, bone_quality_page
from vertegrade.report.metastasis.pictures import answers_text, chosen_vertebrae, picture
from vertegrade.settings.report import ReportSettings
from vertegrade.tables import KEY, SCANS, read_table, read_tables
from vertegrade.workflow.job import run_job

with run_job(snakemake) as job:
    vertebrae = read_vertebrae(job.input.labels, job.input.known, job.input.slices)
    predictions = {
        name: read_table(path, BONE_PREDICTIONS) for name, path in zip(NETWORKS, job.input.predictions, strict=True)
    }
    training = {name: read_json(path) for name, path in zip(NETWORKS, job.input.training, strict=True)}
    examples = []
    for place in chosen_vertebrae(vertebrae, predictions[MULTITASK]):
        label = vertebrae.labels.iloc[place]
        sides = int(label["posterolateral"])
        answers = {
            NETWORKS[name]: answers_text(table[(table[KEY] == label[KEY]).all(axis=1)].iloc[0])
            for name, table in predictions.items()
        }
        words = "PHANTOM" if job.params.drawn else "RESEARCH USE ONLY"
        image = picture(vertebrae, place, job.settings(ReportSettings), words)
        truth = label["bone_class"] + (f"; posterolateral: {INVOLVED[sides]}" if sides >= 0 else "")
        examples.append(Example(f"{label['scan_id']}, {NAMES[label['vertebra']]}", image, truth, answers))
    states = read_tables(job.input.scans, SCANS)["state"].value_counts().to_dict()
    page = bone_quality_page(read_json(job.input.metrics), training, examples, states, job.params.drawn)
    write_text(job.output.page, page)
