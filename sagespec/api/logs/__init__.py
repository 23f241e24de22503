"""CloudWatch Logs for what runs here: `operations` answers, `book` reads logs of jobs, `spool` keeps their lines."""
