# What all rules share: the package on the path, the checked configuration, and functions that give a rule its part of the configuration.
import functools
import os
import re
import sys
from pathlib import Path

# Jobs run `python -m tokencredit.<stage>`: with the Python that runs snakemake (unless the job has a conda environment) and this package.
WORKFLOW = str(Path(workflow.basedir, "workflow"))
sys.path.insert(0, WORKFLOW)
os.environ.update(
    PYTHONPATH=os.pathsep.join(filter(None, [WORKFLOW, os.getenv("PYTHONPATH")])),
    PATH=os.pathsep.join([str(Path(sys.executable).parent), os.getenv("PATH", os.defpath)]),
)

from tokencredit.errors import UserError
from tokencredit.study import code
from tokencredit.study.rules import REQUESTED, Graph
from tokencredit.tools.preflight import check_start

FOLDER = "config"
STUDY = config.setdefault("study", "toy")
NAME = r"[a-z0-9]+(?:[.-][a-z0-9]+)*"


def exits_on_error(function):
    """``function``, but an error in the configuration ends snakemake with one sentence, before any job."""

    @functools.wraps(function)
    def checked(*args, **kwargs):
        try:
            return function(*args, **kwargs)
        except UserError as error:
            sys.exit(f"error: {error}")

    return checked


@exits_on_error
def checked_graph():
    """The configuration, read and checked; the study that is asked for among it."""
    graph = Graph(FOLDER, asked=STUDY)
    graph.study(STUDY)
    return graph


GRAPH = checked_graph()


def from_config(question):
    """A function of wildcards, asked of the configuration, as an input, a parameter or a resource."""
    return exits_on_error(lambda wildcards: question(wildcards))


# A rule's inputs by their role, its settings and its code are those of its jobs: workflow/tokencredit/study/jobs.py has one function a rule.
def input_of(rule, role):
    def files(wildcards):
        found = GRAPH.job(rule, wildcards).inputs[role]
        return [str(path) for path in found] if isinstance(found, list) else str(found)

    return from_config(files)


def settings_of(rule):
    return from_config(lambda wildcards: GRAPH.job(rule, wildcards).config())


def code_of(rule):
    return from_config(lambda wildcards: GRAPH.job(rule, wildcards).code())


def model_of(rule):
    """The folder of the model that a job works with."""
    return from_config(lambda wildcards: str(GRAPH.job(rule, wildcards).model))


def threads_of(kind):
    return from_config(lambda wildcards: GRAPH.needs(kind, wildcards).threads)


def resources_of(kind):
    """What a kind of job asks of the scheduler: the study's values, and the profile's ``default-resources`` where the study has none. Flags add up."""
    default = workflow.resource_settings.default_resources or {}

    def resource(name):
        @exits_on_error
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
    return from_config(lambda wildcards: f"../../envs/{GRAPH.environment(rule, wildcards)}.yaml")


def container_of(rule):
    return from_config(lambda wildcards: f"envs/{GRAPH.environment(rule, wildcards)}.sif")


def folder_of(output_name):
    """The folder of an output, for stages that write more beside the file that they declare."""
    return lambda wildcards, output: str(Path(output[output_name]).parent)


onstart:
    jobs = list(workflow.dag.needrun_jobs())
    images = [job.container_img for job in jobs if job.container_img]
    exits_on_error(check_start)(
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
    method=NAME,
    row=NAME,
    seed=r"\d+",
    shown=NAME,
