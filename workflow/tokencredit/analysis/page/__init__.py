"""``results/<study>/index.html``: everything that a study found, on one page that needs nothing but itself.

``write`` fills the template; ``exhibits`` are the tables and figures, ``viewer`` the tokens to look at, ``checks`` the mismatch gate,
``origins`` the provenance, ``costs`` time and memory.
"""
