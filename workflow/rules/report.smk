# One self-contained page of a study.


rule report:
    input:
        input_of("report", "records"),  # all tables and figures, and the runs, scores, audits and overlaps behind them
        parts=lambda wildcards: [
            os.path.relpath(Path(WORKFLOW, "tokencredit/analysis/page", name))
            for name in ("page.html.j2", "macros.html.j2", "page.css", "tokens.js")
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
