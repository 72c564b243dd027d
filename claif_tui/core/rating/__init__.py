"""Human evaluation: studies, raters and what they answered, up to the report. No SQL, no screens."""
