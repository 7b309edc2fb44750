"""One operator without a job: fed by hand, or with a script in five ways that must agree."""
