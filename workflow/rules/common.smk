# What all rules share: the package on the path, the checked configuration, and functions that give a rule its part of the configuration.
import functools
import inspect
import os
import re
import sys
from pathlib import Path

from snakemake.io import IOFile

# Jobs run `python -m tokencredit.<stage>`: with the Python that runs snakemake (unless the job has a conda environment) and this package.
# Of this file, not of the Snakefile that was called: another workflow may use this one as a module.
WORKFLOW = str(Path(workflow.current_basedir).parent)
sys.path.insert(0, WORKFLOW)
os.environ.update(
    PYTHONPATH=os.pathsep.join(filter(None, [WORKFLOW, os.getenv("PYTHONPATH")])),
    PATH=os.pathsep.join([str(Path(sys.executable).parent), os.getenv("PATH", os.defpath)]),
)

from tokencredit.config import Config
from tokencredit.errors import UserError
from tokencredit.study import code
from tokencredit.study.chosen import chosen_study
from tokencredit.study.rules import Graph, Later
from tokencredit.tools.preempted import fail_preempted
from tokencredit.tools.preflight import check_start

NAME = r"[a-z0-9]+(?:[.-][a-z0-9]+)*"


def exits_on_error(function):
    """``function``, but an error in the configuration ends snakemake with one sentence, before any job."""

    @functools.wraps(function)
    def checked(*args, **kwargs):
        try:
            return function(*args, **kwargs)
        except UserError as error:
            sys.exit(f"error: {error}")

    checked.__signature__ = inspect.signature(function)  # Snakemake asks for it at every job
    return checked


@exits_on_error
def checked_graph():
    """The configuration, read and checked; the study that is asked for among it, as a module by the importing workflow."""
    read, asked = Config("config"), workflow.config_settings
    by = (asked.config, asked.configfiles) if workflow.modifier.base_snakefile is None else (config,)
    graph = Graph(read, chosen_study(read, *by))
    graph.study(graph.asked)
    return graph


GRAPH = checked_graph()
STUDY = GRAPH.asked


def from_config(question):
    """A function of wildcards, asked of the configuration, as an input, a parameter or a resource."""
    return exits_on_error(lambda wildcards: question(wildcards))


def later(question):
    """The same as a parameter that no command holds, by which Snakemake sees that a result is out of date. A dry run asks only then."""
    ask = exits_on_error(question)
    return lambda wildcards: Later(lambda: ask(wildcards)) if workflow.dryrun else ask(wildcards)


# A rule's inputs by their role, its settings and its code are those of its jobs: workflow/tokencredit/study/jobs.py has one function a rule.
def input_of(rule, role):
    def files(wildcards):
        found = GRAPH.job(rule, wildcards).inputs[role]
        return [str(path) for path in found] if isinstance(found, list) else str(found)

    return from_config(files)


# The audits are a gate: they decide whether a job on a model runs, not what it computes, so that one that is repeated trains nothing. They are
# `ancient` therefore. But what lies behind an ancient file that is to be made again Snakemake does not look at, whatever has changed there. So
# the audits are ordinary inputs of what is to be made anyway, and where one is repeated also of such jobs further on.
def gate_of(rule, direct=True):
    """The audits that a job waits for. ``direct``: whether it works on a model, and not on what such a job made."""

    @from_config
    def audits(wildcards):
        job, gates = GRAPH.job(rule, wildcards), GRAPH.audits(wildcards.study)
        if stands(job, gates):
            return [ancient(gate) for gate in gates if direct or gate in recorded_inputs(job)]
        return gates if direct or audit_is_repeated(wildcards.study) else []

    return audits


@functools.cache
def audit_is_repeated(study):
    return any(Path(job.outputs[0]).exists() and not stands(job) for job in GRAPH.jobs(study, "audit"))


def stands(job, gates=()):
    """Whether a job's results are there, made by the settings, the code and from the files of now, as far as Snakemake recorded it."""
    if not all(Path(output).exists() for output in job.outputs):
        return False
    recorded = [{*params} for output in job.outputs if (params := workflow.persistence.params(IOFile(output)))]
    if not recorded:
        return True
    decided = job.decided()
    return all(decided <= params for params in recorded) and job.files ^ recorded_inputs(job) <= {*gates}


def recorded_inputs(job):
    return {path for output in job.outputs for path in workflow.persistence.input(IOFile(output)) or ()}


def options_of(rule):
    return from_config(lambda wildcards: GRAPH.job(rule, wildcards).options)


def settings_of(rule):
    return later(lambda wildcards: GRAPH.job(rule, wildcards).config())


def code_of(rule):
    return later(lambda wildcards: GRAPH.job(rule, wildcards).code())


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

    return {name: resource(name) for name in GRAPH.requestable(kind)}


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
    # Snakemake's default limit of 100 jobs a second looks at all waiting jobs once more each second for every job that has ended: hundreds
    # of jobs later its own process takes much of a core (snakemake/snakemake#3744). A limit that somebody asked for stays.
    limit = workflow.scheduling_settings.max_jobs_per_timespan
    if limit and (limit.max_jobs, limit.timespan) == (100, 1):
        workflow.scheduler.job_rate_limiter = None
    if workflow.executor_plugin.name == "slurm":
        fail_preempted(sys.modules[workflow.executor_plugin.executor.__module__])


wildcard_constraints:
    study=NAME,
    dataset=NAME,
    train=NAME,
    model=NAME,
    benchmark=NAME,
    method=NAME,
    search=NAME,
    line=NAME,
    row=NAME,
    seed=r"\d+",
    exhibit=NAME,
