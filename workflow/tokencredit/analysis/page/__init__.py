"""``results/<study>/index.html``: everything that a study found, on one page that needs nothing but itself.

``write`` gathers and fills the template; ``exhibits`` are the tables and figures, ``viewer`` the tokens to look at, ``checks`` what guards
the numbers, ``origins`` what they were made by, ``costs`` what they took.
"""
