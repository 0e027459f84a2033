# What all rules share: the package on the path, the checked configuration, and functions that give a rule its part of the configuration.
import functools
import os
import re
import sys
from pathlib import Path

from snakemake.utils import validate

# Jobs run `python -m tokencredit.<stage>`: with the Python that runs snakemake (unless the job has a conda environment) and this package.
WORKFLOW = str(Path(workflow.basedir, "workflow"))
sys.path.insert(0, WORKFLOW)
os.environ.update(
    PYTHONPATH=os.pathsep.join(filter(None, [WORKFLOW, os.getenv("PYTHONPATH")])),
    PATH=os.pathsep.join([str(Path(sys.executable).parent), os.getenv("PATH", os.defpath)]),
)

from tokencredit.config import read_yaml
from tokencredit.errors import UserError
from tokencredit.study.rules import REQUESTED, Graph, digest
from tokencredit.tools.preflight import check_start

FOLDER = "config"
STUDY = config.setdefault("study", "toy")
NAME = r"[a-z0-9]+(?:[.-][a-z0-9]+)*"


def sentence(function):
    """``function``, but an error in the configuration ends snakemake with one sentence, before any job."""

    @functools.wraps(function)
    def asked(*args, **kwargs):
        try:
            return function(*args, **kwargs)
        except UserError as error:
            sys.exit(f"error: {error}")

    return asked


@sentence
def checked_graph():
    """The configuration, read and checked by its types, and held against the JSON schemas that editors use."""
    graph = Graph(FOLDER, asked=STUDY)
    study = graph.study(STUDY)
    files = {name: f"{FOLDER}/{name}.yaml" for name in ("datasets", "models", "benchmarks", "methods")}
    if study.resources.gpu_model:
        files["gpus"] = f"{FOLDER}/gpus.yaml"
    if study.targets:
        files["targets"] = f"{FOLDER}/targets.yaml"
    if graph.config.claims:
        files["claims"] = f"{FOLDER}/claims.yaml"
    if study.home != STUDY:
        files["part"] = f"{FOLDER}/studies/{STUDY}.yaml"
    files["study"] = f"{FOLDER}/studies/{study.home}.yaml"
    for name, path in files.items():
        validate(read_yaml(path), f"{WORKFLOW}/schemas/{name}.schema.json", set_default=False)
    return graph


GRAPH = checked_graph()


def ask(method):
    """A method of ``Graph`` as the function of an input, a parameter or a resource."""
    return sentence(lambda wildcards: method(wildcards))


def threads_of(kind):
    return ask(lambda wildcards: GRAPH.needs(kind, wildcards).threads)


def resources_of(kind):
    """What a kind of job asks of the scheduler: the study's values, and the profile's ``default-resources`` where the study has none. Flags add up."""
    default = workflow.resource_settings.default_resources or {}

    def resource(name):
        @sentence
        def asked(wildcards, attempt, **more):
            value = GRAPH.requested(kind, wildcards, attempt)[name]
            if name not in default or (value is not None and name != "slurm_extra"):
                return value
            profiles = default[name].evaluate(wildcards, attempt=attempt, **more).value
            return profiles if value is None else f"{profiles} {value}"

        return asked

    return {name: resource(name) for name in REQUESTED}


def conda_of(rule):
    """The conda environment for work on a model. The study's engine decides which."""
    return ask(lambda wildcards: f"../../envs/{GRAPH.environment(rule, wildcards)}.yaml")


def container_of(rule):
    return ask(lambda wildcards: f"envs/{GRAPH.environment(rule, wildcards)}.sif")


def folder_of(output_name):
    """The folder of an output, for stages that write more beside the file that they declare."""
    return lambda wildcards, output: str(Path(output[output_name]).parent)


onstart:
    jobs = list(workflow.dag.needrun_jobs())
    images = [job.container_img for job in jobs if job.container_img]
    sentence(check_start)(
        GRAPH.config,
        outputs={str(file) for job in jobs for file in job.output},
        deployment={method.name.lower() for method in workflow.deployment_settings.deployment_method},
        images={str(image.path) for image in images if image.is_local},
    )


wildcard_constraints:
    study=NAME,
    dataset=NAME,
    train=NAME,
    model=NAME,
    benchmark=NAME,
    cell=NAME,
    row=NAME,
    seed=r"\d+",
    shown=NAME,
