# One self-contained page of a study. The list of all studies, results/index.html, is written anew beside it: it is no output, for several
# jobs write it, one after the other.


rule report:
    input:
        input_of("report", "records"),  # all tables and figures, and the runs, scores, audits and overlaps behind them
        parts=lambda wildcards: [
            os.path.relpath(path)
            for path in sorted(Path(WORKFLOW, "tokencredit/analysis/page").iterdir())
            if path.suffix in (".j2", ".css", ".js")
        ],
    output:
        "results/{study}/index.html",
    log:
        "results/logs/report/{study}.log",
    benchmark:
        "results/logs/report/{study}.usage.jsonl"
    conda:
        "../../envs/analysis.yaml"
    container:
        "envs/analysis.sif"
    threads: threads_of("light")
    resources:
        **resources_of("light"),
    params:
        config=settings_of("report"),
        code=code_of("report"),
    shell:
        "python -m tokencredit.analysis report --config config --study {wildcards.study} --results results"
        " --out {output} > {log} 2>&1"
