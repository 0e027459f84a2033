# One self-contained page of a study.


rule report:
    input:
        ask(GRAPH.report_inputs),
        captions=lambda wildcards: sorted(map(str, Path("workflow/report").glob("*.rst"))),
        template="workflow/tokencredit/analysis/report.html.j2",
    output:
        "results/{study}/report.html",
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
        config=ask(GRAPH.analysis_config),
        code=digest("analysis.report"),
    shell:
        "python -m tokencredit.analysis report --config config --study {wildcards.study} --results results"
        " --out {output} > {log} 2>&1"
