"""The pages, one file each: what a page shows, made from values for its template and its JSON."""
